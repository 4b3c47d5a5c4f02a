//! What is lost, and what to try next: decisions only, without clock, socket or task.
//!
//! ```text
//!   media path silent, signaling up ─► restart ICE ─► … until media flows
//!   signaling lost                  ─► resume the session ─► … until the server answers, or says that the call is over
//!   keys erased, media path failed  ─► join again, under the same participant id if the server allows it
//! ```
//! The cheapest step that can help is tried first, and each one is repeated with a growing delay. The two connections
//! are independent: media goes on while signaling is away, and signaling while media is away. Joining again makes the
//! others rotate their keys, so it is reserved for sessions that cannot go on, and spaced widely.

use super::{
    disconnect::DisconnectReason,
    reconnect::{Backoff, ReconnectPolicy},
};
use std::time::{Duration, Instant};

/// Maximum time for ICE and DTLS of a new media path before ICE is restarted; one or two seconds are usual on a bad path.
const PATH_START_TIMEOUT: Duration = Duration::from_secs(6);
/// An ICE agent sends checks for about 1.5 s, and finds a path that comes back later only after another restart. The delay
/// between two restarts is a quarter of the time since media was lost, between these bounds.
const ICE_RESTART_DELAY: Duration = Duration::from_secs(2);
const MAX_ICE_RESTART_DELAY: Duration = Duration::from_secs(20);
/// Delay before joining again for the second time; doubles up to [`MAX_REJOIN_DELAY`].
const REJOIN_DELAY: Duration = Duration::from_secs(10);
const MAX_REJOIN_DELAY: Duration = Duration::from_secs(120);
/// A connection that lasts this long was a success: the delays of the next outage start from the beginning.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// The same for joining again, which is more expensive.
const REJOIN_FORGIVEN_AFTER: Duration = Duration::from_secs(300);

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the server for an ICE restart.
    RestartIce,
    /// Connect to the server and continue the session.
    Resume,
    /// End the session without a goodbye, and join with new keys and a new media path.
    JoinAgain,
    /// The policy allows no further attempt.
    GiveUp {
        /// How long the client tried.
        after: Duration,
        /// Why the last attempt failed.
        last: DisconnectReason,
    },
}

/// How a lost connection was repaired, from the least to the most disruptive way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recovery {
    /// The media path came back by itself.
    PathReturned,
    /// ICE was restarted on the same transport and keys.
    IceRestarted,
    /// The signaling session was resumed; nothing else changed.
    SessionResumed,
    /// The server had restarted and granted the same seat: keys are the same, the media path is new.
    SeatRenewed,
    /// This client joined again with new keys. It has the same participant id, and the others saw it leave and join.
    JoinedAgain,
    /// This client joined again as a new participant.
    NewParticipant,
}

/// What is lost and what was tried.
#[derive(Debug)]
pub(super) struct Repair {
    policy: ReconnectPolicy,
    outage: Option<Outage>,
    signaling: Signaling,
    /// Consecutive failures to connect, and connections that did not last.
    connects: Backoff,
    media: Media,
    /// Whether the session cannot go on.
    session_over: bool,
    rejoins: Backoff,
    rejoined_at: Option<Instant>,
}

