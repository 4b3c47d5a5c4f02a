//! An allocation to all receivers of a room, part by part: packets are forwarded in between.

use super::topology::Participant;
use crate::keys::{ParticipantKey, SlotKey, TransportKey};
use slotmap::SlotMap;

/// Slots of a part, about: they take some milliseconds.
pub(super) const SLOTS_OF_A_PART: usize = 1_000;

/// A pass over all receivers.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// The last receiver of the part before; `None` if no pass is under way.
    behind: Option<ParticipantKey>,
    /// It began before what holds now, and another one follows.
    is_outdated: bool,
    /// Whether videos could be paused before what holds now: these with a single layer may still be.
    pub(super) could_pause: bool,
}

impl Pass {
    /// What holds for all receivers has changed.
    pub(super) fn restart(&mut self, could_pause: bool) {
        self.is_outdated = self.behind.is_some();
        self.could_pause |= could_pause;
    }

    /// Whether the last part was that of the last receivers.
    pub(super) fn is_done(&self) -> bool {
        self.behind.is_none() && !self.is_outdated
    }

    /// Transports and slots of the next receivers. They are in the order of their keys, so that those who come and go meanwhile
    /// change nothing for the others.
    pub(super) fn next_part(
        &mut self,
        participants: &SlotMap<ParticipantKey, Participant>,
    ) -> Vec<(TransportKey, Vec<SlotKey>)> {
        if self.behind.is_none() {
            self.is_outdated = false;
        }
        let rest = participants.iter().filter(|(key, _)| self.behind.is_none_or(|behind| *key > behind));
        let (mut part, mut slots, mut last) = (Vec::new(), 0, None);
        let mut rest = rest.peekable();
        while let Some((key, receiver)) = rest.next_if(|_| slots < SLOTS_OF_A_PART) {
            slots += receiver.slots.len();
            part.push((receiver.transport, receiver.slots.clone()));
            last = Some(key);
        }
        self.behind = last.filter(|_| rest.peek().is_some());
        if self.is_done() {
            self.could_pause = false;
        }
        part
    }
}
