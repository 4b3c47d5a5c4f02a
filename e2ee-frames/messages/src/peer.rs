//! All that a device shares with one other: their sessions, and what came before.
//!
//! ```text
//!   no session, or the last one is lost, or it began without one-time prekeys, or the sealing prekey is old
//!        │ a bundle is wanted
//!        ▼
//!   initiate: number = 1 + highest of all numbers heard of ──► slips with the opening, until an answer comes
//!
//!   a slip with an unknown opening ──► respond: the session joins the others
//!   both write in the highest session; up to four older ones open for a week more
//!
//!   a slip that none opens ──► desync: a new session is wanted, whose first slips say that it replaces a lost one
//! ```
//! [`Peer::open`] changes nothing: it returns what [`Peer::commit`] takes, after the caller has checked the blob.

use crate::{
    blob::MessageId,
    pqxdh::{Opening, Own},
    prekey::{self, Bundle, CURVE_PREKEY_BYTES, Prekey, PrekeyId},
    prekeys::Prekeys,
    ratchet::{RatchetOpenError, RatchetSealError, Step},
    reset::Resets,
    seen::Seen,
    session::Session,
    slip::{Payload, Slip},
    state::{Writer, read_flag, read_list, read_option},
    time::{DAY, Time},
};
use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;
use e2ee_core::{Random, Reader};
use e2ee_identity::{AgreementPublic, DeviceCert};
use zeroize::Zeroizing;

/// Maximum number of sessions of a pair that open.
const MAX_SESSIONS: usize = 5;
/// For how long a session opens after a higher one took its place.
const OLDER_FOR: Duration = Duration::from_secs(7 * DAY.as_secs());
/// How many sessions another device may start in a day.
const MAX_STARTS_A_DAY: usize = 20;
/// Remembered openings: more than can be started while one can come again.
const MAX_OPENINGS: usize = 740;
/// Remembered outers.
const MAX_OUTERS: usize = 1_024;
/// Remembered message ids.
const MAX_MESSAGES: usize = 1_024;
/// By how much a session's number may exceed all that were known. An attacker who could choose any would leave no higher one.
const MAX_NUMBER_STEP: u32 = 1 << 20;
/// Version of the row.
const VERSION: u8 = 1;

/// The prekey to which outers for the other device are sealed.
struct Sealing {
    day: u32,
    key: AgreementPublic,
}

/// What a device knows of another one. A row of its state.
#[derive(Default)]
pub(crate) struct Peer {
    sessions: Vec<Session>,
    /// The highest number of a session that was heard of.
    heard: u32,
    sealing: Option<Sealing>,
    /// The own sealing prekey that the other side was last sent.
    sent_sealing: Option<PrekeyId>,
    outers: Seen,
    openings: Seen,
    /// Newest last.
    messages: Vec<MessageId>,
    resets: Resets,
    /// A lost session was replaced, and what was written in it is to be sent again.
    pub(crate) resend: bool,
}

/// Why a slip does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerOpenError {
    /// Not the form of a slip.
    Malformed,
    /// It came before.
    Consumed,
    /// No session opens it.
    Desync,
    /// The device has started too many sessions today.
    TooManySessions,
}

/// Why no slip was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerSealError {
    /// There is no session, and no bundle to start one.
    NoSession,
    /// A key of the bundle contributes nothing.
    WeakBundle,
    Ratchet(RatchetSealError),
}

/// What a slip that has opened changes.
pub(crate) enum Change {
    Known(usize, Step),
    New(Box<Session>, Step, Opening),
}

/// What came of a slip.
#[derive(Default)]
pub(crate) struct Committed {
    /// One-time prekeys were erased.
    pub(crate) prekeys_used: bool,
    /// The slip has begun a session that replaces one that the sender has lost.
    pub(crate) replaces: bool,
}

impl Peer {
    /// The session in which this side writes.
    fn active(&self) -> Option<&Session> {
        self.sessions.iter().max_by_key(|session| session.rank())
    }

    #[cfg(test)]
    pub(crate) fn active_id(&self) -> Option<[u8; 32]> {
        self.active().map(|session| *session.id())
    }

    /// Whether a bundle is needed before the next slip.
    pub(crate) fn wants_bundle(&self, now: Time) -> bool {
        let is_fresh = |sealing: &Sealing| !prekey::is_too_old(sealing.day, now.day());
        let unsealed = !self.sealing.as_ref().is_some_and(is_fresh);
        unsealed || self.active().is_none_or(Self::is_weak) || self.resets.is_due(now)
    }

    /// Whether a session began without one-time prekeys, and this side has not written in it.
    fn is_weak(session: &Session) -> bool {
        !session.one_time && !session.written
    }

