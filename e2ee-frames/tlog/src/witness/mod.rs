//! The witness (c2sp.org/tlog-witness): cosigns the heads of logs, each an extension of the last.
//!
//! ```text
//!  POST add-checkpoint ──► AddCheckpoint ──► check: log known? signed? size as stored? consistent?
//!                                                │
//!                                             Accepted   (a directory's witness audits the epochs between here)
//!                                                │
//!                           WitnessStore::replace(old head → new head)    durable before the next step
//!                                                │
//!                                             cosign ──► signature line
//! ```
//! The invariant: no two cosignatures of one log are over trees of which one does not extend the other, and later ones are
//! over no smaller tree and of no earlier time. It rests on three rules. A head is signed only after the store has
//! reported it durable. A head replaces exactly the one that it was checked against, or nothing happens. After a failed
//! write nothing is signed, and the next request reads what is stored. So a crash at any step leaves the old head or the
//! new one, and at most a head that no one has a signature of.

mod head;
mod request;
mod store;

use crate::{
    checkpoint::Checkpoint,
    equivocation::Equivocation,
    key::{VerifierKey, WitnessKey},
    note::{Note, NoteError, NoteSignature},
    time::Timestamp,
    tree::{EMPTY_ROOT, Hash, ProofError, verify_consistency},
};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use e2ee_core::{Primitives, Standard};

pub use head::{Head, HeadError};
pub use request::{AddCheckpoint, MAX_REQUEST_BYTES, RequestError};
pub use store::{MemoryStore, Replaced, WitnessStore};

/// By which `GET HASH/checkpoint` names a log, in lower-case hexadecimal digits: SHA-256 of the origin.
#[must_use]
pub fn origin_hash(origin: &str) -> Hash {
    Standard::digest(origin.as_bytes())
}

/// Why a log's key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Another key has the same name and identifier.
    #[error("another key of the log has the same identifier")]
    AmbiguousKey,
    /// The log's key is the witness's own.
    #[error("the key is the witness's own")]
    OwnKey,
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal<E> {
    /// The request is malformed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No such log is configured.
    #[error("the log is unknown")]
    UnknownLog,
    /// No known key of the log has signed, or a signature in the name of one does not verify.
    #[error("no known key of the log has signed the checkpoint")]
    NotSigned,
    /// The old size is above that of the checkpoint.
    #[error("the old size is above that of the checkpoint")]
    OldSize,
    /// The old size is not that of the last cosigned head.
    #[error("the last cosigned head has {size} leaves")]
    Conflict {
        /// Size of the last cosigned head; 0 if there is none.
        size: u64,
    },
    /// The log has signed another tree of this size: evidence against it, which the witness's owner should publish.
    #[error("the log has signed two different trees of one size")]
    Equivocation(alloc::boxed::Box<Equivocation>),
    /// The proof does not show that the tree extends the last one.
    #[error("the tree does not extend the last cosigned one: {0}")]
    Proof(#[from] ProofError),
    /// The clock is behind the last cosignature, so the statement would be untrue.
    #[error("the clock is behind the last cosignature, which is of {last}")]
    Clock {
        /// Time of the last cosignature.
        last: Timestamp,
    },
    /// The head is too long to be stored.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The durable state cannot be read or written.
    #[error("the durable state cannot be read or written")]
    Store(E),
}

impl<E> Refusal<E> {
    /// The HTTP status by which it is answered. The body of 409 is the size in decimal and a line break, as
    /// `text/x.tlog.size`.
    ///
    /// Two trees of one size are answered by 422, as newer drafts of the text say: 409 asks for a repetition with the
    /// size in its body, which is the one that the client sent.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Request(_) | Self::OldSize => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Proof(_) | Self::Equivocation(_) => 422,
            Self::Clock { .. } | Self::Note(_) | Self::Store(_) => 500,
        }
    }
}

/// A checkpoint that passed every check against the head stored at the time, and has not been cosigned.
#[derive(Debug)]
pub struct Accepted {
    previous: Option<Head>,
    checkpoint: Checkpoint,
    /// The checkpoint with the signatures of the log's known keys only.
    note: Note,
}

impl Accepted {
    /// The head that it extends, or repeats; `None` if it is the first of its log.
    #[must_use]
    pub fn previous(&self) -> Option<&Head> {
        self.previous.as_ref()
    }

    /// The checkpoint, signed by the log.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// A witness: its key, the logs that it knows, and its durable state.
///
/// One process runs one witness, through `&mut`; a store must refuse a second process all the same.
pub struct Witness<S> {
    key: WitnessKey,
    logs: BTreeMap<String, Vec<VerifierKey>>,
    store: S,
}

impl<S: WitnessStore> Witness<S> {
    /// A witness that knows no log.
    #[must_use]
    pub fn new(key: WitnessKey, store: S) -> Self {
        Self { key, logs: BTreeMap::new(), store }
    }

