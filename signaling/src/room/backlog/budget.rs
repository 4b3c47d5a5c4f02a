//! How many messages for changes a client is sent, and what share of them each class has.
//!
//! All classes share [`MESSAGES_PER_SECOND`] messages in any second, among which answers and active speakers count, too. A class
//! whose changes have waited for its reserve goes even if these are used up, and its message counts among them; then those go
//! first that have waited longest. So what is alone uses everything, as keys do in a rotation, and what comes beside a flood of
//! other classes waits for its reserve, and meanwhile becomes one message.

use crate::rate::Window;
use std::time::{Duration, Instant};

/// Maximum number of messages in any second, reserves apart.
pub(super) const MESSAGES_PER_SECOND: usize = 20;
/// Time after which a class may send what waits, whatever the others do. With the gap between deliveries it keeps a change
/// from waiting longer than 200 ms.
pub(super) const RESERVE: Duration = Duration::from_millis(130);
/// The same for layers, which change what is sent and not whether it is.
const RESERVE_OF_LAYERS: Duration = Duration::from_millis(500);
/// The same for renewed announces: what they replace stays valid for minutes.
const RESERVE_OF_RENEWALS: Duration = Duration::from_secs(1);
/// Minimum time between two messages about layers: they follow what others show, which may change all the time, and each
/// `want` may cost a key frame.
const PACE_OF_LAYERS: Duration = Duration::from_millis(250);

/// What changes are of, in the order in which a client needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Chat messages. Ahead of the roster, since what a participant says before it leaves opens only before its leave.
    Chat,
    /// Who is there.
    Roster,
    /// Announces of participants that are new.
    Newcomers,
    /// Keys for this participant.
    Keys,
    /// Tracks of the others.
    Tracks,
    /// Receiving slots.
    Slots,
    /// Keys that others lack.
    KeyRequests,
    /// Encodings that others want of this participant's tracks.
    Wants,
    /// Layers in the slots.
    Layers,
    /// Announces of participants that are known.
    Renewals,
}

impl Class {
    /// Every class, in the order of declaration.
    pub(super) const ALL: [Self; 10] = [
        Self::Chat,
        Self::Roster,
        Self::Newcomers,
        Self::Keys,
        Self::Tracks,
        Self::Slots,
        Self::KeyRequests,
        Self::Wants,
        Self::Layers,
        Self::Renewals,
    ];

    fn reserve(self) -> Duration {
        match self {
            Self::Wants | Self::Layers => RESERVE_OF_LAYERS,
            Self::Renewals => RESERVE_OF_RENEWALS,
            _ => RESERVE,
        }
    }

    /// Minimum time between two of its messages.
    fn pace(self) -> Duration {
        match self {
            Self::Wants | Self::Layers => PACE_OF_LAYERS,
            _ => Duration::ZERO,
        }
    }
}

/// The messages of the last second, and of each class the last one, and since when changes wait.
#[derive(Debug)]
pub(super) struct Budget {
    shared: Window,
    last: [Option<Instant>; Class::ALL.len()],
    waiting: [Option<Instant>; Class::ALL.len()],
}

impl Default for Budget {
    fn default() -> Self {
        let none = [None; Class::ALL.len()];
        Self { shared: Window::new(MESSAGES_PER_SECOND, Duration::from_secs(1)), last: none, waiting: none }
    }
}

impl Budget {
    /// When a message of a class may be sent: now, or later.
    pub(super) fn allows_at(&self, class: Class, now: Instant) -> Instant {
        let paced = self.last(class).map_or(now, |last| (last + class.pace()).max(now));
        match self.shared.check(now) {
            Ok(()) => paced,
            Err(wait) => {
                let reserved = self.waiting(class).unwrap_or(now) + class.reserve();
                paced.max(reserved.min(now + wait))
            }
        }
    }

