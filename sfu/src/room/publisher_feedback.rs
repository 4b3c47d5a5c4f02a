//! RTCP to publishers: NACKs, PLIs, transport-wide feedback, receiver reports.

use super::{
    Room, Scratch,
    stats::RoomStats,
    timers::{Timer, TimerTable},
    topology::{Participant, Topology},
};
use crate::{
    egress::Egress,
    ids::Ssrc,
    keys::{EncodingKey, SlotKey, TrackKey},
    publisher::{
        key_frame_requests::{Cause, Causes, Outcome},
        listener_loss,
        nack_generator::StreamState,
    },
    wire::rtcp::write::{self as rtcp_write, MAX_REPORT_BLOCKS},
};
use std::time::{Duration, Instant};

/// Interval between receiver reports to publishers.
pub(super) const RECEIVER_REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl Room {
    /// Requests a key frame for a slot from its publisher, now or as soon as the PLI throttle permits. A receiver that cannot
    /// get it now has it requested with the first packet that it could get; one that is over its budget has to ask again.
    ///
    /// Of several encodings, one that has not begun is not asked for: its first frame is a key frame.
    pub(super) fn request_key_frame(
        &mut self,
        now: Instant,
        slot: SlotKey,
        cause: Cause,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let Self { topology: Topology { slots, encodings, tracks, .. }, stats, .. } = self;
        let Some(slot) = slots.get_mut(slot).filter(|slot| slot.active) else { return };
        let shown = slot.rewriter.current().filter(|_| cause == Cause::Decoder);
        let wanted = shown.or_else(|| slot.rewriter.wanted().map(|wanted| wanted.layer));
        let (Some(track_key), Some(layer)) = (slot.track, wanted) else { return };
        let Some(encoding) = encodings.get(layer.encoding).filter(|encoding| encoding.is_video()) else { return };
        let Some(track) = tracks.get_mut(track_key) else { return };
        slot.is_new = !egress.reaches(slot.transport, 0);
        if slot.is_new || (track.encodings.len() > 1 && !encoding.has_begun()) {
            return;
        }
        match track.key_frames.request(now, encoding.position, cause, slot.participant) {
            Outcome::Accepted => self.send_plis(now, track_key, egress),
            Outcome::Shared => {}
            Outcome::OverBudget => stats.key_frame_requests_refused += 1,
        }
    }

    /// Sends the NACK of an encoding and the PLIs of its track that are due, and arms the timer for the next ones.
    pub(super) fn send_nacks_and_plis(&mut self, now: Instant, key: EncodingKey, egress: &mut (impl Egress + ?Sized)) {
        let Some(encoding) = self.topology.encodings.get(key).filter(|encoding| encoding.is_video()) else { return };
        let (track, is_complete) = (encoding.track, encoding.is_complete());
        let mut sender = FeedbackSender::of(self);
        if !is_complete {
            sender.send_nack(now, key, egress);
        }
        sender.send_plis(now, track, egress);
    }

    /// Sends the NACKs and PLIs of all encodings that are due.
    pub(super) fn send_all_nacks_and_plis(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let mut keys = std::mem::take(&mut self.scratch.encodings);
        keys.extend(self.topology.encodings.keys());
        for key in keys.drain(..) {
            self.send_nacks_and_plis(now, key, egress);
        }
        self.scratch.encodings = keys;
    }

    fn send_plis(&mut self, now: Instant, track: TrackKey, egress: &mut (impl Egress + ?Sized)) {
        FeedbackSender::of(self).send_plis(now, track, egress);
    }

    pub(super) fn send_transport_feedback(&mut self, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, tracks, encodings, .. }, scratch, .. } = self;
        for participant in participants.values() {
            let track = participant.tracks.first().and_then(|&track| tracks.get(track));
            let media = track.and_then(|track| track.encodings.iter().find_map(|key| encodings.get(*key)?.ssrc));
            let media = media.unwrap_or(Ssrc(0));
            let (to, sender) = (participant.transport, participant.feedback_ssrc);
            while egress.path(to).is_some_and(|path| path.uplink.write_feedback(sender, media, &mut scratch.rtcp)) {
                egress.rtcp(to, &scratch.rtcp);
            }
        }
    }

    pub(super) fn send_receiver_reports(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, tracks, encodings, slots, .. }, scratch, timers, stats, .. } =
            self;
        if !tracks.is_empty() {
            timers.arm(Timer::ReceiverReports, now + RECEIVER_REPORT_INTERVAL);
        }
        for encoding in encodings.values_mut() {
            encoding.store.expire(now);
        }
        for track in tracks.values_mut() {
            track.key_frames.expire(now);
            let Causes { joiners, switches, decoders, losses } = track.key_frames.take_causes();
            stats.key_frames_for_joiners += joiners;
            stats.key_frames_for_switches += switches;
            stats.key_frames_for_decoders += decoders;
            stats.key_frames_for_losses += losses;
        }
        for participant in participants.values() {
            scratch.blocks.clear();
            let tracks = participant.tracks.iter().filter_map(|track| tracks.get(*track));
            for key in tracks.flat_map(|track| &track.encodings).take(MAX_REPORT_BLOCKS) {
                let Some(encoding) = encodings.get_mut(*key) else { continue };
                if let Some(mut block) = encoding.ssrc.and_then(|ssrc| encoding.statistics.report(now, ssrc)) {
                    if !encoding.is_video() {
                        let listeners = encoding.subscribers.slots().filter_map(|slot| slots.get(slot));
                        let losses = listeners.filter_map(|slot| slot.loss.fraction(now)).collect();
                        block.fraction_lost = listener_loss::reported(block.fraction_lost, &losses);
                    }
                    scratch.blocks.push(block);
                }
                stats.lost += encoding.statistics.take_lost();
            }
            if !scratch.blocks.is_empty() {
                scratch.rtcp.clear();
                rtcp_write::receiver_report(&mut scratch.rtcp, participant.feedback_ssrc, &scratch.blocks);
                egress.rtcp(participant.transport, &scratch.rtcp);
            }
        }
    }
}

