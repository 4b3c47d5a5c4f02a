//! The end of a session whose counters may also be in use elsewhere.
//!
//! A machine restored from a snapshot and a forked process share keys and counters with the original, so one nonce could
//! seal two frames. Both end the session, which erases its keys and everything that it knows of the others, except after a
//! jump of the clock its signing key: that signs nothing any more but a proof of return. So does sleep, after which the others have long removed
//! this device.

use super::{Action, Ended, Session, agreement::Agreement, chat::Chat};
use crate::clock::Clock;
use crate::keys::{leaves::Leaves, receiver::Receiver, roster::Roster, sender::OwnKeys};
use core::time::Duration;
use e2ee_core::{AgreementKey, Primitives, Process, SortedMap};

/// Maximum movement of the wall clock against the monotonic one between two readings.
const MAX_JUMP: Duration = Duration::from_secs(30);

/// The process and the clocks of the session.
pub(super) struct Life {
    /// Wall clock minus monotonic clock at the last reading, milliseconds. Slow drift is followed.
    offset: i128,
    ended: Option<Ended>,
    process: Process,
}

impl Life {
    pub(super) fn new(clock: Clock) -> Self {
        Self { offset: offset(clock), ended: None, process: Process::current() }
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether this is a copy of the process that created the session.
    pub(super) fn forked(&self) -> bool {
        self.ended == Some(Ended::Forked)
    }
}

/// Wall clock minus monotonic clock, milliseconds.
fn offset(clock: Clock) -> i128 {
    i128::from(clock.wall.as_millis()).saturating_sub(i128::from(clock.now.as_millis()))
}

impl<P: Primitives> Session<P> {
    /// Advances time. Returns whether the session is alive: it ends in a forked copy, and when the clocks jump.
    pub(super) fn advance(&mut self, clock: Clock) -> bool {
        self.clock = Clock { now: self.clock.now.max(clock.now), wall: clock.wall };
        if self.life.ended() {
            return false;
        }
        let offset = offset(clock);
        if !self.life.process.is_current() {
            self.end(Ended::Forked);
        } else if offset.abs_diff(self.life.offset) > MAX_JUMP.as_millis() {
            self.end(Ended::ClockJumped);
        }
        self.life.offset = offset;
        !self.life.ended()
    }

    fn end(&mut self, reason: Ended) {
        self.life.ended = Some(reason);
        self.own = OwnKeys::default();
        self.receiver = Receiver::default();
        self.ephemeral.secret = P::Agreement::from_seed(&[0; 32]);
        self.previous_ephemeral = None;
        // A machine that slept proves with its device key which participant it was. A copy must not.
        if reason == Ended::Forked {
            self.identity.erase();
        }
        self.invite.erase();
        // With the box keys of members, their names, and the keys of batches that wait.
        self.roster = Roster::default();
        self.agreement = Agreement::default();
        self.leaves = Leaves::default();
        self.held.clear();
        self.chat = Chat::default();
        self.wanted = SortedMap::default();
        self.actions.clear();
        self.actions.push_back(Action::Ended(reason));
    }
}
