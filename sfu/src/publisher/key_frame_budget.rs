//! How many key frames of a track each of its subscribers may request.
//!
//! The [PLI throttle](super::pli_throttle) bounds the requests of all subscribers together, at a rate that a publisher should
//! not bear for long. The budget keeps one subscriber from using that up: a few requests at once, which cover a join whose
//! first key frame is lost or comes before its decryption key, and after them one every few seconds. It belongs to a
//! subscriber and a track, so that a newcomer gets the first key frame of every camera at once.

use crate::{
    keys::ParticipantKey,
    limits::{KEY_FRAME_BURST, KEY_FRAME_INTERVAL},
};
use std::{collections::HashMap, time::Instant};

/// Budgets of the subscribers of one track.
#[derive(Debug, Default)]
pub(crate) struct KeyFrameBudget {
    /// When the budget will be whole again; none for a subscriber whose budget is.
    whole_at: HashMap<ParticipantKey, Instant>,
}

impl KeyFrameBudget {
    /// Whether the subscriber may request a key frame now; it counts as requested.
    pub(crate) fn take(&mut self, now: Instant, subscriber: ParticipantKey) -> bool {
        let whole_at = self.whole_at.entry(subscriber).or_insert(now);
        let after = (*whole_at).max(now) + KEY_FRAME_INTERVAL;
        let within = after.saturating_duration_since(now) <= KEY_FRAME_INTERVAL * KEY_FRAME_BURST;
        if within {
            *whole_at = after;
        }
        within
    }

    /// Forgets the subscribers whose budget is whole.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.whole_at.retain(|_, whole_at| *whole_at > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;
    use std::time::Duration;

    #[test]
    fn requests_have_a_burst_and_then_an_interval() {
        let (mut budget, start) = (KeyFrameBudget::default(), Instant::now());
        let mut participants: SlotMap<ParticipantKey, ()> = SlotMap::default();
        let (flapping, other) = (participants.insert(()), participants.insert(()));
        let at = |ms| start + Duration::from_millis(ms);
        let admitted: Vec<_> = (0..10_000).step_by(36).filter(|&ms| budget.take(at(ms), flapping)).collect();
        assert_eq!(admitted, [0, 36, 72, 3_024, 6_012, 9_000]);
        assert!(budget.take(at(9_999), other), "another subscriber");
        budget.expire(at(14_000));
        assert_eq!(budget.whole_at.len(), 1);
        budget.expire(at(20_000));
        assert!(budget.whole_at.is_empty());
    }
}
