//! One device in one call: takes events and frames, gives actions and sealed frames.
//!
//! ```text
//!   Event ──► handle ──► membership   (announces: who is verified)        ──┐
//!                   ├──► distribution (own keys: ratchet, rotate, seal)   ──┼──► Action ──► poll
//!                   └──► reception    (their keys: check, hold, request)  ──┘
//!   frames ─► seal / open (frames), seal_bare / open_bare (bare_frames)
//! ```
//! Time is an argument: `now` in monotonic milliseconds, `wall` in milliseconds since 1970. Timers run inside
//! [`Session::handle`]; [`Session::deadline`] tells when the next [`Event::Tick`] is wanted.

mod action;
mod bare_frames;
mod distribution;
mod end;
mod event;
#[cfg(feature = "external-cipher")]
pub mod external;
mod frames;
mod membership;
mod reception;
#[cfg(test)]
mod tests;

pub use action::{Action, Ended, Problem};
pub use event::{Event, EventError};
pub use frames::{OpenError, Opened, SealError};

use crate::{
    ids::{ParticipantId, Seat},
    keys::{
        display::MAX_NAME_BYTES,
        identity::{Call, Identity},
        invite::InviteKeys,
        receiver::Receiver,
        roster::Roster,
        sender::OwnKeys,
    },
};
use alloc::{boxed::Box, collections::VecDeque, string::String};
use e2ee_core::{Primitives, Random, SortedMap, Standard};
use end::Life;
use membership::Ephemeral;
use reception::{Held, Wanted};

/// What a session is made of. Not `Debug`: it holds the invite secret.
pub struct SessionConfig<'a> {
    /// The room, as its link names it.
    pub room: [u8; 16],
    /// The call in the room, as the server labels it: the same for all devices. No security rests on it.
    pub call: [u8; 16],
    /// The invite secret of the room's link: 32 random bytes that the server does not have.
    pub invite: [u8; 32],
    /// The name to show others: at most 256 bytes of UTF-8.
    pub name: &'a str,
    /// How often keys and announces are renewed.
    pub timing: Timing,
}

impl<'a> SessionConfig<'a> {
    /// A configuration with the usual timing.
    #[must_use]
    pub fn new(room: [u8; 16], call: [u8; 16], invite: [u8; 32], name: &'a str) -> Self {
        Self { room, call, invite, name, timing: Timing::default() }
    }
}

/// How often keys and announces are renewed, milliseconds. Larger values than the default are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Age at which a key generation is replaced.
    pub rotation_ms: u64,
    /// Age at which the announce is renewed, with a new ephemeral key.
    pub renewal_ms: u64,
    /// How long an announce is valid; longer than the renewal.
    pub validity_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { rotation_ms: 10 * 60_000, renewal_ms: 10 * 60_000, validity_ms: 15 * 60_000 }
    }
}

/// A configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The name is longer than 256 bytes.
    #[error("a name has at most 256 bytes")]
    Name,
    /// A time is zero, longer than the default, or the announce would run out before its renewal.
    #[error("renewal times may only be shortened, and an announce must outlive its renewal")]
    Timing,
}

/// One device in one call. Dropping it erases its keys.
///
/// `now` is always monotonic time in milliseconds, from any start; a time before the last one counts as the last one.
/// `wall` is milliseconds since 1970, which announces carry and others check to ten minutes. They must be clocks of their
/// own: a difference that jumps by more than 30 s between two events ends the session.
///
/// After every call of a method that takes `now`, [`Self::poll`] may have something and [`Self::deadline`] be another.
pub struct Session<P: Primitives = Standard> {
    call: Call,
    invite: InviteKeys,
    identity: Identity<P>,
    random: Box<dyn Random>,
    timing: Timing,
    name: String,
    now: u64,
    wall: u64,
    life: Life,
    ephemeral: Ephemeral<P>,
    /// The one before, and when it is erased.
    previous_ephemeral: Option<(Ephemeral<P>, u64)>,
    renew_at: u64,
    seat: Option<Seat>,
    joined_at: u64,
    roster: Roster<P>,
    receiver: Receiver<P>,
    own: OwnKeys<P>,
    /// When newcomers are given a key.
    serve_at: Option<u64>,
    /// When key requests are answered.
    answer_at: Option<u64>,
    held: VecDeque<Held>,
    /// Keys to ask for, by the sender's join id.
    wanted: SortedMap<[u8; 32], Wanted>,
    next_request_at: u64,
    actions: VecDeque<Action>,
}

