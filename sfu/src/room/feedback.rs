//! RTCP through a room. Nothing of it is passed on as it is: reports and requests of receivers end here, and what
//! their publishers need to hear is said anew, once.

use super::{Room, Route, media::send_report};
use crate::{
    egress::Egress,
    event::{Event, Limit},
    forward::{delivery::Sent, sender_reports::PublisherClock},
    ids::{ParticipantId, Ssrc},
    limits,
    wire::{
        rtcp::twcc::TwccFeedback,
        rtcp::write as rtcp_write,
        rtcp::{self, ReportBlock, Rtcp, SenderInfo},
    },
};
use std::time::Instant;

impl Room {
    /// Takes a clear RTCP packet of a participant.
    pub fn receive_rtcp(
        &mut self,
        now: Instant,
        from: ParticipantId,
        packet: &[u8],
        egress: &mut (impl Egress + ?Sized),
    ) {
        for part in rtcp::parse(packet) {
            if !self.allows(now, from, items(&part)) {
                self.stats.excess_feedback += 1;
                return;
            }
            match part {
                Rtcp::SenderReport { ssrc, info, blocks } => {
                    self.on_sender_report(now, from, ssrc, info, egress);
                    blocks.for_each(|block| self.on_report_block(now, from, &block));
                }
                Rtcp::ReceiverReport { blocks, .. } => {
                    blocks.for_each(|block| self.on_report_block(now, from, &block));
                }
                Rtcp::Nack { media, lost } => {
                    if let Some(&Route::Slot(slot)) = self.routes.get(&(from, media)) {
                        lost.for_each(|seq| self.retransmit(now, slot, seq, egress));
                    }
                }
                Rtcp::Pli { media } => self.on_key_frame_request(now, from, media, egress),
                Rtcp::Fir(streams) => {
                    streams.for_each(|media| self.on_key_frame_request(now, from, media, egress));
                }
                Rtcp::Twcc(feedback) => self.on_transport_feedback(now, from, &feedback),
                // Who comes and goes is told by signaling, which is authenticated end to end.
                Rtcp::SourceDescription(_) | Rtcp::Bye(_) | Rtcp::Other { .. } => {}
            }
        }
    }

    /// Whether a participant may have so many items of RTCP dealt with now. If not, it is told of once in a while.
    fn allows(&mut self, now: Instant, from: ParticipantId, items: usize) -> bool {
        let sender = self.participant_keys.get(&from).and_then(|key| self.participants.get_mut(*key));
        let Some(sender) = sender else { return false };
        let allowed = sender.feedback.take(now, u32::try_from(items).unwrap_or(u32::MAX));
        if !allowed && sender.excess.due(now, limits::NOTICE_INTERVAL) {
            self.events.push_back(Event::LimitExceeded { participant: from, limit: Limit::Feedback });
        }
        allowed
    }

    /// Counts what has arrived at a receiver.
    fn on_transport_feedback(&mut self, now: Instant, from: ParticipantId, feedback: &TwccFeedback<'_>) {
        let Some(receiver) = self.participant_keys.get(&from) else { return };
        let Some(receiver) = self.participants.get_mut(*receiver) else { return };
        let (mut covered, mut arrived) = (0, 0);
        for (_, packet_arrived) in feedback.packets() {
            covered += 1;
            arrived += u64::from(packet_arrived);
        }
        let Self { slots, stats, .. } = self;
        for downlink in [&mut receiver.downlink, &mut stats.downlink] {
            downlink.arrived += arrived;
            downlink.missing += covered - arrived;
        }
        let of_receiver = receiver.slots.iter().filter_map(|slot| slots.get(*slot));
        receiver.delivery.on_feedback(now, arrived, || {
            of_receiver.fold(Sent::default(), |sent, slot| Sent {
                packets: sent.packets.wrapping_add(slot.packets),
                octets: sent.octets.wrapping_add(slot.octets),
            })
        });
    }