#[derive(Debug)]
struct Outage {
    attempt: u32,
    cause: DisconnectReason,
    recovery: Recovery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signaling {
    Attached {
        since: Instant,
    },
    /// Not connected; the next attempt is due at this time.
    Waiting {
        until: Instant,
        lost_at: Instant,
    },
    /// An attempt is being made.
    Attempting {
        lost_at: Instant,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    /// A new path that has not been up yet.
    Starting {
        since: Instant,
    },
    Up,
    Down {
        since: Instant,
        restart_at: Instant,
    },
}

impl Repair {
    /// A client that has just joined.
    pub(super) fn new(now: Instant, policy: ReconnectPolicy) -> Self {
        Self {
            policy,
            outage: None,
            signaling: Signaling::Attached { since: now },
            connects: Backoff::default(),
            media: Media::Starting { since: now },
            session_over: false,
            rejoins: Backoff::default(),
            rejoined_at: None,
        }
    }

    /// Number of the current attempt and cause of the current outage; `None` while nothing is lost.
    pub(super) fn outage(&self) -> Option<(u32, &DisconnectReason)> {
        self.outage.as_ref().map(|outage| (outage.attempt, &outage.cause))
    }

    /// Whether media flows.
    pub(super) fn media_is_up(&self) -> bool {
        self.media == Media::Up
    }

    /// Something was lost.
    pub(super) fn lost(&mut self, now: Instant, cause: DisconnectReason, jitter: f64) {
        if self.session_over && matches!(cause, DisconnectReason::Inconsistent(_)) {
            // A session that has ended accepts nothing more.
            return;
        }
        match &cause {
            DisconnectReason::Signaling(_) | DisconnectReason::ServerRestarting => self.signaling_lost(now, jitter),
            DisconnectReason::MediaSilent | DisconnectReason::MediaNeverConnected => {
                if !matches!(self.media, Media::Down { .. }) {
                    self.media = Media::Down { since: now, restart_at: now };
                }
            }
            DisconnectReason::KeysEnded(_)
            | DisconnectReason::MediaEngine(_)
            | DisconnectReason::MediaFailed
            | DisconnectReason::Inconsistent(_) => {
                self.media = Media::Down { since: now, restart_at: now };
                self.session_over = true;
            }
        }
        self.record(cause);
    }

    /// An attempt to connect has failed.
    /// The server may have said when to try again.
    pub(super) fn attempt_failed(
        &mut self,
        now: Instant,
        cause: DisconnectReason,
        requested: Option<Duration>,
        jitter: f64,
    ) {
        let Signaling::Attempting { lost_at } = self.signaling else { return };
        let lost_for = now.saturating_duration_since(lost_at);
        let delay = self.policy.delay(&mut self.connects, lost_for, requested, jitter);
        self.signaling = Signaling::Waiting { until: now + delay, lost_at };
        self.record(cause);
    }

    /// The server does not continue the session: the next attempt, which is due at once, is that of a new participant.
    pub(super) fn session_refused(&mut self, now: Instant) {
        if let Signaling::Attempting { lost_at } = self.signaling {
            self.signaling = Signaling::Waiting { until: now, lost_at };
        }
    }

    /// An attempt has succeeded, in this way.
    pub(super) fn attached(&mut self, now: Instant, how: Recovery) {
        self.signaling = Signaling::Attached { since: now };
        if how >= Recovery::SeatRenewed {
            self.media = Media::Starting { since: now };
        } else if let Media::Down { since, restart_at } = &mut self.media {
            // The server answers again: restarts are frequent again, however long media has been silent.
            (*since, *restart_at) = (now, now);
        }
        if how >= Recovery::JoinedAgain {
            self.session_over = false;
            self.rejoined_at = Some(now);
        }
        self.repaired(how);
    }

    /// Media flows.
    pub(super) fn media_up(&mut self) {
        self.media = Media::Up;
        self.repaired(Recovery::PathReturned);
    }

    /// What to do now, if anything. A step counts as taken when it is returned.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Step> {
        match self.signaling {
            Signaling::Waiting { until, lost_at } => {
                if let Some(after) = self.given_up(now, lost_at) {
                    return Some(after);
                }
                if now < until {
                    return None;
                }
                self.signaling = Signaling::Attempting { lost_at };
                self.count_attempt();
                Some(if self.session_over { Step::JoinAgain } else { Step::Resume })
            }
            Signaling::Attempting { .. } => None,
            Signaling::Attached { .. } if self.session_over => {
                if let Some(given_up) = self.given_up(now, now) {
                    return Some(given_up);
                }
                self.poll_rejoin(now)
            }
            Signaling::Attached { .. } => self.poll_media(now),
        }
    }

    /// Joins again with the connection that there is, if it is time.
    fn poll_rejoin(&mut self, now: Instant) -> Option<Step> {
        if let Some(last) = self.rejoined_at {
            let since = now.saturating_duration_since(last);
            if since >= REJOIN_FORGIVEN_AFTER {
                self.rejoins = Backoff::default();
            } else if since < self.rejoins.delay(REJOIN_DELAY, MAX_REJOIN_DELAY) {
                return None;
            } else {
                self.rejoins.failed();
            }
        }
        self.signaling = Signaling::Attempting { lost_at: now };
        self.count_attempt();
        Some(Step::JoinAgain)
    }

    fn poll_media(&mut self, now: Instant) -> Option<Step> {
        if let Media::Starting { since } = self.media
            && now >= since + PATH_START_TIMEOUT
        {
            self.media = Media::Down { since: now, restart_at: now };
            self.record(DisconnectReason::MediaNeverConnected);
        }
        let Media::Down { since, restart_at } = self.media else { return None };
        if now < restart_at {
            return None;
        }
        let delay = now.saturating_duration_since(since) / 4;
        let restart_at = now + delay.clamp(ICE_RESTART_DELAY, MAX_ICE_RESTART_DELAY);
        self.media = Media::Down { since, restart_at };
        self.count_attempt();
        if let Some(outage) = &mut self.outage {
            outage.recovery = outage.recovery.max(Recovery::IceRestarted);
        }
        Some(Step::RestartIce)
    }

    /// Takes how the last outage was repaired, if it is over.
    pub(super) fn take_recovery(&mut self) -> Option<Recovery> {
        let attached = matches!(self.signaling, Signaling::Attached { .. });
        if !attached || self.session_over || self.media != Media::Up {
            return None;
        }
        self.outage.take().map(|outage| outage.recovery)
    }

    fn signaling_lost(&mut self, now: Instant, jitter: f64) {
        let Signaling::Attached { since } = self.signaling else { return };
        if now.saturating_duration_since(since) >= STABLE_AFTER {
            self.connects = Backoff::default();
        }
        let delay = self.policy.delay(&mut self.connects, Duration::ZERO, None, jitter);
        self.signaling = Signaling::Waiting { until: now + delay, lost_at: now };
        // A restart that waits for an answer has to be asked for again.
        if let Media::Down { restart_at, .. } = &mut self.media {
            *restart_at = now;
        }
    }

    fn given_up(&self, now: Instant, lost_at: Instant) -> Option<Step> {
        let after = now.saturating_duration_since(lost_at);
        let outage = self.outage.as_ref()?;
        let over = self.policy.give_up_after.is_some_and(|limit| after >= limit);
        over.then(|| Step::GiveUp { after, last: outage.cause.clone() })
    }

    fn record(&mut self, cause: DisconnectReason) {
        match &mut self.outage {
            Some(outage) => outage.cause = cause,
            None => self.outage = Some(Outage { attempt: 0, cause, recovery: Recovery::PathReturned }),
        }
    }

    fn count_attempt(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.attempt = outage.attempt.saturating_add(1);
        }
    }

