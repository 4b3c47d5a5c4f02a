//! The slots that get the packets of a track or an encoding.

use crate::keys::{ParticipantKey, SlotKey};

/// A slot, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscriber {
    pub(crate) participant: ParticipantKey,
    pub(crate) slot: SlotKey,
}

/// A set of slots, in the order of participants.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Vec<Subscriber>);

impl Subscribers {
    /// Adds or removes a slot.
    pub(crate) fn set(&mut self, subscriber: Subscriber, subscribed: bool) {
        match (self.0.binary_search(&subscriber), subscribed) {
            (Err(at), true) => self.0.insert(at, subscriber),
            (Ok(at), false) => {
                self.0.remove(at);
            }
            _ => {}
        }
    }

    /// Adds slots, which are in the order of participants.
    pub(crate) fn insert_all(&mut self, subscribers: &[Subscriber]) {
        self.0.extend_from_slice(subscribers);
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Removes slots, which are in the order of participants.
    pub(crate) fn remove_all(&mut self, subscribers: &[Subscriber]) {
        let mut removed = subscribers.iter().peekable();
        self.0.retain(|subscriber| {
            while removed.next_if(|next| *next < subscriber).is_some() {}
            removed.peek() != Some(&subscriber)
        });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Subscriber> {
        self.0.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The subscriber at a position.
    pub(crate) fn get(&self, position: usize) -> Option<Subscriber> {
        self.0.get(position).copied()
    }

    /// The position of the first subscriber behind a participant.
    pub(crate) fn position_behind(&self, participant: ParticipantKey) -> usize {
        self.0.partition_point(|subscriber| subscriber.participant <= participant)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotKey> {
        self.0.iter().map(|subscriber| subscriber.slot)
    }
}

impl FromIterator<Subscriber> for Subscribers {
    fn from_iter<I: IntoIterator<Item = Subscriber>>(subscribers: I) -> Self {
        let mut sorted: Vec<_> = subscribers.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self(sorted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    #[test]
    fn subscribers_are_a_set_in_the_order_of_participants() {
        let (mut participants, mut slots) = (SlotMap::default(), SlotMap::default());
        let [first, second] = [(); 2].map(|()| participants.insert(()));
        let mut of = |participant| Subscriber { participant, slot: slots.insert(()) };
        let all = [second, first, second].map(&mut of);
        let mut subscribers = Subscribers::default();
        all.into_iter().chain(all).for_each(|subscriber| subscribers.set(subscriber, true));
        assert_eq!([0, 1, 2, 3].map(|n| subscribers.get(n)), [Some(all[1]), Some(all[0]), Some(all[2]), None]);
        assert_eq!([first, second].map(|participant| subscribers.position_behind(participant)), [1, 3]);
        all.into_iter().chain(all).for_each(|subscriber| subscribers.set(subscriber, false));
        assert!(subscribers.is_empty());
        let sorted = [all[1], all[0], all[2]];
        subscribers.insert_all(&sorted[..2]);
        subscribers.insert_all(&sorted[1..]);
        assert_eq!(subscribers.iter().collect::<Vec<_>>(), sorted);
        subscribers.remove_all(&[sorted[0], sorted[2]]);
        assert_eq!(subscribers.iter().collect::<Vec<_>>(), sorted[1..2]);
    }
}