    /// Notes a publisher's clock, and tells it to every slot that the track is in.
    fn on_sender_report(
        &mut self,
        now: Instant,
        from: ParticipantId,
        ssrc: Ssrc,
        info: SenderInfo,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Some(&Route::Media(key)) = self.routes.get(&(from, ssrc)) else { return };
        let Self { tracks, slots, scratch, .. } = self;
        let Some(track) = tracks.get_mut(key) else { return };
        track.reception.on_sender_report(now, info.compact_ntp());
        track.clock = Some(PublisherClock::new(now, info));
        // One costs as many as there are subscribers.
        if !track.reports.take(now, 1) {
            return;
        }
        for &slot in &track.subscribers {
            let Some(slot) = slots.get_mut(slot).filter(|slot| slot.active) else { continue };
            send_report(now, slot, info.ntp, info.timestamp, &track.cname, &mut scratch.rtcp, egress);
        }
    }

    /// Takes a receiver's report on a slot.
    fn on_report_block(&mut self, now: Instant, from: ParticipantId, block: &ReportBlock) {
        let Some(&Route::Slot(slot)) = self.routes.get(&(from, block.ssrc)) else { return };
        let Some(slot) = self.slots.get_mut(slot).filter(|slot| slot.packets > 0) else { return };
        slot.mid_known = true;
        if let Some(sample) = slot.reports.round_trip(now, block.last_sr, block.delay_since_last_sr)
            && let Some(receiver) = self.participants.get_mut(slot.participant_key)
        {
            receiver.rtt.sample(sample);
        }
    }

    fn on_key_frame_request(
        &mut self,
        now: Instant,
        from: ParticipantId,
        media: Ssrc,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Some(&Route::Slot(slot)) = self.routes.get(&(from, media)) else { return };
        if let Some(track) = self.slots.get(slot).filter(|slot| slot.active).and_then(|slot| slot.source) {
            self.request_key_frame(now, track, egress);
        }
    }

    /// Asks a track's publisher for a key frame, now or as soon as it may be asked again.
    pub(super) fn request_key_frame(&mut self, now: Instant, track: usize, egress: &mut (impl Egress + ?Sized)) {
        if let Some(requested) = self.tracks.get_mut(track).filter(|track| track.is_video()) {
            requested.key_frames.request();
            self.serve_track(now, track, egress);
        }
    }

    /// Asks a track's publisher for what is due, missing packets and key frames, and notes when to ask next.
    pub(super) fn serve_track(&mut self, now: Instant, track: usize, egress: &mut (impl Egress + ?Sized)) {
        let Self { tracks, participants, scratch, stats, deadlines, .. } = self;
        let Some(track) = tracks.get_mut(track).filter(|track| track.is_video()) else { return };
        let Some(owner) = participants.get(track.owner_key) else { return };
        let rtt = owner.rtt.estimate();
        let Some(deadline) = track.deadline(now, rtt) else { return };
        if deadline > now {
            deadlines.arm_repairs(deadline);
            return;
        }
        scratch.ask_for.clear();
        track.due_repairs(now, rtt, &mut scratch.ask_for);
        scratch.rtcp.clear();
        rtcp_write::nack(&mut scratch.rtcp, owner.feedback_ssrc, track.publication.ssrc, &scratch.ask_for);
        stats.nacked += scratch.ask_for.len() as u64;
        if track.key_frames.due(now) {
            rtcp_write::pli(&mut scratch.rtcp, owner.feedback_ssrc, track.publication.ssrc);
            stats.key_frame_requests += 1;
        }
        if !scratch.rtcp.is_empty() {
            egress.rtcp(track.owner, &scratch.rtcp);
        }
        if let Some(deadline) = track.deadline(now, rtt) {
            deadlines.arm_repairs(deadline);
        }
    }
}

/// How much work a part is: itself, and each of its entries.
fn items(part: &Rtcp<'_>) -> usize {
    1 + match part {
        Rtcp::SenderReport { blocks, .. } | Rtcp::ReceiverReport { blocks, .. } => blocks.count(),
        Rtcp::Nack { lost, .. } => lost.count(),
        Rtcp::Fir(streams) => streams.count(),
        Rtcp::Twcc(feedback) => usize::from(feedback.covered),
        Rtcp::SourceDescription(_) | Rtcp::Bye(_) | Rtcp::Pli { .. } | Rtcp::Other { .. } => 0,
    }
}