    fn repaired(&mut self, how: Recovery) {
        if let Some(outage) = &mut self.outage {
            outage.recovery = outage.recovery.max(how);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use e2ee_frames::Ended;

    const SECOND: Duration = Duration::from_secs(1);
    const SLEPT: DisconnectReason = DisconnectReason::KeysEnded(Ended::ClockJumped);

    fn unreachable() -> DisconnectReason {
        DisconnectReason::Signaling("the server is unreachable".to_owned())
    }

    /// A client in virtual time that is polled every 20 ms.
    struct Story {
        repair: Repair,
        now: Instant,
    }

    impl Story {
        /// A client that has joined and whose media flows.
        fn connected(policy: ReconnectPolicy) -> Self {
            let start = Instant::now();
            let mut story = Self { repair: Repair::new(start, policy), now: start };
            story.repair.media_up();
            story.steps(20 * SECOND);
            assert_eq!(story.repair.outage(), None);
            story
        }

        /// The steps that are due within `time`, with the milliseconds at which they are.
        fn steps(&mut self, time: Duration) -> Vec<(u128, Step)> {
            let (from, mut steps) = (self.now, Vec::new());
            while self.now < from + time {
                if let Some(step) = self.repair.poll(self.now) {
                    steps.push((self.now.duration_since(from).as_millis(), step));
                }
                self.now += Duration::from_millis(20);
            }
            steps
        }

        fn lost(&mut self, cause: DisconnectReason) {
            self.repair.lost(self.now, cause, 1.0);
        }

        fn attached(&mut self, how: Recovery) {
            self.repair.attached(self.now, how);
        }

        /// The steps within `time` if every attempt to connect fails at once.
        fn failing(&mut self, time: Duration) -> Vec<(u128, Step)> {
            let (from, mut steps) = (self.now, Vec::new());
            while self.now < from + time {
                if let Some(step) = self.repair.poll(self.now) {
                    steps.push((self.now.duration_since(from).as_millis(), step));
                    self.repair.attempt_failed(self.now, unreachable(), None, 1.0);
                }
                self.now += Duration::from_millis(20);
            }
            steps
        }
    }

    #[test]
    fn lost_signaling_is_resumed_while_media_goes_on() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(unreachable());
        assert_eq!(story.steps(SECOND), [(200, Step::Resume)]);
        assert!(story.repair.media_is_up());
        assert_eq!(story.repair.outage(), Some((1, &unreachable())));
        story.attached(Recovery::SessionResumed);
        assert_eq!(story.repair.take_recovery(), Some(Recovery::SessionResumed));
        assert_eq!(story.repair.take_recovery(), None);
        assert_eq!(story.steps(60 * SECOND), []);
    }

    #[test]
    fn silent_media_restarts_ice_until_it_flows() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(DisconnectReason::MediaSilent);
        let steps = story.steps(60 * SECOND);
        let times: Vec<_> = steps.iter().map(|(time, _)| *time / 1_000).collect();
        assert_eq!(times, [0, 2, 4, 6, 8, 10, 12, 15, 19, 24, 30, 38, 47, 59], "at once, then less and less often");
        assert!(steps.iter().all(|(_, step)| *step == Step::RestartIce), "nothing that others would notice");
        story.repair.media_up();
        assert_eq!(story.repair.take_recovery(), Some(Recovery::IceRestarted));
        assert_eq!(story.steps(60 * SECOND), []);
    }

