//! Who enters, and what of an earlier session they continue.
//!
//! | shown | state of the session | continues |
//! |---|---|---|
//! | session token, proof | held, and what the client lacks is kept | everything |
//! | session token, proof | held, but messages are lost | the participant; the session ends |
//! | session token, proof | unknown while a restarted server gathers | participant and seat |
//! | session token, proof | over, in the same call | the participant |
//! | reload token | held, or over for at most 30 s; first use | the participant; the session ends |
//! | reload token of at most 60 s | unknown, on a restarted server | the participant |
//! | reload token | never joined | nothing: refused |
//! | any | another call, a goodbye, another session of the same participant | nothing: refused |

use super::{DepartedSession, Guest, KeptOut, Room, Standing, wake};
use crate::resume::token::Claims;
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use tacet_proto::{CallId, Capabilities, CloseCode, ParticipantId, Role, SessionId, resume::Continues};

/// How long after its participant was last there a reload token is good.
pub(super) const RELOAD: Duration = Duration::from_secs(30);
/// How old a token may be that names a seat or a reload, on a server that does not know the session.
pub const RECENT: Duration = Duration::from_secs(60);
/// Time from `welcome` to `join`.
pub(crate) const JOIN_TIME: Duration = Duration::from_secs(30);
/// Maximum number of sessions that are remembered after their end.
const MAX_DEPARTED: usize = 4_096;

/// Ids for a client that enters, in case it needs them.
#[derive(Clone, Copy, Debug)]
pub struct FreshIds {
    /// Of a new participant.
    pub participant: ParticipantId,
    /// Of a new session.
    pub session: SessionId,
    /// Of a new call.
    pub call: CallId,
}

/// What a client shows that enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing but its credential.
    Newcomer,
    /// A session token, and a valid proof.
    Session {
        /// What the token says.
        claims: Claims,
        /// Whether the messages that the client lacks are kept.
        covered: bool,
        /// Whether the token is not older than [`RECENT`].
        recent: bool,
    },
    /// A reload token.
    Reload {
        /// What the token says.
        claims: Claims,
        /// Whether the token is not older than [`RECENT`].
        recent: bool,
    },
}

/// A client that has entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Its id.
    pub participant: ParticipantId,
    /// The call.
    pub call: CallId,
    /// Whether the call begins with it.
    pub begins: bool,
    /// Its session.
    pub session: SessionId,
    /// What it still has of its earlier session.
    pub continues: Continues,
    /// What it is in the room.
    pub role: Role,
    /// What it may do there.
    pub capabilities: Capabilities,
}

/// Why a client does not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    /// The session cannot be continued.
    #[error("the session cannot be continued")]
    NotResumable,
    /// The room is locked.
    #[error("the room is locked")]
    Locked,
    /// The holder of this token was banned.
    #[error("banned from the room")]
    Banned,
}

impl From<KeptOut> for NotEntered {
    fn from(kept_out: KeptOut) -> Self {
        match kept_out {
            KeptOut::Locked => Self::Locked,
            KeptOut::Banned => Self::Banned,
        }
    }
}

/// Sessions of this call that have ended without a goodbye, as far as they are remembered.
#[derive(Debug, Default)]
pub(super) struct Departed {
    sessions: BTreeMap<ParticipantId, DepartedSession>,
    order: VecDeque<ParticipantId>,
}

impl Departed {
    pub(super) fn insert(&mut self, participant: ParticipantId, departed: DepartedSession) {
        if self.sessions.insert(participant, departed).is_none() {
            self.order.push_back(participant);
        }
        if self.sessions.len() > MAX_DEPARTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }

    pub(super) fn get(&self, participant: ParticipantId) -> Option<&DepartedSession> {
        self.sessions.get(&participant)
    }

    pub(super) fn remove(&mut self, participant: ParticipantId) {
        if self.sessions.remove(&participant).is_some() {
            self.order.retain(|other| *other != participant);
        }
    }
}

