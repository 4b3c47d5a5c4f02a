//! Timers of a room: when it has to act without a packet or command.

use std::time::Instant;

/// What is due when a timer expires. One timer each for the whole room, so that a large room does not wake up once per
/// participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// NACKs and PLIs to publishers. May expire before any is due.
    NacksAndPlis,
    /// Transport-wide feedback to publishers.
    TransportFeedback,
    /// Receiver reports to publishers.
    ReceiverReports,
    /// The list of active speakers.
    ActiveSpeakers,
    /// Looks at tracks: whether their packets have stopped or begun, and in which layers they come.
    TrackActivity,
    /// Which layer each slot gets.
    Allocation,
    /// What receivers want of each track.
    LayersWanted,
    /// Lets time pass for the estimators of downlinks.
    Estimates,
    /// What pacers hold back.
    Pacing,
    /// What is due of probes.
    Probes,
    /// Reports what is known of downlinks.
    Downlinks,
}

impl Timer {
    pub(super) const ALL: [Self; 11] = [
        Self::NacksAndPlis,
        Self::TransportFeedback,
        Self::ReceiverReports,
        Self::ActiveSpeakers,
        Self::TrackActivity,
        Self::Allocation,
        Self::LayersWanted,
        Self::Estimates,
        Self::Pacing,
        Self::Probes,
        Self::Downlinks,
    ];
}

/// The deadline of each timer; `None` if it is not armed.
#[derive(Debug, Default)]
pub(super) struct TimerTable {
    deadlines: [Option<Instant>; Timer::ALL.len()],
    earliest: Option<Instant>,
}

impl TimerTable {
    /// Arms a timer, unless it is armed.
    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        if let Some(deadline @ None) = self.deadlines.get_mut(timer as usize) {
            *deadline = Some(at);
            self.earliest = earlier(self.earliest, at);
        }
    }

    /// Arms a timer, or moves it to an earlier time.
    pub(super) fn arm_earlier(&mut self, timer: Timer, at: Instant) {
        if let Some(deadline) = self.deadlines.get_mut(timer as usize) {
            *deadline = earlier(*deadline, at);
            self.earliest = earlier(self.earliest, at);
        }
    }

    /// Whether a timer has expired; it is disarmed then.
    pub(super) fn take_expired(&mut self, timer: Timer, now: Instant) -> bool {
        let deadline = self.deadlines.get_mut(timer as usize);
        let expired = deadline.and_then(|deadline| deadline.take_if(|at| *at <= now)).is_some();
        if expired {
            self.earliest = self.deadlines.iter().flatten().min().copied();
        }
        expired
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.earliest
    }
}

fn earlier(deadline: Option<Instant>, at: Instant) -> Option<Instant> {
    Some(deadline.map_or(at, |deadline| deadline.min(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timer_expires_once() {
        let (mut timers, start) = (TimerTable::default(), Instant::now());
        let (soon, later) = (start + Duration::from_millis(1), start + Duration::from_millis(2));
        timers.arm(Timer::ReceiverReports, soon);
        assert!(!timers.take_expired(Timer::ReceiverReports, start));
        assert!(!timers.take_expired(Timer::TransportFeedback, later), "another timer");
        assert!(timers.take_expired(Timer::ReceiverReports, soon));
        assert!(!timers.take_expired(Timer::ReceiverReports, soon));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn armed_timer_moves_only_to_an_earlier_time() {
        let (mut timers, start) = (TimerTable::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        timers.arm(Timer::NacksAndPlis, at(5));
        timers.arm(Timer::NacksAndPlis, at(1));
        assert_eq!(timers.next(), Some(at(5)));
        timers.arm_earlier(Timer::NacksAndPlis, at(9));
        assert_eq!(timers.next(), Some(at(5)));
        timers.arm_earlier(Timer::NacksAndPlis, at(3));
        timers.arm(Timer::ActiveSpeakers, at(4));
        assert_eq!(timers.next(), Some(at(3)));
    }
}
