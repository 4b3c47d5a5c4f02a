//! How long forwarded packets are inside: from the receipt of their batch to the return of the call that has sent them.

use crate::metrics::{Counter, Counters, FORWARDING, Histogram};
use std::time::Instant;

/// Times packets by the counter of those that were sealed.
#[derive(Debug)]
pub(super) struct Stopwatch {
    times: Histogram,
    /// Packets that were sealed when it last looked.
    sealed: u64,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self { times: Histogram::new(FORWARDING), sealed: 0 }
    }

    pub(super) fn times(&self) -> &Histogram {
        &self.times
    }

    /// What was sealed since the last look has just been sent, and is of datagrams received then.
    pub(super) fn sent(&mut self, received: Instant, counters: &Counters) {
        let packets = self.look(counters);
        if packets > 0 {
            self.times.record(received.elapsed(), packets);
        }
    }

    /// What was sealed since the last look was no answer to a datagram.
    pub(super) fn skip(&mut self, counters: &Counters) {
        self.look(counters);
    }

    fn look(&mut self, counters: &Counters) -> u64 {
        let sealed = counters.get(Counter::RtpOut);
        sealed.wrapping_sub(std::mem::replace(&mut self.sealed, sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_timed_once_and_what_a_timer_sends_is_not() {
        let (mut stopwatch, mut counters, received) = (Stopwatch::new(), Counters::default(), Instant::now());
        counters.add(Counter::RtpOut, 100);
        stopwatch.sent(received, &counters);
        stopwatch.sent(received, &counters);
        counters.add(Counter::RtpOut, 7);
        stopwatch.skip(&counters);
        counters.add(Counter::RtpOut, 5);
        stopwatch.sent(received, &counters);
        assert_eq!(stopwatch.times().count(), 105);
    }
}
