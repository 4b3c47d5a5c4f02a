//! Whether a participant is there: when it was last heard of, and how long its place is held.
//!
//! ```text
//!   a message, media ──► present ── silent for 2.5 s ──► away ── silent for 30 s ──► its place is free
//!                           ▲     ── says so, or closes its transport ──► away ── 10 s ──► its place is free
//!                           └──────────────── heard of again ──────────────┘
//! ```
//!
//! Messages of the client count, not frames that its browser or network stack answers by itself: a frozen page is away
//! although its connection lives. Media that flow count as well, so that a participant who loses only its connection to
//! signaling stays.

use sfu_api::event::TRACK_SILENCE;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tacet_proto::TrackId;

/// Silence after which a participant is away. Clients send a heartbeat each second in which they send no media.
pub(super) const AWAY: Duration = Duration::from_millis(2_500);
/// Silence after which the place of a participant is free.
pub(super) const HOLD: Duration = Duration::from_secs(30);
/// How long the place of a participant is held that said it goes, or closed its transport.
pub(super) const DEPARTURE_HOLD: Duration = Duration::from_secs(10);
/// How long media alone hold a place without a connection. Tokens live as long.
pub(super) const MEDIA_HOLD: Duration = Duration::from_secs(60);
/// Lateness of what is due after which the server itself was stopped for a while. It heard nothing meanwhile, which is no
/// silence of its clients.
pub(super) const PAUSE: Duration = Duration::from_secs(2);
/// Minimum time between two changes that others see, so that a client cannot make them busy.
const CHANGE: Duration = Duration::from_secs(1);

/// When a participant was last heard of.
#[derive(Debug)]
pub(super) struct Presence {
    attached: bool,
    /// The last message, or the start of a connection.
    signaled: Instant,
    /// The last message, connection, or packet of media.
    seen: Instant,
    /// Tracks whose packets arrive.
    flowing: BTreeSet<TrackId>,
    /// Since when it is going.
    departing: Option<Instant>,
    away: bool,
    changed: Option<Instant>,
}

