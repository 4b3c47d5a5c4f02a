//! Membership: this device's announce and its renewal, announces of others, leaves and expiry.

use super::{Action, EventError, Problem, Session};
use crate::{
    clock::MonotonicTime,
    ids::{ParticipantId, Seat},
    keys::{
        announce::{self, ANNOUNCE_BYTES, AnnounceError, Renewal},
        call_code::CallCode,
        display::{self, MAX_DISPLAY_BYTES},
        roster::{Admission, PREVIOUS_ANNOUNCE_LIFE},
        sender::LIFE_AFTER_LEAVE,
    },
};
use alloc::{string::String, vec::Vec};
use e2ee_core::{AgreementKey, Primitives, Random, Reader};

/// The X25519 key of one announce of this device.
pub(super) struct Ephemeral<P: Primitives> {
    pub(super) seq: u32,
    pub(super) secret: P::Agreement,
    public: [u8; 32],
    /// SHA-256 of the announce that contains it.
    pub(super) announce_hash: [u8; 32],
}

impl<P: Primitives> Ephemeral<P> {
    pub(super) fn generate(seq: u32, random: &mut (impl Random + ?Sized)) -> Self {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        random.fill(&mut *seed);
        let secret = P::Agreement::from_seed(&seed);
        Self { seq, public: secret.public(), secret, announce_hash: [0; 32] }
    }
}

/// One entry of an announces message.
struct Entry<'a> {
    participant: ParticipantId,
    seat: Seat,
    announce: &'a [u8; ANNOUNCE_BYTES],
    display: &'a [u8],
}

fn read_entries(body: &[u8]) -> Option<Vec<Entry<'_>>> {
    let mut reader = Reader::new(body);
    let count = reader.u8()?;
    let mut entries = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (participant, seat) = (ParticipantId(reader.u32()?), Seat(reader.u16()?));
        let announce = reader.chunk()?;
        let length = usize::from(reader.u16()?);
        let display = reader.take(length)?;
        if seat > Seat::MAX || length > MAX_DISPLAY_BYTES {
            return None;
        }
        entries.push(Entry { participant, seat, announce, display });
    }
    reader.end().map(|()| entries)
}

impl<P: Primitives> Session<P> {
    /// The code that participants compare to verify that no other device is in the call: equal on all devices with the
    /// same roster. `None` before [`Event::Joined`](super::Event::Joined) and after the session has ended.
    ///
    /// It changes whenever a participant joins, leaves or returns. It does not show whose devices they are: participants
    /// recognise the voices that read it.
    #[must_use]
    pub fn call_code(&self) -> Option<CallCode> {
        let seated = self.seat.is_some() && !self.life.ended();
        seated.then(|| CallCode::derive::<P>(&self.call, &self.roster.hash(&self.identity.join_id)))
    }

    /// Signs an announce of the current ephemeral key and sends it. `None` if the name cannot be sealed: no device is
    /// announced without its name.
    pub(super) fn announce(&mut self, first: bool) -> Option<()> {
        let (key, join_id) = (&self.invite.display, &self.identity.join_id);
        let display = display::seal::<P>(key, join_id, self.name.chosen(), &mut *self.random)?;
        let renewal = Renewal {
            ephemeral: &self.ephemeral.public,
            seq: self.ephemeral.seq,
            wall: self.clock.wall,
            validity: self.timing.validity,
            display: &display,
        };
        let announce = announce::write(&self.call, &self.identity, &self.invite, &renewal);
        self.ephemeral.announce_hash = announce::hash::<P>(&announce);
        self.renew_at = self.clock.now.saturating_add(self.timing.renewal);
        self.actions.push_back(Action::SendAnnounce { first, announce: announce.to_vec(), display });
        Some(())
    }

    /// When [`Self::renew_announce`] is due.
    pub(super) fn next_announce(&self) -> Option<MonotonicTime> {
        let renewal = self.attached().then_some(self.renew_at);
        let erasure = self.previous_ephemeral.as_ref().filter(|_| !self.detached()).map(|(_, until)| *until);
        renewal.into_iter().chain(erasure).min()
    }

    /// Renews the announce with a new ephemeral key when due, and erases the previous key later: not while the connection
    /// is lost, since key batches that wait for the next one may be for it.
    pub(super) fn renew_announce(&mut self) {
        if self.attached() && self.clock.now >= self.renew_at {
            self.announce_again(self.seat.is_none());
        }
        let due = self.previous_ephemeral.as_ref().is_some_and(|(_, until)| self.clock.now >= *until);
        if due && !self.detached() {
            self.previous_ephemeral = None;
        }
    }