/// The parts of a room that NACKs and PLIs need.
struct FeedbackSender<'a> {
    topology: &'a mut Topology,
    scratch: &'a mut Scratch,
    stats: &'a mut RoomStats,
    timers: &'a mut TimerTable,
}

impl<'a> FeedbackSender<'a> {
    fn of(room: &'a mut Room) -> Self {
        let Room { topology, scratch, stats, timers, .. } = room;
        Self { topology, scratch, stats, timers }
    }

    /// Sends the NACK of an encoding, if one is due. Requests a key frame if the stream cannot be repaired.
    fn send_nack(&mut self, now: Instant, key: EncodingKey, egress: &mut (impl Egress + ?Sized)) {
        let Topology { participants, tracks, encodings, .. } = &mut *self.topology;
        let Some(encoding) = encodings.get_mut(key) else { return };
        let Some(track) = tracks.get_mut(encoding.track) else { return };
        let Some(&Participant { transport, feedback_ssrc, .. }) = participants.get(track.owner_key) else { return };
        let Some(rtt) = egress.path(transport).map(|path| path.downlink.rtt.estimate()) else { return };
        if encoding.nack_deadline(now, rtt).is_some_and(|deadline| deadline <= now) {
            let Scratch { nack, rtcp, .. } = &mut *self.scratch;
            rtcp.clear();
            if encoding.write_nack(now, rtt, feedback_ssrc, nack, rtcp) == StreamState::Broken {
                track.key_frames.request_for_loss(encoding.position);
            }
            self.stats.nacked += nack.len() as u64;
            if !rtcp.is_empty() {
                egress.rtcp(transport, rtcp);
            }
        }
        if let Some(deadline) = encoding.nack_deadline(now, rtt) {
            self.timers.arm_earlier(Timer::NacksAndPlis, deadline);
        }
    }

    /// Sends the PLIs of a track, if they are due: one for each encoding for which a subscriber awaits a key frame.
    fn send_plis(&mut self, now: Instant, key: TrackKey, egress: &mut (impl Egress + ?Sized)) {
        let Topology { participants, tracks, encodings, .. } = &mut *self.topology;
        let Some(track) = tracks.get_mut(key) else { return };
        let Some(deadline) = track.key_frames.deadline(now) else { return };
        if deadline > now {
            self.timers.arm_earlier(Timer::NacksAndPlis, deadline);
            return;
        }
        let Some(&Participant { transport, feedback_ssrc, .. }) = participants.get(track.owner_key) else { return };
        let rtcp = &mut self.scratch.rtcp;
        rtcp.clear();
        for position in track.key_frames.poll(now) {
            let encoding = track.encodings.get(position).and_then(|key| encodings.get(*key));
            if let Some(ssrc) = encoding.and_then(|encoding| encoding.ssrc) {
                rtcp_write::pli(rtcp, feedback_ssrc, ssrc);
                self.stats.plis += 1;
            }
        }
        if !rtcp.is_empty() {
            egress.rtcp(transport, rtcp);
        }
    }
}
