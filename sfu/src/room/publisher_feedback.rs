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
    keys::{EncodingKey, ParticipantKey, SlotKey, TrackKey},
    publisher::{encoding::Encoding, track::Track},
    wire::rtcp::write::{self as rtcp_write, MAX_REPORT_BLOCKS},
};
use slotmap::SlotMap;
use std::time::{Duration, Instant};

/// Interval between receiver reports to publishers.
pub(super) const RECEIVER_REPORT_INTERVAL: Duration = Duration::from_secs(1);

impl Room {
    /// Requests a key frame for a slot from its publisher, now or as soon as the PLI throttle permits. A receiver that cannot
    /// get it now has it requested with the first packet that it could get; one that is over its budget has to ask again.
    pub(super) fn request_key_frame(&mut self, now: Instant, slot: SlotKey, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { slots, encodings, .. }, stats, .. } = self;
        let Some(slot) = slots.get_mut(slot).filter(|slot| slot.active) else { return };
        let Some(key) = slot.source.map(|source| source.encoding) else { return };
        let Some(encoding) = encodings.get_mut(key).filter(|encoding| encoding.is_video()) else { return };
        slot.is_new = !egress.reaches(slot.transport, 0);
        if slot.is_new {
            return;
        }
        if encoding.pli.is_requested() {
            // The PLI on its way serves this request, too, and costs it nothing.
            return;
        }
        if encoding.key_frame_budget.take(now, slot.participant) {
            encoding.pli.request();
            self.send_nacks_and_pli(now, key, egress);
        } else {
            stats.key_frame_requests_refused += 1;
        }
    }

    /// Sends the NACK and PLI of an encoding that are due, and arms the timer for the next ones.
    pub(super) fn send_nacks_and_pli(&mut self, now: Instant, key: EncodingKey, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, tracks, encodings, .. }, scratch, stats, timers, .. } = self;
        if let Some(encoding) = encodings.get_mut(key) {
            NackSender { participants, tracks, scratch, stats, timers }.send(now, encoding, egress);
        }
    }

    /// Sends the NACKs and PLIs of all encodings that are due.
    pub(super) fn send_all_nacks_and_plis(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, tracks, encodings, .. }, scratch, stats, timers, .. } = self;
        let mut sender = NackSender { participants, tracks, scratch, stats, timers };
        for encoding in encodings.values_mut() {
            sender.send(now, encoding, egress);
        }
    }

    pub(super) fn send_transport_feedback(&mut self, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, tracks, encodings, .. }, scratch, .. } = self;
        for participant in participants.values() {
            let track = participant.tracks.first().and_then(|&track| tracks.get(track));
            let media = track.and_then(|track| encodings.get(track.encoding)).map_or(Ssrc(0), |encoding| encoding.ssrc);
            let (to, sender) = (participant.transport, participant.feedback_ssrc);
            while egress.path(to).is_some_and(|path| path.uplink.write_feedback(sender, media, &mut scratch.rtcp)) {
                egress.rtcp(to, &scratch.rtcp);
            }
        }
    }

    pub(super) fn send_receiver_reports(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { topology: Topology { participants, tracks, encodings, .. }, scratch, timers, stats, .. } = self;
        if !tracks.is_empty() {
            timers.arm(Timer::ReceiverReports, now + RECEIVER_REPORT_INTERVAL);
        }
        for encoding in encodings.values_mut() {
            encoding.store.expire(now);
            encoding.key_frame_budget.expire(now);
        }
        for participant in participants.values() {
            scratch.blocks.clear();
            let tracks = participant.tracks.iter().filter_map(|track| tracks.get(*track));
            for track in tracks.take(MAX_REPORT_BLOCKS) {
                let Some(encoding) = encodings.get_mut(track.encoding) else { continue };
                scratch.blocks.extend(encoding.statistics.report(now, encoding.ssrc));
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
struct NackSender<'a> {
    participants: &'a SlotMap<ParticipantKey, Participant>,
    tracks: &'a SlotMap<TrackKey, Track>,
    scratch: &'a mut Scratch,
    stats: &'a mut RoomStats,
    timers: &'a mut TimerTable,
}

impl NackSender<'_> {
    fn send(&mut self, now: Instant, encoding: &mut Encoding, egress: &mut (impl Egress + ?Sized)) {
        if !encoding.is_video() {
            return;
        }
        let owner = self.tracks.get(encoding.track).and_then(|track| self.participants.get(track.owner_key));
        let Some(&Participant { transport, feedback_ssrc, .. }) = owner else { return };
        let Some(rtt) = egress.path(transport).map(|path| path.downlink.rtt.estimate()) else { return };
        let Some(deadline) = encoding.deadline(now, rtt) else { return };
        if deadline > now {
            self.timers.arm_earlier(Timer::NacksAndPlis, deadline);
            return;
        }
        let Scratch { nack, rtcp, .. } = &mut *self.scratch;
        rtcp.clear();
        let requested = encoding.write_nacks_and_pli(now, rtt, feedback_ssrc, nack, rtcp);
        self.stats.nacked += requested.packets;
        self.stats.plis += requested.key_frames;
        if !rtcp.is_empty() {
            egress.rtcp(transport, rtcp);
        }
        if let Some(deadline) = encoding.deadline(now, rtt) {
            self.timers.arm_earlier(Timer::NacksAndPlis, deadline);
        }
    }
}