impl Session {
    /// A new device with fresh identity; its announce is the first action.
    ///
    /// # Errors
    /// If the name or the timing is out of range.
    pub fn new(
        config: SessionConfig<'_>,
        random: impl Random + 'static,
        now: u64,
        wall: u64,
    ) -> Result<Self, SessionError> {
        Self::with_primitives(config, random, now, wall)
    }
}

impl<P: Primitives> Session<P> {
    pub(crate) fn with_primitives(
        config: SessionConfig<'_>,
        random: impl Random + 'static,
        now: u64,
        wall: u64,
    ) -> Result<Self, SessionError> {
        if config.name.len() > MAX_NAME_BYTES {
            return Err(SessionError::Name);
        }
        let (timing, most) = (config.timing, Timing::default());
        let in_range = (1..=most.rotation_ms).contains(&timing.rotation_ms)
            && (1..=most.renewal_ms).contains(&timing.renewal_ms)
            && (1..=most.validity_ms).contains(&timing.validity_ms)
            && timing.renewal_ms < timing.validity_ms;
        if !in_range {
            return Err(SessionError::Timing);
        }
        let mut random: Box<dyn Random> = Box::new(random);
        let call = Call { room: config.room, call: config.call };
        let identity = Identity::generate(&call, &mut *random);
        let mut session = Self {
            invite: InviteKeys::new::<P>(&config.invite),
            ephemeral: Ephemeral::generate(1, &mut *random),
            call,
            identity,
            random,
            timing,
            name: String::from(config.name),
            now,
            wall,
            life: Life::new(now, wall),
            previous_ephemeral: None,
            renew_at: 0,
            seat: None,
            joined_at: 0,
            roster: Roster::default(),
            receiver: Receiver::default(),
            own: OwnKeys::default(),
            serve_at: None,
            answer_at: None,
            held: VecDeque::new(),
            wanted: SortedMap::default(),
            next_request_at: 0,
            actions: VecDeque::new(),
        };
        session.announce();
        Ok(session)
    }

    /// Takes an event and runs the timers that are due.
    ///
    /// # Errors
    /// If the event's bytes are malformed or it does not fit the state; nothing changed then but time.
    pub fn handle(&mut self, now: u64, wall: u64, event: Event<'_>) -> Result<(), EventError> {
        self.now = self.now.max(now);
        self.wall = wall;
        if !self.lives_at(now, wall) {
            return Err(EventError::Ended);
        }
        let result = match event {
            Event::Tick => Ok(()),
            Event::Joined { seat } => self.joined(seat),
            Event::Announces(body) => self.announces(body),
            Event::Left(participants) => {
                self.left(participants);
                Ok(())
            }
            Event::Keys(body) => self.keys(body),
            Event::KeyRequest(body) => self.key_request(body),
            Event::StreamOpened(stream) => self.stream_opened(stream),
            Event::StreamClosed(stream) => {
                self.own.streams.remove(&stream);
                Ok(())
            }
        };
        self.run_timers();
        result
    }

    /// The next thing for the caller to do. To be drained after every other call.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When the next [`Event::Tick`] is wanted; a time that has passed means at once.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        let waiting = (!self.actions.is_empty()).then_some(self.now);
        if self.life.ended() {
            return waiting;
        }
        let deadlines = [
            waiting,
            Some(self.renew_at),
            self.previous_ephemeral.as_ref().map(|(_, until)| *until),
            self.roster.next_expiry(),
            self.receiver.next_death(),
            self.next_distribution(),
            self.next_reception(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn run_timers(&mut self) {
        self.renew_announce();
        self.remove_expired();
        self.receiver.erase_dead(self.now);
        self.distribute();
        self.receive();
    }

    /// The server has seated this device.
    fn joined(&mut self, seat: Seat) -> Result<(), EventError> {
        match self.seat {
            _ if seat > Seat::MAX => Err(EventError::Malformed),
            Some(own) if own == seat => Ok(()),
            Some(_) => Err(EventError::AlreadyJoined),
            None => {
                self.seat = Some(seat);
                self.joined_at = self.now;
                self.first_key();
                Ok(())
            }
        }
    }

    fn problem(&mut self, participant: ParticipantId, problem: Problem) {
        self.actions.push_back(Action::Problem { participant, problem });
    }

    /// Reports every open stream that has a key now.
    fn report_ready(&mut self) {
        if self.own.current.is_none() {
            return;
        }
        for (stream, ready) in self.own.streams.iter_mut() {
            if !core::mem::replace(ready, true) {
                self.actions.push_back(Action::StreamReady { stream: *stream });
            }
        }
    }
}
