//! Counters of a worker: plain integers.

use super::quantities;

quantities! {
    /// A counter. Values count from the start of the worker.
    pub enum Counter;

    /// Datagrams received.
    DatagramsIn = "datagrams_received",
    /// Bytes of received datagrams.
    BytesIn = "received_bytes",
    /// Datagrams passed to the kernel.
    DatagramsOut = "datagrams_sent",
    /// Bytes of the datagrams passed to the kernel.
    BytesOut = "sent_bytes",
    /// RTP packets opened.
    RtpIn = "rtp_packets_received",
    /// RTCP packets opened.
    RtcpIn = "rtcp_packets_received",
    /// RTP packets sealed.
    RtpOut = "rtp_packets_sent",
    /// RTCP packets sealed.
    RtcpOut = "rtcp_packets_sent",
    /// RTP packets forwarded, counted per subscriber, including unreachable ones.
    Forwarded = "forwarded_packets",
    /// Empty RTP packets sent to subscribers for sequence numbers that are of other layers.
    Fillers = "filler_packets",
    /// RTP packets of padding, sent to subscribers as probes of what their downlinks carry.
    Probes = "probe_packets",
    /// RTP packets that waited for a slow downlink, and were discarded: of frames that can be missing.
    PacedDiscarded = "paced_packets_discarded",
    /// RTP packets that waited for a slow downlink until they were no longer stored.
    PacedOutdated = "paced_packets_outdated",
    /// RTP packets of publishers that were missing at first. Some are recovered.
    UplinkLost = "uplink_packets_lost",
    /// RTP packets requested from publishers by NACK.
    UplinkNacked = "uplink_packets_nacked",
    /// RTP packets of publishers that arrived in time as retransmissions.
    UplinkRecovered = "uplink_packets_recovered",
    /// RTP packets of publishers whose Dependency Descriptor could not be read: they are forwarded to all who receive the stream.
    UnreadDescriptors = "unread_descriptors",
    /// Packets that subscribers to video reported as received.
    DownlinkArrived = "downlink_packets_arrived",
    /// Packets that subscribers to video reported as missing, whether or not they arrive later.
    DownlinkMissing = "downlink_packets_missing",
    /// Packets that subscribers reported and that were never sent to them.
    DownlinkUnknown = "downlink_packets_unknown",
    /// Packets that subscribers reported when it was no longer known what had been sent: their feedback is far behind.
    DownlinkOverrun = "downlink_packets_overrun",
    /// Packets retransmitted to subscribers.
    Retransmissions = "retransmissions",
    /// Packets requested by subscribers that were not retransmitted: too old, requested too often, or over the budget.
    RetransmissionsRefused = "retransmissions_refused",
    /// PLIs sent to publishers: requests for key frames.
    PlisSent = "plis_sent",
    /// Requests for key frames that a subscriber made too often, and that reached no publisher.
    KeyFrameRequestsRefused = "key_frame_requests_refused",
    /// Requests for key frames of slots that had nothing of the track yet.
    KeyFramesForJoiners = "key_frame_requests_joiner",
    /// Requests for key frames of slots that change to a better layer.
    KeyFramesForSwitches = "key_frame_requests_switch",
    /// Requests for key frames by receivers, which sent PLI or FIR.
    KeyFramesForDecoders = "key_frame_requests_decoder",
    /// Requests for key frames because a publisher's stream could not be repaired.
    KeyFramesForLosses = "key_frame_requests_loss",
    /// Connectivity checks accepted.
    Checks = "ice_checks",
    /// Connectivity checks sent by the server, with retransmissions.
    PathChecks = "path_checks_sent",
    /// Connectivity checks of the server that were answered.
    PathAnswers = "path_checks_answered",
    /// Client addresses that were proven by an answered check: each client's first one, and where it moves.
    PathsProven = "paths_proven",
    /// ICE restarts completed: the client used the new credentials.
    IceRestarts = "ice_restarts",
    /// Transports whose handshake completed.
    Connected = "handshakes_completed",
    /// Transports that failed: wrong certificate, handshake timeout, or a fault.
    Failed = "transports_failed",
    /// Transports whose client fell silent without close_notify. Some come back.
    Disconnected = "transports_disconnected",
    /// Dropped: not STUN, DTLS, RTP or RTCP, RTP with a payload type that the stream does not use, or a part of RTCP that is
    /// shorter than its type.
    DropMalformed = "drop_malformed",
    /// Datagrams dropped: no client has sent an authentic check from the source address.
    DropUnknownSource = "drop_unknown_source",
    /// STUN dropped: unknown username, wrong password, an address that belongs to another client, or an answer to nothing.
    DropCheck = "drop_check",
    /// STUN dropped without verification: too many checks.
    DropCheckRate = "drop_check_rate",
    /// STUN dropped: a check that came from another address before.
    DropCheckReplayed = "drop_check_replayed",
    /// Datagrams not sent: the address has not answered a check, and has got three times what came from it.
    DropUnproven = "drop_unproven",
    /// SRTP dropped: there are no keys yet, or no longer.
    DropUnkeyed = "drop_unkeyed",
    /// SRTP dropped: authentication failed.
    DropForged = "drop_forged",
    /// SRTP dropped: replayed, or older than the replay window.
    DropReplayed = "drop_replayed",
    /// SRTP dropped: too many SSRCs, or the key is exhausted.
    DropLimit = "drop_limit",
    /// Datagrams dropped: the client exceeds its rate limit.
    DropRate = "drop_rate",
    /// Packets dropped: the receiver has no keys, no path or no consent.
    DropUnreachable = "drop_unreachable",
    /// Packets that SRTP refused to seal: a repeated sequence number, or not RTP.
    DropUnsealed = "drop_unsealed",
    /// Datagrams that the kernel refused: send buffer full, or destination unreachable.
    DropSend = "drop_send",
    /// Datagrams that the kernel dropped because the receive buffer was full.
    DropReceive = "drop_receive",
    /// Datagrams dropped: longer than the receive buffer, or than any path carries.
    DropTruncated = "drop_truncated",
    /// RTP dropped: an SSRC that was not signaled.
    DropUnknownSsrc = "drop_unknown_ssrc",
    /// RTP dropped: an SSRC that was not signaled, with a RID that was not signaled either.
    DropUnknownRid = "drop_unknown_rid",
    /// RTP dropped: padding only.
    DropPadding = "drop_padding",
    /// RTP dropped: a duplicate.
    DropDuplicate = "drop_duplicate",
    /// RTP dropped: older than the packet history, or a retransmission that is no longer awaited.
    DropTooLate = "drop_too_late",
    /// RTCP packets cut off: the sender exceeds its limit of requests and reports.
    DropExcessFeedback = "drop_excess_feedback",
    /// Contained faults: in a room, in a transport, or in the handling of a datagram from a stranger.
    Faults = "faults",
}

