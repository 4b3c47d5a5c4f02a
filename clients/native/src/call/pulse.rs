//! Signs of life in both directions of a signaling connection.
//!
//! The server counts a participant as away when neither its media nor a message arrives. While none of its media
//! leaves, a client therefore sends a heartbeat each second. It must be sent by the task that owns the keys, so that a
//! frozen client does not seem alive. In the other direction, a ping that nothing follows means that the connection is
//! dead, although the socket may not notice for minutes.

use std::time::{Duration, Instant};

/// Interval of heartbeats while no media leaves.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of pings. Their answers bring new resume tokens.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long the server may be silent after a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(6);

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Send `heartbeat`.
    Heartbeat,
    /// Send `ping`.
    Ping,
    /// The server does not answer: the connection is dead.
    Dead,
}

/// When signs of life are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    heartbeat_at: Instant,
    ping_at: Instant,
    /// When the oldest ping was sent that no message has followed.
    unanswered_since: Option<Instant>,
}

impl Pulse {
    /// A connection that opened now.
    pub(super) fn starting(now: Instant) -> Self {
        Self { heartbeat_at: now + HEARTBEAT_INTERVAL, ping_at: now + PING_INTERVAL, unanswered_since: None }
    }

    /// A message of the server has arrived.
    pub(super) fn heard(&mut self) {
        self.unanswered_since = None;
    }

    /// Asks for a ping now: something suggests that the network is gone.
    pub(super) fn probe(&mut self, now: Instant) {
        if self.unanswered_since.is_none() {
            self.ping_at = now;
        }
    }

    /// The next thing that is due. `media_leaves` is whether media was sent within the last heartbeat interval.
    pub(super) fn poll(&mut self, now: Instant, media_leaves: bool) -> Option<Beat> {
        if self.unanswered_since.is_some_and(|since| now >= since + PING_TIMEOUT) {
            return Some(Beat::Dead);
        }
        if now >= self.ping_at {
            self.ping_at = now + PING_INTERVAL;
            self.unanswered_since.get_or_insert(now);
            return Some(Beat::Ping);
        }
        if now >= self.heartbeat_at {
            self.heartbeat_at = now + HEARTBEAT_INTERVAL;
            return (!media_leaves).then_some(Beat::Heartbeat);
        }
        None
    }

    /// When to poll next.
    pub(super) fn deadline(&self) -> Instant {
        let dead_at = self.unanswered_since.map(|since| since + PING_TIMEOUT);
        let next = self.heartbeat_at.min(self.ping_at);
        dead_at.map_or(next, |dead| next.min(dead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is due from one second to another, polled when the pulse asks for it; every ping is answered if `answers`.
    fn beats(pulse: &mut Pulse, start: Instant, seconds: u32, media: bool, answers: bool) -> Vec<(u64, Beat)> {
        let mut beats = Vec::new();
        while pulse.deadline() <= start + SECOND * seconds {
            let now = pulse.deadline();
            let Some(beat) = pulse.poll(now, media) else { continue };
            beats.push((now.duration_since(start).as_secs(), beat));
            if beat == Beat::Dead {
                break;
            }
            if answers {
                pulse.heard();
            }
        }
        beats
    }

    #[test]
    fn heartbeats_are_sent_while_no_media_leaves() {
        let start = Instant::now();
        let mut pulse = Pulse::starting(start);
        let sent = beats(&mut pulse, start, 9, false, true);
        let each_second: Vec<_> = (1..=9).map(|second| (second, Beat::Heartbeat)).collect();
        assert_eq!(sent, each_second);
        assert_eq!(beats(&mut pulse, start, 30, true, true), [(10, Beat::Ping), (20, Beat::Ping), (30, Beat::Ping)]);
    }

    #[test]
    fn unanswered_ping_means_a_dead_connection() {
        let start = Instant::now();
        let mut pulse = Pulse::starting(start);
        assert_eq!(beats(&mut pulse, start, 60, true, false), [(10, Beat::Ping), (16, Beat::Dead)]);
    }

    #[test]
    fn probe_pings_at_once_and_only_once() {
        let start = Instant::now();
        let mut pulse = Pulse::starting(start);
        pulse.probe(start);
        assert_eq!(pulse.poll(start, true), Some(Beat::Ping));
        pulse.probe(start + SECOND);
        assert_eq!(beats(&mut pulse, start, 60, true, false), [(6, Beat::Dead)]);
    }
}
