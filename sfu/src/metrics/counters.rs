//! What a worker counts, in plain integers.

use super::quantities;

quantities! {
    /// What is counted, since the worker started.
    pub enum Counter;

    /// Datagrams received.
    DatagramsIn = "datagrams_received",
    /// Bytes of the datagrams received.
    BytesIn = "received_bytes",
    /// Datagrams handed to the kernel.
    DatagramsOut = "datagrams_sent",
    /// Bytes of the datagrams handed to the kernel.
    BytesOut = "sent_bytes",
    /// RTP packets opened.
    RtpIn = "rtp_packets_received",
    /// RTCP packets opened.
    RtcpIn = "rtcp_packets_received",
    /// RTP packets sealed.
    RtpOut = "rtp_packets_sent",
    /// RTCP packets sealed.
    RtcpOut = "rtcp_packets_sent",
    /// RTP packets forwarded, each subscriber's counted.
    Forwarded = "forwarded_packets",
    /// RTP packets of publishers that did not arrive at first; some are recovered.
    UplinkLost = "uplink_packets_lost",
    /// RTP packets asked for again from publishers.
    UplinkRequested = "uplink_packets_requested",
    /// RTP packets of publishers that came as retransmissions in time.
    UplinkRecovered = "uplink_packets_recovered",
    /// Packets to subscribers that they reported as arrived.
    DownlinkArrived = "downlink_packets_arrived",
    /// Packets to subscribers that they reported as missing, for good or so far.
    DownlinkMissing = "downlink_packets_missing",
    /// Packets sent again to subscribers.
    Retransmissions = "retransmissions",
    /// Packets that subscribers asked for and did not get: too old, too often, over budget.
    RetransmissionsRefused = "retransmissions_refused",
    /// Key frames asked for from publishers.
    KeyFrameRequests = "key_frame_requests",
    /// Connectivity checks accepted.
    Checks = "ice_checks",
    /// Transports whose handshake came to keys.
    Connected = "handshakes_completed",
    /// Transports that failed: a wrong certificate, a handshake without end, a fault.
    Failed = "transports_failed",
    /// Transports whose client fell silent without a good-bye; some come back.
    Silent = "transports_silent",
    /// Datagrams dropped: no STUN, DTLS, RTP or RTCP, or RTP of a payload type that is not the stream's.
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
    /// RTP dropped: of an SSRC that nobody signaled.
    DropUnknownSsrc = "drop_unknown_ssrc",
    /// RTP dropped: padding only.
    DropPadding = "drop_padding",
    /// RTP dropped: a packet that came before.
    DropDuplicate = "drop_duplicate",
    /// RTP dropped: older than what is remembered, or a repair that nobody waits for any more.
    DropTooLate = "drop_too_late",
    /// RTCP dropped: its sender asks and reports more than it may.
    DropExcessFeedback = "drop_excess_feedback",
    /// Faults that were contained: in a room, a transport, or a datagram of nobody.
    Faults = "faults",
}

/// The worker's own counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(pub(super) [u64; Counter::COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::COUNT])
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

impl Counter {
    /// Why packets were dropped, if that is what it counts.
    #[must_use]
    pub fn drop_reason(self) -> Option<&'static str> {
        self.name().strip_prefix("drop_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_was_counted_is_found_again() {
        let mut counters = Counters::default();
        counters.add(Counter::RtpIn, 2);
        counters.add(Counter::RtpIn, 1);
        assert_eq!(counters.get(Counter::RtpIn), 3);
        let mut total = counters.clone();
        total.merge(&counters);
        assert_eq!(Counter::ALL.iter().map(|counter| total.get(*counter)).sum::<u64>(), 6);
    }

    #[test]
    fn every_counter_has_a_name_of_its_own_and_says_what_it_counts() {
        let names: HashSet<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        assert_eq!(names.len(), Counter::COUNT);
        assert!(Counter::ALL.iter().all(|counter| counter.help().len() > 10));
        assert_eq!(Counter::DropForged.drop_reason(), Some("forged"));
        assert_eq!(Counter::RtpIn.drop_reason(), None);
    }
}