/// All counters of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(pub(super) [u64; Counter::COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::COUNT])
    }
}

impl Counters {
    /// Adds `n` to a counter.
    pub fn add(&mut self, counter: Counter, n: u64) {
        if let Some(value) = self.0.get_mut(counter as usize) {
            *value = value.wrapping_add(n);
        }
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (value, more) in self.0.iter_mut().zip(other.0) {
            *value = value.wrapping_add(more);
        }
    }

    /// Returns the value of a counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }
}

impl Counter {
    /// Returns the reason if this counts dropped packets.
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
    fn counters_add_and_merge() {
        let mut counters = Counters::default();
        counters.add(Counter::RtpIn, 2);
        counters.add(Counter::RtpIn, 1);
        assert_eq!(counters.get(Counter::RtpIn), 3);
        let mut total = counters.clone();
        total.merge(&counters);
        assert_eq!(Counter::ALL.iter().map(|counter| total.get(*counter)).sum::<u64>(), 6);
    }

    #[test]
    fn counter_names_are_unique() {
        let names: HashSet<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        assert_eq!(names.len(), Counter::COUNT);
        assert!(Counter::ALL.iter().all(|counter| counter.help().len() > 10));
        assert_eq!(Counter::DropForged.drop_reason(), Some("forged"));
        assert_eq!(Counter::RtpIn.drop_reason(), None);
    }
}
