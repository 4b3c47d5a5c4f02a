//! What a room does by itself as time passes: repairs, feedback, reports, speakers.

use super::Room;
use crate::{
    egress::Egress,
    event::Event,
    forward::{arrivals, levels},
    ids::{ParticipantId, Ssrc},
    wire::rtcp::write::{self as rtcp_write, MAX_REPORT_BLOCKS},
};
use std::time::{Duration, Instant};

/// How often publishers get receiver reports.
const REPORTS: Duration = Duration::from_secs(1);

/// When something is due; `None` for nothing.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// Missing packets and key frames to ask for. May be earlier than anything that is really due.
    repairs: Option<Instant>,
    /// Transport-wide feedback. One time for all, so that a large room is not woken once per participant.
    feedback: Option<Instant>,
    reports: Option<Instant>,
    pub(super) levels: Option<Instant>,
}

impl Deadlines {
    pub(super) fn arm_repairs(&mut self, at: Instant) {
        self.repairs = Some(self.repairs.map_or(at, |armed| armed.min(at)));
    }

    pub(super) fn arm_feedback(&mut self, now: Instant) {
        self.feedback.get_or_insert(now + arrivals::INTERVAL);
    }

    pub(super) fn arm_reports(&mut self, now: Instant) {
        self.reports.get_or_insert(now + REPORTS);
    }

    fn next(&self) -> Option<Instant> {
        [self.repairs, self.feedback, self.reports, self.levels].into_iter().flatten().min()
    }
}

impl Room {
    /// When [`Self::tick`] is to be called next: at once if packets wait to be forwarded.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.waiting.since(), self.next_timer()].into_iter().flatten().min()
    }

    /// The same for what is due by itself, whether packets wait or not.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Forwards what waits, and does what is due.
    pub fn tick(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        self.forward(now, egress);
        if take_due(&mut self.deadlines.repairs, now) {
            for track in 0..self.tracks.capacity() {
                self.serve_track(now, track, egress);
            }
        }
        if take_due(&mut self.deadlines.feedback, now) {
            self.send_feedback(egress);
        }
        if take_due(&mut self.deadlines.reports, now) {
            self.send_reports(now, egress);
        }
        if take_due(&mut self.deadlines.levels, now) {
            self.find_speakers(now);
        }
    }

    fn send_feedback(&mut self, egress: &mut (impl Egress + ?Sized)) {
        let Self { participants, tracks, scratch, .. } = self;
        for (_, participant) in participants.iter_mut().filter(|(_, participant)| !participant.arrivals.is_empty()) {
            let media = participant.tracks.first().and_then(|&track| tracks.get(track));
            let media = media.map_or(Ssrc(0), |track| track.publication.ssrc);
            let to = participant.id;
            participant
                .arrivals
                .flush(participant.feedback_ssrc, media, &mut scratch.rtcp, |packet| egress.rtcp(to, packet));
        }
    }

    fn send_reports(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        let Self { participants, tracks, scratch, deadlines, stats, .. } = self;
        if !tracks.is_empty() {
            deadlines.arm_reports(now);
        }
        for (_, track) in tracks.iter_mut() {
            track.store.expire(now);
        }
        for (_, participant) in participants.iter() {
            scratch.blocks.clear();
            for track in participant.tracks.iter().take(MAX_REPORT_BLOCKS) {
                let Some(track) = tracks.get_mut(*track) else { continue };
                scratch.blocks.extend(track.reception.report(now, track.publication.ssrc));
                stats.lost += track.reception.take_lost();
            }
            if !scratch.blocks.is_empty() {
                scratch.rtcp.clear();
                rtcp_write::receiver_report(&mut scratch.rtcp, participant.feedback_ssrc, &scratch.blocks);
                egress.rtcp(participant.id, &scratch.rtcp);
            }
        }
    }

    fn find_speakers(&mut self, now: Instant) {
        let mut speaking: Vec<(ParticipantId, u8)> = Vec::new();
        for (_, track) in self.tracks.iter().filter(|(_, track)| !track.muted && !track.is_video()) {
            let Some(level) = track.loudness.speech(now) else { continue };
            match speaking.iter_mut().find(|(participant, _)| *participant == track.owner) {
                Some((_, loudest)) => *loudest = level.min(*loudest),
                None => speaking.push((track.owner, level)),
            }
        }
        if let Some(levels) = self.speakers.update(speaking) {
            self.events.push_back(Event::Speakers { room: self.id, levels });
        }
        if !self.speakers.is_quiet() {
            self.deadlines.levels = Some(now + levels::INTERVAL);
        }
    }
}

/// Whether a deadline has come; it is cleared then.
fn take_due(deadline: &mut Option<Instant>, now: Instant) -> bool {
    deadline.take_if(|at| *at <= now).is_some()
}
