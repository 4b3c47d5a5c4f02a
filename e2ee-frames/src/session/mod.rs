//! One device in one call: consumes events and frames, returns actions and sealed frames.
//!
//! ```text
//!   Event ──► handle ──► membership   (announces: who is verified)        ──┐
//!                   ├──► distribution (own key: ratchet, rotate, seal)   ──┼──► Action ──► poll
//!                   ├──► reception    (their keys: check, hold, request)  ──┤
//!                   ├──► agreement    (their rosters: compare, report)    ──┤
//!                   └──► chat         (seal, send until accepted; open)   ──┘
//!   frames ─► seal / open (frames), seal_bare / open_bare (bare_frames)
//! ```
//! Time is an argument, a [`Clock`]. Timers run inside [`Session::handle`]; [`Session::deadline`] is when the next
//! [`Event::Tick`] is due.

mod action;
mod agreement;
mod bare_frames;
mod chat;
mod distribution;
mod end;
mod event;
#[cfg(feature = "external-cipher")]
pub mod external;
mod frames;
mod link;
mod membership;
mod reception;
mod resume;
#[cfg(test)]
mod tests;

pub use action::{Action, Ended, Problem};
pub use event::{Event, EventError};
pub use frames::{OpenError, Opened, SealError};

use crate::{
    clock::{Clock, MonotonicTime},
    ids::{ParticipantId, Seat, StreamId},
    keys::{
        display::MAX_NAME_BYTES,
        identity::{Call, Identity, JoinId},
        invite::InviteKeys,
        leaves::Leaves,
        receiver::Receiver,
        roster::Roster,
        sender::OwnKeys,
    },
    names::Name,
};
use agreement::Agreement;
use alloc::{boxed::Box, collections::VecDeque};
use chat::Chat;
use core::time::Duration;
use e2ee_core::{Primitives, Random, SortedMap, Standard};
use end::Life;
use link::Link;
use membership::Ephemeral;
use reception::{Held, Wanted};

/// Shortest time in [`Timing`].
const SHORTEST: Duration = Duration::from_millis(1);

/// The configuration of a session. Not `Debug`: it holds the invite secret.
pub struct SessionConfig<'a> {
    /// The room's id, from its link.
    pub room: [u8; 16],
    /// The server's label of the call: the same for all devices. No security depends on it.
    pub call: [u8; 16],
    /// The invite secret of the room's link: 32 random bytes that the server never receives.
    pub invite: [u8; 32],
    /// The name shown to others: at most 256 bytes of UTF-8. [Cleaned](crate::names::harmless) before it is sealed.
    pub name: &'a str,
    /// How often keys and announces are renewed.
    pub timing: Timing,
}

impl<'a> SessionConfig<'a> {
    /// A configuration with the default timing.
    #[must_use]
    pub fn new(room: [u8; 16], call: [u8; 16], invite: [u8; 32], name: &'a str) -> Self {
        Self { room, call, invite, name, timing: Timing::default() }
    }
}

/// How often keys and announces are renewed. Larger values than the default are refused. Resolution is one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Age at which a key generation is replaced.
    pub rotation: Duration,
    /// Age at which the announce is renewed, with a new ephemeral key.
    pub renewal: Duration,
    /// How long an announce is valid; longer than the renewal.
    pub validity: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        Self { rotation: minutes(10), renewal: minutes(10), validity: minutes(15) }
    }
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The name is longer than 256 bytes, or cannot be sealed.
    #[error("a name has at most 256 bytes")]
    Name,
    /// A time is zero or longer than the default, or the announce would expire before its renewal.
    #[error("renewal times may only be shortened, and an announce must outlive its renewal")]
    Timing,
}

/// One device in one call. Dropping it erases its keys.
///
/// Methods that depend on time take a [`Clock`]. Its wall time is what announces carry; others accept a skew of ten
/// minutes. If the two clocks move apart by more than 30 s between two calls, the session ends.
///
/// After every call that takes a clock, [`Self::poll`] may return an action and [`Self::deadline`] may have moved.
pub struct Session<P: Primitives = Standard> {
    call: Call,
    invite: InviteKeys,
    identity: Identity<P>,
    random: Box<dyn Random>,
    timing: Timing,
    name: Name,
    clock: Clock,
    life: Life,
    link: Link,
    ephemeral: Ephemeral<P>,
    /// The previous key, and when it is erased.
    previous_ephemeral: Option<(Ephemeral<P>, MonotonicTime)>,
    renew_at: MonotonicTime,
    seat: Option<Seat>,
    joined_at: MonotonicTime,
    roster: Roster<P>,
    receiver: Receiver<P>,
    own: OwnKeys<P>,
    /// Leaves heard of.
    leaves: Leaves,
    /// What the others' rosters are, as they state.
    agreement: Agreement,
    /// Whether the roster has changed since the call code was reported.
    code_changed: bool,
    held: VecDeque<Held>,
    chat: Chat,
    /// Keys to request, by the sender's join id.
    wanted: SortedMap<JoinId, Wanted>,
    next_request_at: MonotonicTime,
    actions: VecDeque<Action>,
}

