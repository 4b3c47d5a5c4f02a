//! Counters of a worker, read without stopping it: the worker counts in plain integers and publishes them after each
//! turn.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is counted, since the worker started.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Counter {
            $($(#[$doc])* $variant,)*
        }

        impl Counter {
            /// Every counter.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Name in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

counters! {
    /// Datagrams received.
    DatagramsIn = "datagrams_in",
    /// Their bytes.
    BytesIn = "bytes_in",
    /// Datagrams handed to the kernel.
    DatagramsOut = "datagrams_out",
    /// Their bytes.
    BytesOut = "bytes_out",
    /// RTP packets opened.
    RtpIn = "rtp_in",
    /// RTCP packets opened.
    RtcpIn = "rtcp_in",
    /// RTP packets sealed.
    RtpOut = "rtp_out",
    /// RTCP packets sealed.
    RtcpOut = "rtcp_out",
    /// Connectivity checks accepted.
    Checks = "ice_checks",
    /// Datagrams dropped: no STUN, DTLS, RTP or RTCP.
    DropMalformed = "drop_malformed",
    /// Datagrams dropped: no transport has proven that address.
    DropUnknownSource = "drop_unknown_source",
    /// STUN dropped: unknown user name, wrong password, or an address that is another's.
    DropCheck = "drop_check",
    /// STUN dropped unread: more checks than may be verified.
    DropCheckRate = "drop_check_rate",
    /// SRTP dropped: no keys yet, or none any more.
    DropUnkeyed = "drop_unkeyed",
    /// SRTP dropped: authentication failed.
    DropForged = "drop_forged",
    /// SRTP dropped: replayed, or too late.
    DropReplayed = "drop_replayed",
    /// SRTP dropped: over the limit of SSRCs, or the key is used up.
    DropLimit = "drop_limit",
    /// Datagrams dropped: the client sends more than it may.
    DropRate = "drop_rate",
    /// RTCP packets whose rest was not read: their sender asks and reports more than it may.
    DropFeedback = "drop_feedback",
    /// Packets for a participant without keys, without a path or without consent.
    DropUnreachable = "drop_unreachable",
    /// Packets that SRTP refused to seal: a number used twice, no RTP.
    DropUnsealed = "drop_unsealed",
    /// Datagrams that the kernel refused, its buffer full or the destination unreachable.
    DropSend = "drop_send",
    /// Datagrams that the kernel dropped because the socket's buffer was full.
    DropReceive = "drop_receive",
    /// Datagrams longer than the receive buffer, or than any path carries.
    DropTruncated = "drop_truncated",
    /// Faults that were contained: in a room, a transport, or a datagram of nobody.
    Faults = "faults",
}

const COUNTERS: usize = Counter::ALL.len();

/// The worker's own counters.
#[derive(Clone, Debug)]
pub struct Counters([u64; COUNTERS]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; COUNTERS])
    }
}

impl Counters {
    /// Counts `n` more.
    pub fn add(&mut self, counter: Counter, n: u64) {
        if let Some(value) = self.0.get_mut(counter as usize) {
            *value = value.wrapping_add(n);
        }
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (value, more) in self.0.iter_mut().zip(other.0) {
            *value = value.wrapping_add(more);
        }
    }

    /// The value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }
}

/// Counters as other threads see them.
#[derive(Debug)]
pub struct PublishedCounters([AtomicU64; COUNTERS]);

impl Default for PublishedCounters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; COUNTERS])
    }
}

impl PublishedCounters {
    /// Makes the worker's values visible. Each is exact; together they are no snapshot.
    pub fn publish(&self, counters: &Counters) {
        for (published, value) in self.0.iter().zip(counters.0) {
            published.store(value, Ordering::Relaxed);
        }
    }

    /// Reads all values.
    #[must_use]
    pub fn read(&self) -> Counters {
        let mut counters = Counters::default();
        for (value, published) in counters.0.iter_mut().zip(&self.0) {
            *value = published.load(Ordering::Relaxed);
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read_under_its_name() {
        let (mut counters, published) = (Counters::default(), PublishedCounters::default());
        counters.add(Counter::RtpIn, 2);
        counters.add(Counter::RtpIn, 1);
        published.publish(&counters);
        assert_eq!(published.read().get(Counter::RtpIn), 3);
        assert_eq!(Counter::ALL.iter().map(|c| published.read().get(*c)).sum::<u64>(), 3);
        assert_eq!(Counter::RtpIn.name(), "rtp_in");
    }
}