    /// Sends a new announce of this device: the next number, a new ephemeral key. `join`: it is part of a join.
    pub(super) fn announce_again(&mut self, join: bool) {
        let fresh = Ephemeral::generate(self.ephemeral.seq.saturating_add(1), &mut *self.random);
        let old = core::mem::replace(&mut self.ephemeral, fresh);
        self.previous_ephemeral = Some((old, self.clock.now.saturating_add(PREVIOUS_ANNOUNCE_LIFE)));
        if self.announce(join).is_none() {
            // The others keep the previous announce until it expires.
            self.renew_at = self.clock.now.saturating_add(self.timing.renewal);
        }
    }

    pub(super) fn announces(&mut self, body: &[u8]) -> Result<(), EventError> {
        if self.seat.is_none() {
            return Err(EventError::NotJoined);
        }
        let entries = read_entries(body).ok_or(EventError::Malformed)?;
        let mut known = false;
        for entry in entries {
            known |= self.take_announce(&entry);
        }
        if known {
            self.retry_held();
            self.retry_chat();
        }
        Ok(())
    }

    /// Verifies an announce and admits its device to the roster. Returns whether held key batches may be for it.
    fn take_announce(&mut self, entry: &Entry<'_>) -> bool {
        let Entry { participant, seat, .. } = *entry;
        let secret = &self.ephemeral.secret;
        let verified = match announce::verify::<P>(
            entry.announce,
            entry.display,
            &self.call,
            &self.invite,
            secret,
            self.clock.wall,
        ) {
            Ok(verified) => verified,
            Err(error) => {
                let skewed = matches!(error, AnnounceError::ClockSkew { .. });
                self.problem(participant, if skewed { Problem::ClockSkew } else { Problem::AnnounceRefused });
                return false;
            }
        };
        if verified.join_id == self.identity.join_id {
            return false;
        }
        if self.roster.get(participant).is_some_and(|member| member.join_id != verified.join_id) {
            self.left(&[participant]);
        }
        match self.roster.admit(participant, seat, verified, &self.name, self.clock) {
            Admission::New => {
                self.show(participant);
                self.roster_changed();
                self.newcomer();
                true
            }
            Admission::Renewed { renamed } => {
                if renamed {
                    self.show(participant);
                }
                true
            }
            Admission::Known => false,
            Admission::Refused => {
                self.problem(participant, Problem::AnnounceRefused);
                false
            }
        }
    }

    /// Shows a member under its name.
    fn show(&mut self, participant: ParticipantId) {
        if let Some(member) = self.roster.get(participant) {
            let (seat, name) = (member.seat, String::from(member.name.shown()));
            self.actions.push_back(Action::ParticipantVerified { participant, seat, name });
        }
    }

    /// The server reports that participants have left. Also when none of them was on this device's roster, all keys of the
    /// call are replaced: the others may have sealed theirs to them.
    ///
    /// A server reports a leave before it relays the keys that are made because of it, so what arrived before is to die, and
    /// so is what arrives later and [was made before](crate::keys::leaves).
    pub(super) fn left(&mut self, participants: &[ParticipantId]) {
        if !participants.is_empty() {
            self.leaves.heard(self.clock.now);
            self.receiver.all_die_by(self.clock.now.saturating_add(LIFE_AFTER_LEAVE));
            self.remove(participants);
        }
    }

    /// Removes participants and their keys, and has the own key replaced.
    fn remove(&mut self, participants: &[ParticipantId]) {
        for participant in participants {
            let Some(member) = self.roster.remove(*participant) else { continue };
            if let Some(past) = self.receiver.remove(&member.join_id) {
                self.roster.record(&member.join_id).past = past;
            }
            self.wanted.remove(&member.join_id);
            self.no_longer_states(&member.join_id);
            self.actions.push_back(Action::ParticipantRemoved { participant: *participant });
            self.roster_changed();
        }
        self.replace_own_key();
    }

    /// Removes members whose announce was not renewed: a server cannot hide for longer that they have left.
    ///
    /// Keys of others do not die by it: each device notices at its own time, and some may have replaced theirs before.
    pub(super) fn remove_expired(&mut self) {
        let expired = self.roster.expired(self.clock.now);
        if !expired.is_empty() {
            self.remove(&expired);
        }
    }
}
