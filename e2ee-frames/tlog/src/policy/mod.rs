//! Trust policies (c2sp.org/tlog-policy): which logs a client knows, and which witnesses must have cosigned a head.
//!
//! ```text
//! log VKEY [URL]
//! witness NAME VKEY [URL]
//! group NAME all|any|K MEMBER…        a member is a witness or a group above it
//! quorum NAME|none
//! ```
//! A file has exactly one quorum. Names are opaque bytes. Each name is a member of at most one group, so that a witness
//! counts once.
//!
//! A quorum protects against a log that shows two groups of clients different trees only if any two sets of witnesses
//! that satisfy it have an honest one in common; `any` of several does not.

mod parse;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    key::{KeyName, VerifierKey},
    note::Note,
    time::Timestamp,
};
use alloc::vec::Vec;
use core::time::Duration;

pub use parse::{MAX_POLICY_BYTES, MAX_POLICY_NAMES, PolicyFault, PolicyParseError};

/// How long a cosignature counts, unless the use asks for less.
pub const MAX_COSIGNATURE_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How far a witness's clock may be ahead. Beyond it a cosignature does not count: it would keep a head fresh for longer
/// than the age allows.
pub const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(5 * 60);

/// A log of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLog {
    /// Its key, whose name is the log's origin.
    pub key: VerifierKey,
    /// Where the log is reached, if the file says so; its meaning is the application's.
    pub url: Option<Vec<u8>>,
}

/// A witness of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name within the file; opaque bytes, best UTF-8.
    pub name: Vec<u8>,
    /// Its key.
    pub key: VerifierKey,
    /// Where checkpoints are submitted to it, if the file says so.
    pub url: Option<Vec<u8>>,
}

/// A witness or group, by its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: Vec<u8>,
    /// How many members must have cosigned, from 1 to their number.
    threshold: usize,
    /// Groups among them are earlier ones.
    members: Vec<Member>,
}

/// Which logs and witnesses are trusted, and how many of the witnesses it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// `None` is `quorum none`.
    quorum: Option<Member>,
}

/// Why a checkpoint is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A signature has the name and identifier of a known key and is not of it.
    #[error("the signature by {0} does not verify")]
    BadSignature(KeyName),
    /// No key of a known log that is the checkpoint's origin has signed.
    #[error("no known log of this origin has signed the checkpoint")]
    UnknownLog,
    /// Too few witnesses have cosigned. Those with a cosignature that is too old, or from the future, do not count.
    #[error(
        "{counted} known witnesses have cosigned lately, {outdated} more at another time; the quorum asks for more"
    )]
    Quorum {
        /// Witnesses whose cosignature counts.
        counted: usize,
        /// Witnesses that have only cosignatures which are too old, or from the future.
        outdated: usize,
    },
}

/// The newest cosignature of one witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Place of the witness in [`Policy::witnesses`].
    pub witness: usize,
    /// When it cosigned.
    pub time: Timestamp,
}

/// A checkpoint that a known log has signed and a quorum has cosigned. Only [`Policy::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    log: usize,
    cosigned: Vec<Cosigned>,
    quorum_time: Option<Timestamp>,
}

impl VerifiedCheckpoint {
    /// The head of the log's tree.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Place of the log in [`Policy::logs`].
    #[must_use]
    pub fn log(&self) -> usize {
        self.log
    }

    /// The witnesses whose cosignature counts, in the order of the policy.
    #[must_use]
    pub fn cosigned(&self) -> &[Cosigned] {
        &self.cosigned
    }

    /// The newest time at which a whole quorum vouched that this was the log's head: what freshness is judged by, since
    /// a single witness could make an old head look new. `None` for `quorum none`, which shows no freshness at all.
    #[must_use]
    pub fn quorum_time(&self) -> Option<Timestamp> {
        self.quorum_time
    }
}

impl Policy {
    /// The logs, in the order of the file.
    #[must_use]
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses, in the order of the file.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether the file says `quorum none`: no one watches that the log shows the same to all.
    #[must_use]
    pub fn is_unwatched(&self) -> bool {
        self.quorum.is_none()
    }