impl Room {
    /// A client sent `hello` with a valid credential, from which it has this standing. A connection that it had before is no
    /// longer its own. Who returns to a session has the standing of that.
    ///
    /// # Errors
    /// The session that it asks to continue is over for good, or another's; or the room keeps it out.
    pub fn enter(
        &mut self,
        now: Instant,
        entry: Entry,
        standing: Standing,
        fresh: FreshIds,
    ) -> Result<Entered, NotEntered> {
        let join_by = Some(now + JOIN_TIME);
        let (claims, proven, covered) = match entry {
            Entry::Newcomer => {
                self.admittance.check(&standing)?;
                let guest = Guest { session: fresh.session, standing, before: None, place: None, join_by };
                return Ok(self.admit(fresh.participant, guest, Continues::Nothing, fresh.call));
            }
            Entry::Session { claims, covered, .. } => (claims, true, covered),
            Entry::Reload { claims, .. } => (claims, false, false),
        };
        let participant = claims.participant;
        let guest = self.guests.get(&participant).map(|guest| &guest.standing);
        let standing = match guest.or_else(|| self.departed.get(participant).map(|departed| &departed.standing)) {
            Some(before) => standing.continuing(before).ok_or(NotEntered::NotResumable)?,
            None => standing,
        };
        if self.admittance.is_banned(&standing) {
            return Err(NotEntered::Banned);
        }
        if self.call != Some(claims.call) || self.gone.contains(&participant) {
            return Err(NotEntered::NotResumable);
        }
        if let Some(guest) = self.guests.get(&participant) {
            let own = guest.session == claims.session;
            let (role, capabilities) = (guest.standing.role, guest.standing.capabilities());
            match self.members.get_mut(&participant) {
                Some(member) if own && (!proven || member.announced.device() == claims.device.as_ref()) => {
                    if covered {
                        member.presence.attach(now);
                        member.backlog.touch(now);
                        wake(&mut self.wake, member.backlog.due());
                        self.presence_changed(now, participant);
                        self.renew_transport(now, participant);
                        self.settle(now);
                        let (call, session) = (claims.call, claims.session);
                        let continues = Continues::Session;
                        return Ok(Entered {
                            participant,
                            call,
                            begins: false,
                            session,
                            continues,
                            role,
                            capabilities,
                        });
                    }
                    tracing::debug!(participant = participant.0, "the session ends for another one");
                    self.await_return(now, participant);
                }
                // It entered, did not join, and tries again.
                None if own || guest.before == Some(claims.session) => self.free(now, participant),
                _ => return Err(NotEntered::NotResumable),
            }
        }
        let continues = match self.continues(now, &entry, &claims) {
            Ok(continues) => continues,
            Err(refused) => {
                // In case that it was here until now.
                self.outputs.end(participant, CloseCode::NotResumable, "the session cannot be continued");
                self.end_deserted_call();
                return Err(refused);
            }
        };
        let place = claims.device.map(|device| (claims.seat, device));
        let role = self.assigned.get(&participant).copied().unwrap_or(standing.role);
        let standing = Standing { role, ..standing };
        let guest = match continues {
            Continues::Seat => Guest { session: claims.session, standing, before: None, place, join_by },
            _ => Guest { session: fresh.session, standing, before: Some(claims.session), place: None, join_by },
        };
        let entered = self.admit(participant, guest, continues, claims.call);
        self.settle(now);
        Ok(entered)
    }

    /// What is left of a session that is not held.
    fn continues(&mut self, now: Instant, entry: &Entry, claims: &Claims) -> Result<Continues, NotEntered> {
        let departed = self.departed.get(claims.participant);
        if departed.is_some_and(|departed| departed.session != claims.session) {
            return Err(NotEntered::NotResumable);
        }
        match (*entry, departed) {
            (Entry::Session { recent: true, .. }, None)
                if self.gathering.is_some()
                    && claims.device.is_some()
                    && !self.departed_before.contains(&claims.session)
                    && self.seats.claim(now, claims.seat) =>
            {
                Ok(Continues::Seat)
            }
            (Entry::Session { .. }, _) => Ok(Continues::Participant),
            (Entry::Reload { .. }, Some(DepartedSession { seen, .. }))
                if now.saturating_duration_since(*seen) <= RELOAD =>
            {
                Ok(Continues::Participant)
            }
            // The server has started since. Who never joined returns to nothing, and its token names no device.
            (Entry::Reload { recent: true, .. }, None) if claims.device.is_some() => Ok(Continues::Participant),
            _ => Err(NotEntered::NotResumable),
        }
    }

    /// Closes those that have entered and do not join: they are on no roster, and would keep the call from its end.
    pub(super) fn close_unjoined(&mut self, now: Instant) {
        let late = |(participant, guest): (&ParticipantId, &Guest)| {
            guest.join_by.is_some_and(|join_by| join_by <= now).then_some(*participant)
        };
        let late: Vec<_> = self.guests.iter().filter_map(late).collect();
        for participant in late {
            self.end(now, participant, CloseCode::IdleOrSlow, "no join in time");
        }
        wake(&mut self.wake, self.guests.values().filter_map(|guest| guest.join_by).min());
    }

    fn admit(&mut self, participant: ParticipantId, guest: Guest, continues: Continues, call: CallId) -> Entered {
        let (session, role, capabilities) = (guest.session, guest.standing.role, guest.standing.capabilities());
        wake(&mut self.wake, guest.join_by);
        self.guests.insert(participant, guest);
        let begins = self.call.is_none();
        let call = *self.call.get_or_insert(call);
        Entered { participant, call, begins, session, continues, role, capabilities }
    }
}