    /// Adds a key of the log whose origin is the key's name. A log may have several.
    ///
    /// # Errors
    /// If signatures of the key could be taken for those of another.
    pub fn trust_log(&mut self, key: VerifierKey) -> Result<(), TrustError> {
        if key.public() == self.key.verifier().public() {
            return Err(TrustError::OwnKey);
        }
        let keys = self.logs.entry(key.name().as_str().to_string()).or_default();
        match keys.iter().find(|other| other.id() == key.id()) {
            Some(known) if *known == key => Ok(()),
            Some(_) => Err(TrustError::AmbiguousKey),
            None => {
                keys.push(key);
                Ok(())
            }
        }
    }

    /// The public half of the witness's key.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The origins of the logs that the witness knows.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// Answers `POST add-checkpoint`: checks a request, makes the new head durable and cosigns it. The signature's text
    /// form is the body of the answer.
    ///
    /// # Errors
    /// If the head is not cosigned; [`Refusal::status`] is the answer then.
    pub fn add_checkpoint(&mut self, request: &[u8], now: Timestamp) -> Result<NoteSignature, Refusal<S::Error>> {
        let accepted = self.check(AddCheckpoint::parse(request)?)?;
        self.cosign(accepted, now)
    }

    /// The first half of [`Self::add_checkpoint`]: what can be checked without changing anything. A witness that vouches
    /// for more than growth verifies that next.
    ///
    /// # Errors
    /// If the head may not be cosigned.
    pub fn check(&self, request: AddCheckpoint) -> Result<Accepted, Refusal<S::Error>> {
        let AddCheckpoint { old_size, proof, note, checkpoint } = request;
        let keys = self.logs.get(checkpoint.origin()).ok_or(Refusal::UnknownLog)?;
        let note = signed_by(keys, &note).ok_or(Refusal::NotSigned)?;
        if old_size > checkpoint.size() {
            return Err(Refusal::OldSize);
        }
        let previous = self.store.head(checkpoint.origin()).map_err(Refusal::Store)?;
        let (size, root) = previous.as_ref().map_or((0, EMPTY_ROOT), |head| (head.size(), *head.root()));
        if old_size != size {
            return Err(Refusal::Conflict { size });
        }
        if size == checkpoint.size()
            && let Some(head) = &previous
            && let Ok(evidence) = Equivocation::prove(head.note(), &note, keys)
        {
            return Err(Refusal::Equivocation(evidence.into()));
        }
        verify_consistency(size, &root, checkpoint.size(), checkpoint.root(), &proof)?;
        Ok(Accepted { previous, checkpoint, note })
    }

    /// The second half of [`Self::add_checkpoint`]: makes the head durable in place of the one that it was checked
    /// against, then signs.
    ///
    /// # Errors
    /// If another head has been stored since, or the head cannot be made durable.
    pub fn cosign(&mut self, accepted: Accepted, now: Timestamp) -> Result<NoteSignature, Refusal<S::Error>> {
        let Accepted { previous, checkpoint, note } = accepted;
        if let Some(last) = previous.as_ref().map(Head::time).filter(|last| now < *last) {
            return Err(Refusal::Clock { last });
        }
        let head = Head::new(checkpoint, note, now);
        let replaced =
            self.store.replace(head.checkpoint().origin(), previous.as_ref(), &head).map_err(Refusal::Store)?;
        match replaced {
            Replaced::Durably => Ok(self.key.cosign(head.checkpoint(), now)),
            Replaced::NotAsExpected => {
                let stored = self.store.head(head.checkpoint().origin()).map_err(Refusal::Store)?;
                Err(Refusal::Conflict { size: stored.map_or(0, |head| head.size()) })
            }
        }
    }

    /// Answers `GET HASH/checkpoint`: the last head of a log with the log's signatures and the cosignature; `None` if
    /// there is none.
    ///
    /// # Errors
    /// If the durable state cannot be read.
    pub fn latest(&self, origin: &str) -> Result<Option<Note>, Refusal<S::Error>> {
        let Some(head) = self.store.head(origin).map_err(Refusal::Store)? else { return Ok(None) };
        let mut note = head.note().clone();
        // Signing is deterministic, so this is the signature that was given out, or was about to be.
        note.add(self.key.cosign(head.checkpoint(), head.time()))?;
        Ok(Some(note))
    }
}

/// The note with the signatures of these keys only; `None` without any, or if one of them does not verify.
fn signed_by(keys: &[VerifierKey], note: &Note) -> Option<Note> {
    let known = |signature: &NoteSignature| keys.iter().find(|key| key.made(signature));
    let verifies =
        |signature: &NoteSignature| known(signature).is_none_or(|key| key.verify(note.text(), signature).is_ok());
    if !note.signatures().iter().all(verifies) {
        return None;
    }
    note.with_signatures(|signature| known(signature).is_some())
}

#[cfg(test)]
mod tests;