    /// Checks that a known log has signed a checkpoint and that the quorum has cosigned it, each at most `max_age` ago.
    ///
    /// Signatures of unknown keys are ignored; one of a known key that does not verify makes the whole note suspect.
    ///
    /// # Errors
    /// If the checkpoint is not to be trusted.
    pub fn verify(&self, note: &Note, now: Timestamp, max_age: Duration) -> Result<VerifiedCheckpoint, PolicyError> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let mut log = None;
        for (index, known) in self.logs.iter().enumerate() {
            let signed = newest(&known.key, note)?.is_some();
            if signed && known.key.name().as_str() == checkpoint.origin() {
                log = log.or(Some(index));
            }
        }
        let (mut cosigned, mut outdated) = (Vec::new(), 0_usize);
        for (witness, known) in self.witnesses.iter().enumerate() {
            match newest_counting(&known.key, note, now, max_age)? {
                Count::Counts(time) => cosigned.push(Cosigned { witness, time }),
                Count::Outdated => outdated = outdated.saturating_add(1),
                Count::Absent => {}
            }
        }
        let log = log.ok_or(PolicyError::UnknownLog)?;
        let quorum_time = match self.quorum {
            None => None,
            Some(quorum) => Some(
                self.quorum_time(quorum, &cosigned).ok_or(PolicyError::Quorum { counted: cosigned.len(), outdated })?,
            ),
        };
        Ok(VerifiedCheckpoint { checkpoint, log, cosigned, quorum_time })
    }

    /// The newest time of which it is true that the cosignatures from then on satisfy the quorum.
    fn quorum_time(&self, quorum: Member, cosigned: &[Cosigned]) -> Option<Timestamp> {
        let mut newest_first = cosigned.to_vec();
        newest_first.sort_by_key(|cosigned| core::cmp::Reverse(cosigned.time));
        let mut witnesses = alloc::vec![false; self.witnesses.len()];
        newest_first.into_iter().find_map(|Cosigned { witness, time }| {
            if let Some(present) = witnesses.get_mut(witness) {
                *present = true;
            }
            self.satisfied(quorum, &witnesses).then_some(time)
        })
    }

    fn satisfied(&self, quorum: Member, witnesses: &[bool]) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let present = |member: &Member, groups: &[bool]| {
            let known = match member {
                Member::Witness(index) => witnesses.get(*index),
                Member::Group(index) => groups.get(*index),
            };
            known.copied().unwrap_or(false)
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| present(member, &groups)).count();
            groups.push(count >= group.threshold);
        }
        present(&quorum, &groups)
    }
}

/// Whether a witness's cosignature counts.
enum Count {
    Absent,
    Outdated,
    Counts(Timestamp),
}

/// All verified signatures of a key on a note.
fn verified<'a>(
    key: &'a VerifierKey,
    note: &'a Note,
) -> impl Iterator<Item = Result<Option<Timestamp>, PolicyError>> + 'a {
    note.signatures().iter().filter(|signature| key.made(signature)).map(|signature| {
        let verified = key.verify(note.text(), signature);
        verified.map(|verified| verified.time).map_err(|_| PolicyError::BadSignature(key.name().clone()))
    })
}

/// Whether the key has signed, and when, if it says so.
fn newest(key: &VerifierKey, note: &Note) -> Result<Option<Option<Timestamp>>, PolicyError> {
    verified(key, note).try_fold(None, |newest, time| Ok(newest.max(Some(time?))))
}

fn newest_counting(key: &VerifierKey, note: &Note, now: Timestamp, max_age: Duration) -> Result<Count, PolicyError> {
    let mut count = Count::Absent;
    for time in verified(key, note) {
        let time = time?
            .filter(|time| now.saturating_since(*time) <= max_age && time.saturating_since(now) <= MAX_CLOCK_AHEAD);
        count = match (count, time) {
            (Count::Counts(newest), Some(time)) => Count::Counts(newest.max(time)),
            (_, Some(time)) => Count::Counts(time),
            (Count::Absent, None) => Count::Outdated,
            (count, None) => count,
        };
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