    #[test]
    fn path_that_never_comes_up_is_restarted_for_ever() {
        let start = Instant::now();
        let mut story = Story { repair: Repair::new(start, ReconnectPolicy::default()), now: start };
        let steps = story.steps(600 * SECOND);
        assert_eq!(steps.first(), Some(&(6_000, Step::RestartIce)));
        assert!(steps.len() > 20 && steps.iter().all(|(_, step)| *step == Step::RestartIce));
        assert!(matches!(story.repair.outage(), Some((_, DisconnectReason::MediaNeverConnected))));
    }

    #[test]
    fn media_that_is_still_silent_after_a_resume_restarts_ice_at_once() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(DisconnectReason::MediaSilent);
        assert_eq!(story.steps(SECOND), [(0, Step::RestartIce)]);
        story.lost(unreachable());
        assert_eq!(story.steps(SECOND), [(200, Step::Resume)], "no restart without signaling");
        story.attached(Recovery::SessionResumed);
        assert_eq!(story.steps(SECOND), [(0, Step::RestartIce)]);
        story.repair.media_up();
        assert_eq!(story.repair.take_recovery(), Some(Recovery::SessionResumed), "the more disruptive of two");
    }

    /// A server that was stopped for forty seconds.
    #[test]
    fn restarts_are_frequent_again_after_a_resume() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(DisconnectReason::MediaSilent);
        story.steps(3 * SECOND);
        story.lost(unreachable());
        story.failing(37 * SECOND);
        story.attached(Recovery::SessionResumed);
        let times: Vec<_> = story.steps(5 * SECOND).iter().map(|(time, _)| *time / 1_000).collect();
        assert_eq!(times, [0, 2, 4], "one that comes to nothing costs two seconds, not ten");
    }

    #[test]
    fn server_says_when_to_try_again() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(unreachable());
        assert_eq!(story.steps(SECOND), [(200, Step::Resume)]);
        story.repair.attempt_failed(story.now, unreachable(), Some(4 * SECOND), 0.0);
        assert_eq!(story.steps(5 * SECOND), [(4_000, Step::Resume)]);
    }

    #[test]
    fn unreachable_server_is_tried_until_the_application_leaves() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(DisconnectReason::ServerRestarting);
        let hour = story.failing(3_600 * SECOND);
        assert!(hour.iter().all(|(_, step)| *step == Step::Resume));
        let gaps = |from: u128, to: u128| {
            let times: Vec<_> = hour.iter().map(|(time, _)| *time).filter(|t| (from..to).contains(t)).collect();
            times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        };
        assert!(gaps(0, 120_000) <= 2_020, "{}", gaps(0, 120_000));
        assert!(gaps(120_000, 3_600_000) <= 10_020, "{}", gaps(120_000, 3_600_000));
        assert!(hour.len() < 600, "{} attempts", hour.len());
    }

    #[test]
    fn connections_that_do_not_last_back_off() {
        let mut story = Story::connected(ReconnectPolicy::default());
        let mut delays = Vec::new();
        for _ in 0..4 {
            story.lost(unreachable());
            let steps = story.steps(2 * SECOND);
            delays.extend(steps.iter().map(|(time, _)| *time));
            story.attached(Recovery::SessionResumed);
        }
        assert_eq!(delays, [200, 400, 800, 1_600]);
        story.steps(STABLE_AFTER);
        story.lost(unreachable());
        assert_eq!(story.steps(SECOND), [(200, Step::Resume)]);
    }

    #[test]
    fn erased_keys_join_again_but_not_in_a_loop() {
        let mut story = Story::connected(ReconnectPolicy::default());
        let mut times = Vec::new();
        let begin = story.now;
        while times.len() < 4 {
            story.lost(SLEPT);
            while story.steps(SECOND).is_empty() {}
            times.push(story.now.duration_since(begin).as_secs());
            story.attached(Recovery::JoinedAgain);
            story.repair.media_up();
            assert_eq!(story.repair.take_recovery(), Some(Recovery::JoinedAgain));
        }
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(times[0] <= 1 && gaps[0] >= 10 && gaps[1] >= 20 && gaps[2] >= 40, "{times:?}");
    }

    #[test]
    fn keys_erased_while_signaling_is_away_join_again() {
        let mut story = Story::connected(ReconnectPolicy::default());
        story.lost(unreachable());
        story.lost(SLEPT);
        assert_eq!(story.steps(SECOND), [(200, Step::JoinAgain)]);
        story.repair.session_refused(story.now);
        assert_eq!(story.steps(SECOND), [(0, Step::JoinAgain)]);
        story.attached(Recovery::NewParticipant);
        assert!(!story.repair.media_is_up(), "the path is new");
        story.repair.media_up();
        assert_eq!(story.repair.take_recovery(), Some(Recovery::NewParticipant));
    }

    #[test]
    fn policy_may_give_up() {
        let policy = ReconnectPolicy { give_up_after: Some(10 * SECOND), ..ReconnectPolicy::default() };
        let mut story = Story::connected(policy);
        story.lost(unreachable());
        let steps = story.failing(11 * SECOND);
        let Some((at, Step::GiveUp { after, last })) = steps.iter().find(|(_, s)| *s != Step::Resume) else {
            panic!("{steps:?}")
        };
        assert!((10_000..10_100).contains(at) && *after >= 10 * SECOND && *last == unreachable(), "{at} {after:?}");

        for cause in [unreachable(), SLEPT, DisconnectReason::MediaFailed] {
            let mut story = Story::connected(ReconnectPolicy::NEVER);
            story.lost(cause.clone());
            assert_eq!(story.repair.poll(story.now), Some(Step::GiveUp { after: Duration::ZERO, last: cause }));
        }
        let mut story = Story::connected(ReconnectPolicy::NEVER);
        story.lost(DisconnectReason::MediaSilent);
        assert_eq!(story.repair.poll(story.now), Some(Step::RestartIce));
    }
}
