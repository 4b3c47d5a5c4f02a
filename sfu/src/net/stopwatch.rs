//! Forwarding times of packets: from the receipt of their batch to the return of the system call that has sent them.

use crate::{
    media::Kind,
    metrics::{AUDIO_FORWARDING, FORWARDING, Histogram},
    transport::Outbox,
};
use std::time::Instant;

/// Measures forwarded packets as their outboxes are sent.
#[derive(Debug)]
pub(super) struct Stopwatch {
    all: Histogram,
    audio: Histogram,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self { all: Histogram::new(FORWARDING), audio: Histogram::new(AUDIO_FORWARDING) }
    }

    /// Of all packets.
    pub(super) fn all(&self) -> &Histogram {
        &self.all
    }

    /// Of audio.
    pub(super) fn audio(&self) -> &Histogram {
        &self.audio
    }

    /// Records what is forwarded of an outbox that was sent at `now`.
    pub(super) fn sent(&mut self, now: Instant, outbox: &Outbox) {
        for kind in [Kind::Audio, Kind::Video] {
            if let Some(forwarded) = outbox.forwarded(kind) {
                let time = now.saturating_duration_since(forwarded.received);
                self.all.record(time, forwarded.packets);
                if kind == Kind::Audio {
                    self.audio.record(time, forwarded.packets);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn forwarded_packets_are_recorded_by_kind() {
        let (mut stopwatch, mut outbox, start) = (Stopwatch::new(), Outbox::default(), Instant::now());
        let ms = |ms| start + Duration::from_millis(ms);
        (0..100).for_each(|n| outbox.count_forwarded(Kind::Video, ms(n)));
        (0..7).for_each(|_| outbox.count_forwarded(Kind::Audio, ms(2)));
        stopwatch.sent(ms(5), &outbox);
        outbox.clear();
        stopwatch.sent(ms(9), &outbox);
        assert_eq!((stopwatch.all().count(), stopwatch.all().sum()), (107, Duration::from_millis(100 * 5 + 7 * 3)));
        assert_eq!((stopwatch.audio().count(), stopwatch.audio().sum()), (7, Duration::from_millis(21)));
    }
}
