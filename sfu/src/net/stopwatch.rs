//! Forwarding times of packets: from the receipt of their batch to the return of the system call that has sent them.

use crate::metrics::{Counter, Counters, FORWARDING, Histogram};
use std::time::Instant;

/// Measures packets by the counter of sealed ones.
#[derive(Debug)]
pub(super) struct Stopwatch {
    times: Histogram,
    /// The counter at the last call.
    sealed: u64,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self { times: Histogram::new(FORWARDING), sealed: 0 }
    }

    pub(super) fn times(&self) -> &Histogram {
        &self.times
    }

    /// Records packets sealed since the last call: they were just sent, in answer to datagrams received at `received`.
    pub(super) fn sent(&mut self, received: Instant, counters: &Counters) {
        let packets = self.advance(counters);
        if packets > 0 {
            self.times.record(received.elapsed(), packets);
        }
    }

    /// Ignores packets sealed since the last call: they answer no datagram.
    pub(super) fn skip(&mut self, counters: &Counters) {
        self.advance(counters);
    }

    fn advance(&mut self, counters: &Counters) -> u64 {
        let sealed = counters.get(Counter::RtpOut);
        sealed.wrapping_sub(std::mem::replace(&mut self.sealed, sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_packets_are_recorded_once() {
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
