//! Counters of a room: plain integers, which the worker adds up once a second.

use crate::{
    congestion::DeliveryReport,
    metrics::{Counter, Counters},
};

/// Counters of a room, since its beginning or since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomStats {
    /// RTP packets received.
    pub received: u64,
    /// RTP packets forwarded, once per subscriber.
    pub forwarded: u64,
    /// Empty packets sent to subscribers, for numbers that turned out to be of other layers.
    pub fillers: u64,
    /// Packets sent to subscribers as probes of their downlinks: retransmissions and padding.
    pub probes: u64,
    /// Packets that waited for a slow downlink, and were discarded with others of frames that can be missing.
    pub discarded: u64,
    /// Packets that waited for a slow downlink until they were no longer stored.
    pub outdated: u64,
    /// Packets retransmitted to subscribers.
    pub retransmitted: u64,
    /// Packets that subscribers requested and did not get: too old, requested too often, or over the repair budget.
    pub retransmissions_refused: u64,
    /// PLIs sent to publishers.
    pub plis: u64,
    /// Requests for key frames of subscribers that are over their budget.
    pub key_frame_requests_refused: u64,
    /// Requests for key frames that led to PLIs: of slots that had nothing of the track.
    pub key_frames_for_joiners: u64,
    /// … of slots that change to a better layer.
    pub key_frames_for_switches: u64,
    /// … by PLI and FIR of receivers.
    pub key_frames_for_decoders: u64,
    /// … because the publisher's stream could not be repaired.
    pub key_frames_for_losses: u64,
    /// Packets requested from publishers by NACK.
    pub nacked: u64,
    /// Dropped: not RTP, of a payload type that is not the stream's, or a malformed part of an RTCP packet.
    pub malformed: u64,
    /// Dropped: of an unknown SSRC.
    pub unknown_ssrc: u64,
    /// Dropped: of an unknown SSRC, with a RID that is none of the track's.
    pub unknown_rid: u64,
    /// Dropped: padding only.
    pub padding: u64,
    /// Dropped: received before.
    pub duplicate: u64,
    /// Dropped: below the window of the packet store, or a retransmission that receivers no longer wait for.
    pub too_late: u64,
    /// RTP packets whose Dependency Descriptor could not be read: malformed, or larger than the parser's bounds. They are
    /// forwarded as if they had none.
    pub unread_descriptors: u64,
    /// RTCP packets of which the rest was skipped, since their sender exceeded [`FEEDBACK_ITEMS`](crate::limits::FEEDBACK_ITEMS).
    pub excess_feedback: u64,
    /// Packets of publishers that were lost on the media stream, counted with each receiver report.
    pub lost: u64,
    /// Of those, packets recovered in time by retransmission.
    pub recovered: u64,
    /// Sum of the transport-wide feedback of all participants.
    pub downlink: DeliveryReport,
}

impl RoomStats {
    /// Adds them to the counters of a worker.
    pub(crate) fn count_in(&self, counters: &mut Counters) {
        // Every field is named, so that a new one is not forgotten. Received packets are counted when they are opened.
        let &Self {
            received: _,
            forwarded,
            fillers,
            probes,
            discarded,
            outdated,
            retransmitted,
            retransmissions_refused,
            plis,
            key_frame_requests_refused,
            key_frames_for_joiners,
            key_frames_for_switches,
            key_frames_for_decoders,
            key_frames_for_losses,
            nacked,
            malformed,
            unknown_ssrc,
            unknown_rid,
            padding,
            duplicate,
            too_late,
            unread_descriptors,
            excess_feedback,
            lost,
            recovered,
            downlink: DeliveryReport { arrived, missing, unknown, overrun },
        } = self;
        for (counter, n) in [
            (Counter::Forwarded, forwarded),
            (Counter::Fillers, fillers),
            (Counter::Probes, probes),
            (Counter::PacedDiscarded, discarded),
            (Counter::PacedOutdated, outdated),
            (Counter::Retransmissions, retransmitted),
            (Counter::RetransmissionsRefused, retransmissions_refused),
            (Counter::PlisSent, plis),
            (Counter::KeyFrameRequestsRefused, key_frame_requests_refused),
            (Counter::KeyFramesForJoiners, key_frames_for_joiners),
            (Counter::KeyFramesForSwitches, key_frames_for_switches),
            (Counter::KeyFramesForDecoders, key_frames_for_decoders),
            (Counter::KeyFramesForLosses, key_frames_for_losses),
            (Counter::UplinkNacked, nacked),
            (Counter::UplinkLost, lost),
            (Counter::UplinkRecovered, recovered),
            (Counter::DownlinkArrived, arrived),
            (Counter::DownlinkMissing, missing),
            (Counter::DownlinkUnknown, unknown),
            (Counter::DownlinkOverrun, overrun),
            (Counter::UnreadDescriptors, unread_descriptors),
            (Counter::DropMalformed, malformed),
            (Counter::DropUnknownSsrc, unknown_ssrc),
            (Counter::DropUnknownRid, unknown_rid),
            (Counter::DropPadding, padding),
            (Counter::DropDuplicate, duplicate),
            (Counter::DropTooLate, too_late),
            (Counter::DropExcessFeedback, excess_feedback),
        ] {
            counters.add(counter, n);
        }
    }
}