    /// Whether a lost session is to be replaced now.
    pub(crate) fn reset_is_due(&self, now: Time) -> bool {
        self.resets.is_due(now)
    }

    /// The key for outers to this device, unless it is too old.
    pub(crate) fn sealing(&self, now: Time) -> Option<AgreementPublic> {
        self.sealing.as_ref().filter(|sealing| !prekey::is_too_old(sealing.day, now.day())).map(|sealing| sealing.key)
    }

    fn learn_sealing(&mut self, prekey: &Prekey<AgreementPublic>) {
        if self.sealing.as_ref().is_none_or(|known| known.day <= prekey.day) {
            self.sealing = Some(Sealing { day: prekey.day, key: prekey.key });
        }
    }

    /// Takes a bundle: its sealing prekey, and a new session if there is reason for one.
    pub(crate) fn take_bundle(
        &mut self,
        own: Own<'_>,
        cert: &DeviceCert,
        bundle: &Bundle,
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<(), PeerSealError> {
        let replaces = self.resets.is_due(now);
        let renews = self.active().is_none_or(|session| Self::is_weak(session) && bundle.has_one_time_keys());
        self.learn_sealing(&bundle.sealing);
        if !replaces && !renews {
            return Ok(());
        }
        let number = self.heard.checked_add(1).ok_or(PeerSealError::NoSession)?;
        let session =
            Session::initiate(own, cert, bundle, (number, replaces), random).ok_or(PeerSealError::WeakBundle)?;
        self.add(session, now);
        self.resets.started(now);
        self.resend |= replaces;
        Ok(())
    }

    /// Seals a payload in the active session. `own_sealing` goes along if the other side was not sent it yet.
    pub(crate) fn seal(
        &mut self,
        mut payload: Payload,
        own_sealing: Option<(PrekeyId, [u8; CURVE_PREKEY_BYTES])>,
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, PeerSealError> {
        self.forget(now);
        if let Some((id, prekey)) = own_sealing.filter(|(id, _)| self.sent_sealing != Some(*id)) {
            (self.sent_sealing, payload.sealing) = (Some(id), Some(prekey));
        }
        let active = self.sessions.iter_mut().max_by_key(|session| session.rank()).ok_or(PeerSealError::NoSession)?;
        payload.replaces = active.says_that_it_replaces();
        active.seal(&payload.to_bytes(), random).map_err(PeerSealError::Ratchet)
    }

    /// Whether this outer came before.
    pub(crate) fn has_seen(&self, outer: &[u8]) -> bool {
        self.outers.contains(outer)
    }

    /// Whether a message with this id came before.
    pub(crate) fn has_message(&self, id: &MessageId) -> bool {
        self.messages.contains(id)
    }

    /// Opens a slip of the device that `cert` certifies.
    pub(crate) fn open(
        &self,
        own: Own<'_>,
        cert: &DeviceCert,
        slip: &[u8],
        prekeys: &Prekeys,
        now: Time,
    ) -> Result<(Payload, Change), PeerOpenError> {
        let slip = Slip::read(slip).ok_or(PeerOpenError::Malformed)?;
        let read = |text: Zeroizing<Vec<u8>>| Payload::read(&text).ok_or(PeerOpenError::Malformed);
        let (mut consumed, mut is_known) = (false, false);
        for (index, session) in self.sessions.iter().enumerate() {
            let is_same = slip.opening.as_ref().is_none_or(|opening| opening.ephemeral == session.ephemeral);
            if session.number != slip.head.number || !is_same {
                continue;
            }
            is_known |= slip.opening.is_some();
            match session.open(slip.head, slip.sealed, now) {
                Ok((text, step)) => return Ok((read(text)?, Change::Known(index, step))),
                Err(RatchetOpenError::Consumed) => consumed = true,
                Err(RatchetOpenError::NotAuthentic) => {}
            }
        }
        if consumed {
            return Err(PeerOpenError::Consumed);
        }
        let opening = slip.opening.filter(|_| !is_known).ok_or(PeerOpenError::Desync)?;
        if self.openings.contains(&opening.ephemeral.0) {
            return Err(PeerOpenError::Consumed);
        }
        if self.openings.on(now.day()) >= MAX_STARTS_A_DAY {
            return Err(PeerOpenError::TooManySessions);
        }
        if slip.head.number > self.heard.saturating_add(MAX_NUMBER_STEP) {
            return Err(PeerOpenError::Malformed);
        }
        let session = Session::respond(own, cert, &opening, slip.head.number, prekeys).ok_or(PeerOpenError::Desync)?;
        let (text, step) = session.open(slip.head, slip.sealed, now).map_err(|_| PeerOpenError::Desync)?;
        Ok((read(text)?, Change::New(Box::new(session), step, opening)))
    }

    /// Takes what has opened. The one-time prekeys of a new session are erased.
    pub(crate) fn commit(
        &mut self,
        change: Change,
        (outer, payload, id): (&[u8], &Payload, MessageId),
        (cert, prekeys): (&DeviceCert, &mut Prekeys),
        now: Time,
    ) -> Committed {
        let mut committed = Committed::default();
        match change {
            Change::Known(index, step) => {
                if let Some(session) = self.sessions.get_mut(index) {
                    session.commit(step, now);
                }
            }
            Change::New(mut session, step, opening) => {
                session.commit(step, now);
                self.openings.insert(&opening.ephemeral.0, now.day(), MAX_OPENINGS);
                committed.prekeys_used = prekeys.use_up(opening.one_time, opening.kem);
                // Each of its first slips says so; one of them comes first.
                committed.replaces = payload.replaces;
                self.add(*session, now);
                // Whatever was lost, there is a session now.
                self.resets.settle();
            }
        }
        let read = |sealing| prekey::read_sealing(sealing, &cert.device, now.day()).ok();
        if let Some(prekey) = payload.sealing.as_ref().and_then(read) {
            self.learn_sealing(&prekey);
        }
        self.resend |= committed.replaces;
        self.outers.insert(outer, now.day(), MAX_OUTERS);
        self.messages.push(id);
        self.messages.drain(..self.messages.len().saturating_sub(MAX_MESSAGES));
        self.forget(now);
        committed
    }

    /// An outer of this device holds a slip that no session opens.
    pub(crate) fn lose(&mut self, outer: &[u8], slip: &[u8], now: Time) {
        self.outers.insert(outer, now.day(), MAX_OUTERS);
        self.resets.want();
        let number = Slip::read(slip).map_or(0, |slip| slip.head.number);
        if number <= self.heard.saturating_add(MAX_NUMBER_STEP) {
            self.heard = self.heard.max(number);
        }
    }

    /// The sessions may be those of an old copy.
    pub(crate) fn distrust(&mut self) {
        if !self.sessions.is_empty() {
            self.resets.want();
        }
    }

    fn add(&mut self, session: Session, now: Time) {
        // Who starts a session may have lost that, too.
        self.sent_sealing = None;
        self.heard = self.heard.max(session.number);
        self.sessions.push(session);
        self.forget(now);
    }

    /// Ends all sessions: one of the two devices has another certificate.
    pub(crate) fn end_sessions(&mut self) {
        self.sessions.clear();
        (self.sealing, self.sent_sealing) = (None, None);
    }

    /// Drops sessions and keys that have had their time.
    fn forget(&mut self, now: Time) {
        self.sessions.sort_by_key(|session| core::cmp::Reverse(session.rank()));
        for session in self.sessions.iter_mut().skip(1) {
            session.superseded.get_or_insert(now);
        }
        if let Some(active) = self.sessions.first_mut() {
            active.superseded = None;
        }
        self.sessions.retain(|session| session.superseded.is_none_or(|since| now.since(since) <= OLDER_FOR));
        self.sessions.truncate(MAX_SESSIONS);
        self.sessions.iter_mut().for_each(|session| session.forget(now));
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.list(&self.sessions, |writer, session| session.write(writer));
        writer.u32(self.heard);
        writer.option(self.sealing.as_ref(), |writer, sealing| {
            writer.u32(sealing.day);
            writer.bytes(&sealing.key.0);
        });
        writer.option(self.sent_sealing.as_ref(), |writer, id| writer.u32(id.0));
        self.outers.write(&mut writer);
        self.openings.write(&mut writer);
        writer.list(&self.messages, |writer, id| writer.bytes(&id.0));
        self.resets.write(&mut writer);
        writer.flag(self.resend);
        writer.finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let peer = Self {
            sessions: read_list(&mut reader, MAX_SESSIONS, Session::read)?,
            heard: reader.u32()?,
            sealing: read_option(&mut reader, |reader| {
                Some(Sealing { day: reader.u32()?, key: AgreementPublic(reader.array()?) })
            })?,
            sent_sealing: read_option(&mut reader, |reader| reader.u32().map(PrekeyId))?,
            outers: Seen::read(&mut reader, MAX_OUTERS)?,
            openings: Seen::read(&mut reader, MAX_OPENINGS)?,
            messages: read_list(&mut reader, MAX_MESSAGES, |reader| reader.array().map(MessageId))?,
            resets: Resets::read(&mut reader)?,
            resend: read_flag(&mut reader)?,
        };
        reader.end()?;
        Some(peer)
    }
}
