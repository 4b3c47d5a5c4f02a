//! A slot: a receiving m-line of a client, whose stream outlives the tracks in it.

use super::{
    nack_responder::NackResponder, reported_loss::ReportedLoss, rewriter::Rewriter, sender_reports::SentReports,
};
use crate::{
    congestion::delivery_rate::Sent,
    ids::{Mid, Ssrc},
    keys::{EncodingKey, ParticipantKey, TrackKey, TransportKey},
    media::Codec,
    wire::rtcp::{SenderInfo, write as rtcp_write},
};
use std::time::Instant;

/// The track in a slot, and the encoding of it that is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) track: TrackKey,
    pub(crate) encoding: EncodingKey,
}

/// A slot of one participant.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) participant: ParticipantKey,
    /// The participant's transport.
    pub(crate) transport: TransportKey,
    pub(crate) mid: Mid,
    pub(crate) codec: Codec,
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx: Option<NackResponder>,
    /// The client has applied the m-line.
    pub(crate) active: bool,
    pub(crate) source: Option<Source>,
    /// The position among the room's speakers that the slot plays. The source follows it.
    pub(crate) position: Option<u8>,
    /// The source came when the receiver could not be reached, and no key frame was requested for it.
    pub(crate) is_new: bool,
    pub(crate) rewriter: Rewriter,
    /// The receiver has reported on the SSRC, so it knows the m-line, and packets need no MID.
    pub(crate) mid_known: bool,
    /// Media sent, without retransmissions, for sender reports.
    pub(crate) sent: Sent,
    pub(crate) sent_reports: SentReports,
    pub(crate) loss: ReportedLoss,
}

impl Slot {
    /// Whether packets of the encoding are forwarded to the slot.
    pub(crate) fn receives(&self, encoding: EncodingKey) -> bool {
        self.active && self.source.is_some_and(|source| source.encoding == encoding)
    }

    /// Whether packets of the encoding are needed for the slot, once it is active.
    pub(crate) fn listens_to(&self, encoding: EncodingKey) -> bool {
        self.source.is_some_and(|source| source.encoding == encoding)
    }

    /// Height at which the receiver shows the video, in lines; `None` if it shows nothing.
    pub(crate) fn wanted_height(&self) -> Option<u16> {
        Some(u16::MAX)
    }

    /// Writes a sender report with the source's wall clock, and its timestamp converted to the slot's timeline.
    ///
    /// Returns `false`, and writes nothing, if nothing of the source has been sent.
    pub(crate) fn write_sender_report(
        &mut self,
        now: Instant,
        (ntp, timestamp): (u64, u32),
        cname: &str,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let Some(timestamp) = self.rewriter.timestamp(timestamp) else { return false };
        let info = SenderInfo { ntp, timestamp, packets: self.sent.packets, octets: self.sent.octets };
        buffer.clear();
        rtcp_write::sender_report(buffer, self.ssrc, &info);
        rtcp_write::source_description(buffer, self.ssrc, cname.as_bytes());
        self.sent_reports.on_sent(now, info.compact_ntp());
        true
    }
}
