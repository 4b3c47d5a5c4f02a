//! What a room counts: plain integers of its own, which its worker adds to those of others now and then.

use crate::metrics::{Counter, Counters};

/// What a participant reported about packets sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Downlink {
    /// Packets that arrived.
    pub arrived: u64,
    /// Packets that did not, or not yet when reported.
    pub missing: u64,
}

/// Counters of a room, from its beginning or since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomStats {
    /// RTP packets received.
    pub received: u64,
    /// RTP packets forwarded, each subscriber's counted.
    pub forwarded: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Packets asked for that were not sent again: too old, too often, over budget.
    pub not_retransmitted: u64,
    /// Key frames asked for.
    pub key_frame_requests: u64,
    /// Packets asked for from publishers.
    pub nacked: u64,
    /// Dropped: not RTP, or of a payload type that is not the stream's.
    pub malformed: u64,
    /// Dropped: of an SSRC that nobody signaled.
    pub unknown_ssrc: u64,
    /// Dropped: padding only.
    pub padding: u64,
    /// Dropped: a packet that came before.
    pub duplicate: u64,
    /// Dropped: older than what is remembered, or a repair that nobody waits for any more.
    pub too_late: u64,
    /// RTCP packets whose rest was not read, since their sender asks and reports more than it may.
    pub excess_feedback: u64,
    /// Packets of publishers that did not arrive at first, counted at each report to them.
    pub lost: u64,
    /// Of those, packets that came as retransmissions, and in time.
    pub recovered: u64,
    /// What participants reported about packets sent to them.
    pub downlink: Downlink,
}

impl RoomStats {
    /// Adds them to a worker's counters.
    pub(crate) fn count_in(&self, counters: &mut Counters) {
        // Whoever adds a counter decides here what becomes of it. Packets received are counted when they are opened.
        let &Self {
            received: _,
            forwarded,
            retransmitted,
            not_retransmitted,
            key_frame_requests,
            nacked,
            malformed,
            unknown_ssrc,
            padding,
            duplicate,
            too_late,
            excess_feedback,
            lost,
            recovered,
            downlink: Downlink { arrived, missing },
        } = self;
        for (counter, n) in [
            (Counter::Forwarded, forwarded),
            (Counter::Retransmissions, retransmitted),
            (Counter::RetransmissionsRefused, not_retransmitted),
            (Counter::PlisSent, key_frame_requests),
            (Counter::UplinkNacked, nacked),
            (Counter::UplinkLost, lost),
            (Counter::UplinkRecovered, recovered),
            (Counter::DownlinkArrived, arrived),
            (Counter::DownlinkMissing, missing),
            (Counter::DropMalformed, malformed),
            (Counter::DropUnknownSsrc, unknown_ssrc),
            (Counter::DropPadding, padding),
            (Counter::DropDuplicate, duplicate),
            (Counter::DropTooLate, too_late),
            (Counter::DropExcessFeedback, excess_feedback),
        ] {
            counters.add(counter, n);
        }
    }
}