    /// The order in which classes send a message each: that in which a client needs them, and when they are short of messages
    /// the one first that has waited longest.
    pub(super) fn order(&self, now: Instant) -> [Class; Class::ALL.len()] {
        let mut order = Class::ALL;
        if self.shared.check(now).is_err() {
            order.sort_by_key(|class| self.last(*class));
        }
        order
    }

    /// Changes of a class wait.
    pub(super) fn wait(&mut self, class: Class, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(class as usize) {
            waiting.get_or_insert(now);
        }
    }

    /// Counts a message that is of no class.
    pub(super) fn count(&mut self, now: Instant) {
        self.shared.force(now);
    }

    /// Counts a message of a class.
    pub(super) fn spend(&mut self, class: Class, now: Instant) {
        self.shared.force(now);
        if let Some(last) = self.last.get_mut(class as usize) {
            *last = Some(now);
        }
        if let Some(waiting) = self.waiting.get_mut(class as usize) {
            *waiting = None;
        }
    }

    fn waiting(&self, class: Class) -> Option<Instant> {
        self.waiting.get(class as usize).copied().flatten()
    }

    fn last(&self, class: Class) -> Option<Instant> {
        self.last.get(class as usize).copied().flatten()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn one_class_alone_uses_the_whole_budget() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        for _ in 0..MESSAGES_PER_SECOND {
            assert_eq!(budget.allows_at(Class::Keys, now), now);
            budget.spend(Class::Keys, now);
        }
        budget.wait(Class::Keys, now);
        assert_eq!(budget.allows_at(Class::Keys, now), now + RESERVE);
    }

    #[test]
    fn other_messages_count() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        (0..MESSAGES_PER_SECOND).for_each(|_| budget.count(now));
        budget.wait(Class::Roster, now);
        budget.wait(Class::Layers, now);
        assert_eq!(budget.allows_at(Class::Roster, now), now + RESERVE);
        assert_eq!(budget.allows_at(Class::Layers, now), now + RESERVE_OF_LAYERS);
    }

    /// Lets time pass while these classes always have something to send, and returns what each sent.
    fn flood(budget: &mut Budget, now: Instant, time: Duration, classes: &[Class]) -> Vec<usize> {
        let mut sent = vec![0; Class::ALL.len()];
        for step in 0..time.as_millis() {
            let now = now + Duration::from_millis(u64::try_from(step).unwrap_or_default());
            classes.iter().for_each(|class| budget.wait(*class, now));
            while classes.iter().any(|class| budget.allows_at(*class, now) <= now) {
                for class in budget.order(now) {
                    if classes.contains(&class) && budget.allows_at(class, now) <= now {
                        budget.spend(class, now);
                        sent[class as usize] += 1;
                        budget.wait(class, now);
                    }
                }
            }
        }
        sent
    }

    #[test]
    fn class_that_was_quiet_goes_after_its_reserve_beside_a_flood_of_all_others() {
        for class in Class::ALL {
            let others: Vec<_> = Class::ALL.into_iter().filter(|other| *other != class).collect();
            let (mut budget, start) = (Budget::default(), Instant::now());
            let time = Duration::from_secs(5);
            flood(&mut budget, start, time, &others);
            budget.wait(class, start + time);
            assert!(budget.allows_at(class, start + time) <= start + time + class.reserve(), "{class:?}");
        }
    }

    #[test]
    fn all_classes_together_are_bounded_and_none_is_starved() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let sent = flood(&mut budget, start, Duration::from_secs(10), &Class::ALL);
        // Seven classes each 130 ms, two each 500 ms, and renewals each second.
        assert!(sent.iter().sum::<usize>() <= 10 * 60 + MESSAGES_PER_SECOND, "{sent:?}");
        for class in Class::ALL {
            let least = (10_000 / class.reserve().as_millis()) as usize - 1;
            assert!(sent[class as usize] >= least, "{class:?} of {sent:?}");
        }
    }
}
