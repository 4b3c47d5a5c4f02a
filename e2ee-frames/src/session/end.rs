//! When a session must not go on: its state may be counting elsewhere too.
//!
//! A restored snapshot of a machine and a forked process have keys and counters that somebody else goes on with, and
//! then one nonce would seal two frames. Both end the session, which erases its keys. So does sleep, after which the
//! others have long rotated this device out.

use super::{Action, Ended, Session};
use crate::keys::{receiver::Receiver, sender::OwnKeys};
use e2ee_core::{AgreementKey, Primitives, Process};

/// How far the wall clock may move against the monotonic one between two events, milliseconds.
const MAX_JUMP_MS: u64 = 30_000;

/// Where and when the session lives.
pub(super) struct Life {
    /// Wall clock less monotonic clock at the last event. Slow drift is followed.
    offset: i128,
    ended: bool,
    process: Process,
}

impl Life {
    pub(super) fn new(now: u64, wall: u64) -> Self {
        Self { offset: offset(now, wall), ended: false, process: Process::current() }
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}

fn offset(now: u64, wall: u64) -> i128 {
    i128::from(wall).saturating_sub(i128::from(now))
}

impl<P: Primitives> Session<P> {
    /// Whether frames may be sealed and opened here. In a forked copy the session ends.
    pub(super) fn lives(&mut self) -> bool {
        if !self.life.ended && !self.life.process.is_current() {
            self.end(Ended::Forked);
        }
        !self.life.ended
    }

    /// The same for an event at these times, which must not be far apart from those of the last.
    pub(super) fn lives_at(&mut self, now: u64, wall: u64) -> bool {
        if !self.lives() {
            return false;
        }
        let offset = offset(now, wall);
        if offset.abs_diff(self.life.offset) > u128::from(MAX_JUMP_MS) {
            self.end(Ended::ClockJumped);
        }
        self.life.offset = offset;
        !self.life.ended
    }

    fn end(&mut self, reason: Ended) {
        self.life.ended = true;
        self.own = OwnKeys::default();
        self.receiver = Receiver::default();
        self.ephemeral.secret = P::Agreement::from_seed(&[0; 32]);
        self.previous_ephemeral = None;
        self.held.clear();
        self.actions.clear();
        self.actions.push_back(Action::Ended(reason));
    }
}
