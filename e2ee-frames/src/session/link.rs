//! The connection to the server: while it is lost, nothing is sent.
//!
//! ```text
//!              Detached                     Attached { fresh: false }
//!  Attached ─────────────► Detached ──────────────────────────────────────► Attached
//!                           ▲    │ Attached { fresh: true }       Joined      ▲
//!                           │    └──────────────────────► Joining ────────────┘
//!                           └──────────── Detached ──────────┘
//! ```
//! Keys, counters, roster and timers go on meanwhile, and frames are sealed and opened: media may take another way. What
//! would be sent waits: a rotation, a step of the ratchet, a switch, a renewed announce, a key request, an answer to one.
//! It follows when the session is attached again, in that order and with windows that begin then. Two things do not wait:
//! members whose announce expires are removed, and keys die in their time, so that a lost connection never prolongs what
//! a device that has left can read.
//!
//! A server that has forgotten the session gets a new announce first, with the same join id, which the others take for a
//! renewal. Nothing else is sent before it has admitted this device again.

use super::{Session, reception::GRACE};
use crate::keys::roster::PREVIOUS_ANNOUNCE_LIFE;
use e2ee_core::Primitives;

/// The connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Attached,
    Detached,
    /// The announce of another join is sent, and the server has not admitted this device yet.
    Joining,
}

impl<P: Primitives> Session<P> {
    /// Whether messages reach the server. What depends on a seat waits for that as well.
    pub(super) fn attached(&self) -> bool {
        self.link == Link::Attached
    }

    pub(super) fn detached(&self) -> bool {
        self.link == Link::Detached
    }

    pub(super) fn detach(&mut self) {
        self.link = Link::Detached;
        self.chat.detached();
    }

    pub(super) fn attach(&mut self, fresh: bool) {
        if fresh {
            self.link = Link::Joining;
            self.announce_again(true);
        } else {
            self.go_on();
        }
    }

    /// The server has admitted this device, the first time or again.
    pub(super) fn admitted(&mut self) {
        if self.link == Link::Joining {
            self.go_on();
        }
    }

    /// The session is attached: what was missed meanwhile follows, so that nothing is requested or forgotten before.
    fn go_on(&mut self) {
        self.link = Link::Attached;
        let now = self.clock.now;
        if let Some(next) = self.own.key.next_mut() {
            next.not_before(now);
        }
        self.agreement.not_before(now);
        for wanted in self.wanted.values_mut() {
            wanted.not_before(now.saturating_add(GRACE));
        }
        if let Some((_, until)) = &mut self.previous_ephemeral {
            *until = now.saturating_add(PREVIOUS_ANNOUNCE_LIFE);
        }
    }
}