impl Presence {
    /// Of a participant that joins.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            attached: true,
            signaled: now,
            seen: now,
            flowing: BTreeSet::new(),
            departing: None,
            away: false,
            changed: None,
        }
    }

    /// Whether others are to see the participant as away, as of the last [`update`](Self::update).
    pub(super) fn is_away(&self) -> bool {
        self.away
    }

    /// Whether the participant has a connection.
    pub(super) fn is_attached(&self) -> bool {
        self.attached
    }

    /// When the participant was last there.
    pub(super) fn last_seen(&self, now: Instant) -> Instant {
        self.departing.unwrap_or(if self.flowing.is_empty() { self.seen } else { now })
    }

    /// A message arrived.
    pub(super) fn heard(&mut self, now: Instant) {
        self.signaled = now;
        self.seen = now;
        self.departing = None;
    }

    /// The server itself was stopped until now: silence counts from here.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.signaled = now;
        self.seen = now;
        self.departing = self.departing.map(|_| now);
    }

    /// A connection begins, or takes the place of another.
    pub(super) fn attach(&mut self, now: Instant) {
        self.attached = true;
        self.heard(now);
    }

    /// The connection is lost.
    pub(super) fn detach(&mut self) {
        self.attached = false;
    }

    /// Packets of a track arrive again, or stopped arriving.
    pub(super) fn media(&mut self, now: Instant, track: TrackId, flows: bool) {
        if flows {
            self.flowing.insert(track);
            self.seen = now;
            self.departing = None;
        } else if self.flowing.remove(&track) {
            self.seen = self.seen.max(now.checked_sub(TRACK_SILENCE).unwrap_or(now));
        }
    }

    /// A track was muted or withdrawn: it is not expected to arrive.
    pub(super) fn forget(&mut self, now: Instant, track: TrackId) {
        if self.flowing.remove(&track) {
            self.seen = now;
        }
    }

    /// The participant says that it goes, or has closed its transport.
    pub(super) fn depart(&mut self, now: Instant) {
        self.departing.get_or_insert(now);
    }

    /// When the participant is, or has become, away.
    fn away_at(&self) -> Option<Instant> {
        match self.departing {
            Some(since) => Some(since),
            None if self.flowing.is_empty() => Some(self.seen + AWAY),
            None => None,
        }
    }

    /// When the place of the participant is free.
    fn over_at(&self) -> Option<Instant> {
        match self.departing {
            Some(since) => Some(since + DEPARTURE_HOLD),
            None if self.flowing.is_empty() => Some(self.seen + HOLD),
            None if self.attached => None,
            None => Some(self.signaled + MEDIA_HOLD),
        }
    }

    /// Whether the place of the participant is free.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.over_at().is_some_and(|at| at <= now)
    }

    /// Takes into account that time has passed. Returns whether others are to learn of a change.
    pub(super) fn update(&mut self, now: Instant) -> bool {
        let away = self.away_at().is_some_and(|at| at <= now);
        if away == self.away || self.changeable_at().is_some_and(|at| at > now) {
            return false;
        }
        self.away = away;
        self.changed = Some(now);
        true
    }

    fn changeable_at(&self) -> Option<Instant> {
        self.changed.map(|changed| changed + CHANGE)
    }

    /// When time alone changes something next.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let away = self.away_at().is_some_and(|at| at <= now);
        let change = if away == self.away { self.away_at().filter(|at| *at > now) } else { self.changeable_at() };
        [change, self.over_at()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TRACK: TrackId = TrackId(1);

    #[test]
    fn silent_participant_is_away_and_then_gone() {
        let start = Instant::now();
        let mut presence = Presence::new(start);
        assert_eq!(presence.deadline(start), Some(start + AWAY));
        assert!(!presence.update(start + AWAY - Duration::from_millis(1)));
        assert!(presence.update(start + AWAY) && presence.is_away());
        assert_eq!(presence.deadline(start + AWAY), Some(start + HOLD));
        assert!(!presence.is_over(start + HOLD - Duration::from_millis(1)) && presence.is_over(start + HOLD));
        presence.heard(start + HOLD);
        assert!(presence.update(start + HOLD) && !presence.is_away());
    }

    #[test]
    fn media_keep_a_participant_there_without_a_connection_for_a_minute() {
        let start = Instant::now();
        let mut presence = Presence::new(start);
        presence.media(start + SECOND, TRACK, true);
        presence.detach();
        assert!(!presence.update(start + 50 * SECOND));
        assert_eq!(presence.deadline(start + 50 * SECOND), Some(start + MEDIA_HOLD));
        assert!(presence.is_over(start + MEDIA_HOLD));
        presence.attach(start + 50 * SECOND);
        assert!(!presence.is_over(start + 1_000 * SECOND), "with a connection media hold the place for ever");
    }

    #[test]
    fn silence_counts_from_the_last_packet() {
        let start = Instant::now();
        let mut presence = Presence::new(start);
        presence.media(start, TRACK, true);
        let stopped = start + 10 * SECOND;
        presence.media(stopped, TRACK, false);
        assert_eq!(presence.deadline(stopped), Some(stopped - TRACK_SILENCE + AWAY));
        presence.media(stopped, TRACK, true);
        presence.forget(stopped, TRACK);
        assert_eq!(presence.deadline(stopped), Some(stopped + AWAY), "a mute is no silence");
    }

    #[test]
    fn departure_is_seen_at_once_and_holds_for_less() {
        let start = Instant::now();
        let mut presence = Presence::new(start);
        presence.media(start, TRACK, true);
        presence.depart(start);
        presence.depart(start + SECOND);
        assert!(presence.update(start + SECOND) && presence.is_away(), "although packets were flowing");
        assert!(presence.is_over(start + DEPARTURE_HOLD));
        presence.heard(start + 2 * SECOND);
        assert!(presence.update(start + 2 * SECOND) && !presence.is_away());
    }

    #[test]
    fn flapping_is_bounded() {
        let start = Instant::now();
        let (mut presence, mut changes) = (Presence::new(start), 0);
        for step in 0..1_000 {
            let now = start + step * Duration::from_millis(10);
            if step % 2 == 0 {
                presence.depart(now)
            } else {
                presence.heard(now)
            }
            changes += u32::from(presence.update(now));
        }
        assert!(changes <= 11, "{changes}");
        let end = start + 10 * SECOND;
        presence.heard(end);
        let at = presence.deadline(end).unwrap_or(end);
        presence.update(at);
        assert!(!presence.is_away() || at > end, "the last state is known in the end");
    }
}
