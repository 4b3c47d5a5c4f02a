//! Forwarding times of packets: from the receipt of their batch to the return of the system call that has sent them.

use crate::{
    media::Kind,
    metrics::{AUDIO_FORWARDING, FORWARDING, Histogram},
    transport::Outbox,
};
use std::time::{Duration, Instant};

/// Measures forwarded packets as their outboxes are sent.
#[derive(Debug)]
pub(super) struct Stopwatch {
    all: Histogram,
    audio: Histogram,
    audio_on_core: Histogram,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self {
            all: Histogram::new(FORWARDING),
            audio: Histogram::new(AUDIO_FORWARDING),
            audio_on_core: Histogram::new(AUDIO_FORWARDING),
        }
    }

    /// Of all packets.
    pub(super) fn all(&self) -> &Histogram {
        &self.all
    }

    /// Of audio.
    pub(super) fn audio(&self) -> &Histogram {
        &self.audio
    }

    /// Of audio, without the time for which the thread had no core.
    pub(super) fn audio_on_core(&self) -> &Histogram {
        &self.audio_on_core
    }

    /// Records what is forwarded of an outbox that was sent at `now`. `waited` says for how long the thread has had no core since
    /// a time.
    pub(super) fn sent(&mut self, now: Instant, outbox: &Outbox, waited: impl Fn(Instant) -> Duration) {
        for kind in [Kind::Audio, Kind::Video] {
            if let Some(forwarded) = outbox.forwarded(kind) {
                let time = now.saturating_duration_since(forwarded.received);
                self.all.record(time, forwarded.packets);
                if kind == Kind::Audio {
                    self.audio.record(time, forwarded.packets);
                    self.audio_on_core.record(time.saturating_sub(waited(forwarded.received)), forwarded.packets);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_packets_are_recorded_by_kind() {
        let (mut stopwatch, mut outbox, start) = (Stopwatch::new(), Outbox::default(), Instant::now());
        let ms = |ms| start + Duration::from_millis(ms);
        (0..100).for_each(|n| outbox.count_forwarded(Kind::Video, ms(n)));
        (0..7).for_each(|_| outbox.count_forwarded(Kind::Audio, ms(2)));
        stopwatch.sent(ms(5), &outbox, |received| received.duration_since(start) / 2);
        outbox.clear();
        stopwatch.sent(ms(9), &outbox, |_| Duration::MAX);
        assert_eq!((stopwatch.all().count(), stopwatch.all().sum()), (107, Duration::from_millis(100 * 5 + 7 * 3)));
        assert_eq!((stopwatch.audio().count(), stopwatch.audio().sum()), (7, Duration::from_millis(21)));
        assert_eq!(stopwatch.audio_on_core().sum(), Duration::from_millis(14), "without the wait for a core");
    }
}
