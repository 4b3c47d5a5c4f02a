//! RTCP into the room. None of it is forwarded: reports and requests of subscribers end here, and the room sends its own
//! to the publishers.

use super::{
    Room,
    topology::{Route, Topology},
};
use crate::{
    congestion::report::Report,
    egress::Egress,
    event::{Event, Limit},
    ids::{ParticipantId, Ssrc},
    limits,
    publisher::{encoding::Stream, key_frame_requests::Cause, sender_clock::SenderClock},
    wire::rtcp::{self, ReportBlock, Rtcp, SenderInfo},
};
use std::time::Instant;

impl Room {
    /// Handles a clear RTCP packet of a participant.
    pub fn receive_rtcp(
        &mut self,
        now: Instant,
        from: ParticipantId,
        packet: &[u8],
        egress: &mut (impl Egress + ?Sized),
    ) {
        for part in rtcp::parse(packet) {
            if !self.admits_feedback(now, from, items(&part)) {
                self.stats.excess_feedback += 1;
                return;
            }
            match part {
                Rtcp::SenderReport { ssrc, info, blocks } => {
                    self.on_sender_report(now, from, ssrc, info, egress);
                    blocks.for_each(|block| self.on_report_block(now, from, &block, egress));
                }
                Rtcp::ReceiverReport { blocks, .. } => {
                    blocks.for_each(|block| self.on_report_block(now, from, &block, egress));
                }
                Rtcp::Nack { media, lost } => {
                    if let Some(slot) = self.topology.slot_route(from, media) {
                        lost.for_each(|seq| self.retransmit(now, slot, seq, egress));
                    }
                }
                Rtcp::Pli { media } => self.on_key_frame_request(now, from, media, egress),
                Rtcp::Fir(streams) => {
                    streams.for_each(|media| self.on_key_frame_request(now, from, media, egress));
                }
                Rtcp::Twcc(feedback) => self.on_feedback(now, from, &Report::Twcc(feedback), egress),
                Rtcp::Ccfb(feedback) => self.on_feedback(now, from, &Report::Ccfb(feedback), egress),
                // Signaling, which is authenticated end to end, announces who joins and leaves.
                Rtcp::SourceDescription(_) | Rtcp::Bye(_) | Rtcp::Other { .. } => {}
                Rtcp::Malformed { .. } => self.stats.malformed += 1,
            }
        }
    }

    /// Whether a participant may have `items` more items of RTCP processed now. If not, an event reports it once per
    /// [`limits::NOTICE_INTERVAL`].
    fn admits_feedback(&mut self, now: Instant, from: ParticipantId, items: usize) -> bool {
        let Some(sender) = self.topology.participant_mut(from) else { return false };
        let admitted = sender.feedback.take(now, u32::try_from(items).unwrap_or(u32::MAX));
        if !admitted && sender.excess.due(now, limits::NOTICE_INTERVAL) {
            self.events.push_back(Event::LimitExceeded { participant: from, limit: Limit::Feedback });
        }
        admitted
    }

    fn on_feedback(
        &mut self,
        now: Instant,
        from: ParticipantId,
        report: &Report<'_>,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Some(receiver) = self.topology.participant(from) else { return };
        let Some(path) = egress.path(receiver.transport) else { return };
        let is_first = !path.downlink.is_estimated();
        if !path.downlink.is_recorded() && !self.topology.receives_video(receiver) {
            // There is nothing to choose or to hold back, and audio goes out whatever the path carries.
            return;
        }
        self.stats.downlink += path.downlink.on_feedback(now, report, &mut self.scratch.results);
        self.watch_downlinks(now);
        if is_first {
            self.begin_pacing(now, from, egress);
            self.update_needs(from, egress);
        }
    }

    /// Records the publisher's clock, and sends a report of it into every slot that the encoding is in.
    fn on_sender_report(
        &mut self,
        now: Instant,
        from: ParticipantId,
        ssrc: Ssrc,
        info: SenderInfo,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Some(Route::Encoding(key, Stream::Media)) = self.topology.route(from, ssrc) else { return };
        let Self { topology: Topology { encodings, tracks, slots, .. }, scratch, .. } = self;
        let Some(encoding) = encodings.get_mut(key) else { return };
        encoding.statistics.on_sender_report(now, info.compact_ntp());
        encoding.clock = Some(SenderClock::new(now, info));
        // Each costs as many packets as there are subscribers.
        if !encoding.sender_reports.take(now, 1) {
            return;
        }
        let Some(track) = tracks.get(encoding.track) else { return };
        for slot in encoding.subscribers.slots() {
            let Some(slot) = slots.get_mut(slot).filter(|slot| slot.receives(key)) else { continue };
            if slot.write_sender_report(now, key, (info.ntp, info.timestamp), &track.cname, &mut scratch.rtcp) {
                egress.rtcp(slot.transport, &scratch.rtcp);
            }
        }
    }

    /// Handles a receiver's report on a slot.
    fn on_report_block(
        &mut self,
        now: Instant,
        from: ParticipantId,
        block: &ReportBlock,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Some(slot) = self.topology.slot_route(from, block.ssrc) else { return };
        let Some(slot) = self.topology.slots.get_mut(slot).filter(|slot| slot.sent.packets > 0) else { return };
        slot.mid_known = true;
        slot.loss.on_report(now, block);
        if let Some(sample) = slot.sent_reports.round_trip(now, block.last_sr, block.delay_since_last_sr)
            && let Some(path) = egress.path(slot.transport)
        {
            path.downlink.on_round_trip(sample);
        }
    }

    fn on_key_frame_request(
        &mut self,
        now: Instant,
        from: ParticipantId,
        media: Ssrc,
        egress: &mut (impl Egress + ?Sized),
    ) {
        if let Some(slot) = self.topology.slot_route(from, media) {
            self.request_key_frame(now, slot, Cause::Decoder, egress);
        }
    }
}

/// Number of items that a part costs: itself, and each of its entries.
fn items(part: &Rtcp<'_>) -> usize {
    1 + match part {
        Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => blocks.count(),
        Rtcp::Nack { lost, .. } => lost.count(),
        Rtcp::Fir(streams) => streams.count(),
        Rtcp::Twcc(feedback) => usize::from(feedback.covered),
        Rtcp::Ccfb(feedback) => feedback.packets().count(),
        Rtcp::SourceDescription(_) | Rtcp::Bye(_) | Rtcp::Pli { .. } | Rtcp::Other { .. } | Rtcp::Malformed { .. } => 0,
    }
}
