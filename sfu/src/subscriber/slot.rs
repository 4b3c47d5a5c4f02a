//! A slot: a receiving m-line of a client, whose stream outlives the tracks in it.

use super::{
    allocation::Tile,
    nack_responder::NackResponder,
    reported_loss::ReportedLoss,
    rewriter::Rewriter,
    segment::Layer,
    select::Wanted,
    sender_reports::SentReports,
    sent::{Sent, SentRate},
    steadiness::Steadiness,
    waiting::Waiting,
};
use crate::{
    event::LayerReason,
    ids::{Mid, Ssrc},
    keys::{EncodingKey, ParticipantKey, TrackKey, TransportKey},
    media::{Codec, Kind},
    wire::rtcp::{SenderInfo, write as rtcp_write},
};
use std::time::Instant;

/// How the receiver shows a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    At(Tile),
    Paused,
}

/// What was reported of a slot's layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportedLayer {
    /// In lines, 0 if unknown; `None` if nothing is sent.
    pub(crate) height: Option<u16>,
    pub(crate) temporal: Option<u8>,
    pub(crate) reason: LayerReason,
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
    /// The track in it.
    pub(crate) track: Option<TrackKey>,
    /// The position among the room's speakers that the slot plays. The track follows it.
    pub(crate) position: Option<u8>,
    /// The speaker in it is new: what was stored of the first word is sent before its next packet.
    pub(crate) back_fills: bool,
    pub(crate) shown: Shown,
    /// Why the wanted layer is not another one.
    pub(crate) reason: LayerReason,
    pub(crate) reported: Option<ReportedLayer>,
    /// The track came when the receiver could not be reached, and no key frame was requested for it.
    pub(crate) is_new: bool,
    pub(crate) rewriter: Rewriter,
    /// What the pacer holds back; `None` without a pacer, which audio never has.
    pub(crate) waiting: Option<Box<Waiting>>,
    /// The receiver has reported on the SSRC, so it knows the m-line, and packets need no MID.
    pub(crate) mid_known: bool,
    /// Media sent, without retransmissions, for sender reports.
    pub(crate) sent: Sent,
    /// Of audio.
    pub(crate) rate: SentRate,
    pub(crate) sent_reports: SentReports,
    pub(crate) loss: ReportedLoss,
    pub(crate) steadiness: Steadiness,
}

impl Slot {
    /// Whether packets of the encoding are forwarded to the slot.
    pub(crate) fn receives(&self, encoding: EncodingKey) -> bool {
        self.active && self.listens_to(encoding)
    }

    /// Whether packets of the encoding are needed for the slot, once it is active.
    pub(crate) fn listens_to(&self, encoding: EncodingKey) -> bool {
        self.rewriter.listens_to(encoding)
    }

    pub(crate) fn is_video(&self) -> bool {
        self.codec.entry().kind == Kind::Video
    }

    /// Whether it shows a video of which nothing is sent, not even the lowest layer, for want of bitrate.
    pub(crate) fn is_withheld(&self) -> bool {
        let is_withheld = matches!(self.reason, LayerReason::Network | LayerReason::Server);
        is_withheld && self.track.is_some() && self.rewriter.wanted().is_none()
    }

    /// Height at which the receiver shows the video, in lines; `None` if it shows nothing.
    pub(crate) fn wanted_height(&self) -> Option<u16> {
        match self.shown {
            Shown::At(tile) => Some(tile.height),
            Shown::Paused => None,
        }
    }

    /// Puts a track into the slot, which begins with the best layer of this encoding.
    pub(crate) fn begin_track(&mut self, track: TrackKey, encoding: EncodingKey) {
        self.track = Some(track);
        if self.shown != Shown::Paused {
            let layer = Layer { encoding, target: Wanted::HIGHEST };
            self.rewriter.want(Some(Wanted { layer, meanwhile: None }));
        }
    }

    /// Empties the slot. Returns the track that was in it.
    pub(crate) fn end_track(&mut self) -> Option<TrackKey> {
        self.rewriter.end_track();
        self.back_fills = false;
        self.reported = None;
        self.track.take()
    }

    /// Writes a sender report with the wall clock of an encoding, and its timestamp converted to the slot's timeline.
    ///
    /// Returns `false`, and writes nothing, if the encoding is not forwarded.
    pub(crate) fn write_sender_report(
        &mut self,
        now: Instant,
        encoding: EncodingKey,
        (ntp, timestamp): (u64, u32),
        cname: &str,
        buffer: &mut Vec<u8>,
    ) -> bool {
        let Some(timestamp) = self.rewriter.timestamp(encoding, timestamp) else { return false };
        self.rewriter.on_sender_report(ntp, timestamp);
        let info = SenderInfo { ntp, timestamp, packets: self.sent.packets, octets: self.sent.octets };
        buffer.clear();
        rtcp_write::sender_report(buffer, self.ssrc, &info);
        rtcp_write::source_description(buffer, self.ssrc, cname.as_bytes());
        self.sent_reports.on_sent(now, info.compact_ntp());
        true
    }
}