impl Session {
    /// Creates a device with a fresh identity. Its announce is the first action.
    ///
    /// # Errors
    /// If the name or the timing is out of range.
    pub fn new(config: SessionConfig<'_>, random: impl Random + 'static, clock: Clock) -> Result<Self, SessionError> {
        Self::with_primitives(config, random, clock)
    }
}

impl<P: Primitives> Session<P> {
    pub(crate) fn with_primitives(
        config: SessionConfig<'_>,
        random: impl Random + 'static,
        clock: Clock,
    ) -> Result<Self, SessionError> {
        if config.name.len() > MAX_NAME_BYTES {
            return Err(SessionError::Name);
        }
        let (timing, most) = (config.timing, Timing::default());
        let in_range = (SHORTEST..=most.rotation).contains(&timing.rotation)
            && (SHORTEST..=most.renewal).contains(&timing.renewal)
            && (SHORTEST..=most.validity).contains(&timing.validity)
            && timing.renewal < timing.validity;
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
            name: Name::own(config.name),
            clock,
            life: Life::new(clock),
            link: Link::Attached,
            previous_ephemeral: None,
            renew_at: clock.now,
            seat: None,
            joined_at: clock.now,
            roster: Roster::default(),
            receiver: Receiver::default(),
            own: OwnKeys::default(),
            leaves: Leaves::default(),
            agreement: Agreement::default(),
            code_changed: false,
            held: VecDeque::new(),
            chat: Chat::default(),
            wanted: SortedMap::default(),
            next_request_at: clock.now,
            actions: VecDeque::new(),
        };
        session.announce(true).ok_or(SessionError::Name)?;
        Ok(session)
    }

    /// Handles an event and runs the timers that are due.
    ///
    /// # Errors
    /// If the event is malformed or does not fit the state. Only time has advanced then.
    pub fn handle(&mut self, clock: Clock, event: Event<'_>) -> Result<(), EventError> {
        if !self.advance(clock) {
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
            Event::KeyBatchAccepted { number } => {
                self.key_batch_accepted(number);
                Ok(())
            }
            Event::Detached => {
                self.detach();
                Ok(())
            }
            Event::Attached { fresh } => {
                self.attach(fresh);
                Ok(())
            }
            Event::Chat(body) => self.chat_received(body),
            Event::SendChat { id, content } => self.send_chat(id, content),
            Event::ChatAnswered { id } => {
                self.chat_answered(id);
                Ok(())
            }
            Event::StreamOpened(StreamId::DATA) | Event::StreamClosed(StreamId::DATA) => Err(EventError::Malformed),
            Event::StreamOpened(stream) => self.stream_opened(stream),
            Event::StreamClosed(stream) => {
                self.own.streams.remove(&stream);
                Ok(())
            }
        };
        self.run_timers();
        self.report_call_code();
        result
    }

    /// Returns the next action for the caller. To be drained after every other call.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When the next [`Event::Tick`] is due; a time in the past means now.
    #[must_use]
    pub fn deadline(&self) -> Option<MonotonicTime> {
        let waiting = (!self.actions.is_empty()).then_some(self.clock.now);
        if self.life.ended() {
            return waiting;
        }
        let deadlines = [
            waiting,
            self.next_announce(),
            self.roster.next_expiry(),
            self.receiver.next_death(),
            self.next_distribution(),
            self.next_reception(),
            self.next_agreement(),
            self.next_chat(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn run_timers(&mut self) {
        self.renew_announce();
        self.remove_expired();
        self.receiver.erase_dead(self.clock.now);
        self.distribute();
        self.run_chat();
        self.compare_rosters();
        self.receive();
    }

    /// The server has admitted this device.
    fn joined(&mut self, seat: Seat) -> Result<(), EventError> {
        match self.seat {
            _ if seat > Seat::MAX => Err(EventError::Malformed),
            Some(own) if own == seat => {
                self.admitted();
                Ok(())
            }
            Some(_) => Err(EventError::AlreadyJoined),
            None => {
                self.seat = Some(seat);
                self.joined_at = self.clock.now;
                self.roster_changed();
                self.admitted();
                self.first_key();
                Ok(())
            }
        }
    }

    #[inline(never)]
    fn problem(&mut self, participant: ParticipantId, problem: Problem) {
        self.actions.push_back(Action::Problem { participant, problem });
    }

    fn solved(&mut self, participant: ParticipantId, problem: Problem) {
        self.actions.push_back(Action::ProblemSolved { participant, problem });
    }

    /// Reports the call code once after an event that changed it.
    fn report_call_code(&mut self) {
        if core::mem::take(&mut self.code_changed)
            && let Some(code) = self.call_code()
        {
            self.actions.push_back(Action::CallCodeChanged(code));
        }
    }

    /// Reports open streams as ready once there is a key.
    fn report_ready(&mut self) {
        if self.own.key.current().is_none() {
            return;
        }
        for (stream, ready) in self.own.streams.iter_mut() {
            if !core::mem::replace(ready, true) && *stream != StreamId::DATA {
                self.actions.push_back(Action::StreamReady { stream: *stream });
            }
        }
    }
}
