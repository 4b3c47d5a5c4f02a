//! A room: participants, their tracks, and the slots in which they receive those of others.
//!
//! Packets arrive clear and leave clear, through an [`Egress`] that seals them. The room knows no addresses and no SRTP
//! keys, and time is an argument.

mod allocation_pass;
mod downlinks;
mod forward;
mod known_streams;
mod layers_wanted;
mod pacing;
mod probes;
mod publisher_feedback;
mod receive_queue;
mod receive_rtcp;
mod receive_rtp;
mod retransmit;
mod slot_sender;
mod slots;
mod speaker_slots;
mod stats;
mod timers;
mod topology;
mod tracks;
mod wishes;

use crate::{
    command::CommandError,
    congestion::PacketResult,
    egress::{Egress, TransportKey},
    event::Event,
    ids::{ParticipantId, RoomId},
    keys::{EncodingKey, ParticipantKey},
    limits::VIDEO_RATE,
    speakers::active::{self, ActiveSpeakers},
    subscriber::allocation::Sendable,
    units::Bitrate,
    wire::{header::HeaderBuffer, rtcp::ReportBlock},
};
use allocation_pass::Pass;
use forward::Forwarder;
use receive_queue::ReceiveQueue;
use speaker_slots::SpeakerSlots;
pub use stats::RoomStats;
use std::{collections::VecDeque, time::Instant};
use timers::{Timer, TimerTable};
use topology::Topology;

/// A room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    /// Maximum bitrate of all video to one receiver.
    video_rate: Bitrate,
    /// What can be sent of it at most, while the worker is overloaded.
    sendable: Option<Sendable>,
    /// Whether video is kept to what downlinks are estimated to carry.
    adapts: bool,
    /// Receivers that a probe is on its way to.
    probing: Vec<ParticipantKey>,
    /// The allocation to all receivers, while only some of them have had it.
    allocation: Pass,
    /// Receivers for which something waits.
    pacing: pacing::Waiting,
    topology: Topology,
    queue: ReceiveQueue,
    audio: Forwarder,
    video: Forwarder,
    timers: TimerTable,
    active_speakers: ActiveSpeakers,
    events: VecDeque<Event>,
    stats: RoomStats,
    scratch: Scratch,
}

/// Buffers that are reused from packet to packet.
#[derive(Debug, Default)]
struct Scratch {
    header: HeaderBuffer,
    payload: Vec<u8>,
    rtcp: Vec<u8>,
    nack: Vec<u64>,
    blocks: Vec<ReportBlock>,
    speaking: Vec<(ParticipantId, u8)>,
    encodings: Vec<EncodingKey>,
    results: Vec<PacketResult>,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(id: RoomId) -> Self {
        Self {
            id,
            video_rate: VIDEO_RATE,
            sendable: None,
            adapts: false,
            probing: Vec::new(),
            allocation: Pass::default(),
            pacing: pacing::Waiting::default(),
            topology: Topology::default(),
            queue: ReceiveQueue::default(),
            audio: Forwarder::default(),
            video: Forwarder::default(),
            timers: TimerTable::default(),
            active_speakers: ActiveSpeakers::default(),
            events: VecDeque::new(),
            stats: RoomStats::default(),
            scratch: Scratch::default(),
        }
    }

    /// Limits the bitrate of all video to one receiver.
    #[must_use]
    pub fn with_video_rate(self, video_rate: Bitrate) -> Self {
        Self { video_rate, ..self }
    }

    /// Sends this bitrate of video to each receiver at most, until [`Self::limit_video`] says something else. `None`: nothing
    /// but what is set limits it.
    #[must_use]
    pub(crate) fn with_sendable(self, sendable: Option<Sendable>) -> Self {
        Self { sendable, ..self }
    }

    /// Keeps video to each receiver to what its downlink is estimated to carry, and sends probes to learn more.
    #[must_use]
    pub fn with_adaptation(self, adapts: bool) -> Self {
        Self { adapts, ..self }
    }

    /// Sets how many of its speakers participants hear in slots that play them. Before any slot does.
    #[must_use]
    pub fn with_speakers(mut self, speakers: u8) -> Self {
        self.topology.speakers = SpeakerSlots::new(speakers);
        self
    }

    /// Whether it has no participants.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topology.participants.is_empty()
    }

    /// Number of packets queued for [`Self::forward`].
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Counters since they were last taken.
    #[must_use]
    pub fn stats(&self) -> RoomStats {
        self.stats
    }

    /// Takes the counters: they start again at 0.
    pub fn take_stats(&mut self) -> RoomStats {
        std::mem::take(&mut self.stats)
    }

    /// Number of published tracks.
    #[must_use]
    pub fn tracks(&self) -> usize {
        self.topology.tracks.len()
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Adds a participant, which sends and receives over `transport`.
    ///
    /// # Errors
    /// [`CommandError::Exists`] if it is in the room, [`CommandError::Limit`] if the room is full,
    /// [`CommandError::Unavailable`] without random numbers.
    pub fn add_participant(&mut self, participant: ParticipantId, transport: TransportKey) -> Result<(), CommandError> {
        self.topology.add_participant(participant, transport)
    }

    /// Removes a participant, with its tracks and slots. Does nothing if it is not in the room.
    pub fn remove_participant(&mut self, participant: ParticipantId) {
        self.topology.remove_participant(participant);
    }

    /// When [`Self::tick`] is to be called next: at once if packets are queued.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.waits_since(), self.next_timer()].into_iter().flatten().min()
    }

    /// When the next timer expires, whether packets are queued or not.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Forwards queued packets, and does what is due.
    pub fn tick(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        self.forward(now, egress);
        self.expire_timers(now, egress);
    }

    /// Does what is due, and forwards nothing.
    pub(crate) fn expire_timers(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        if self.next_timer().is_none_or(|at| at > now) {
            return;
        }
        for timer in Timer::ALL {
            if !self.timers.take_expired(timer, now) {
                continue;
            }
            match timer {
                Timer::NacksAndPlis => self.send_all_nacks_and_plis(now, egress),
                Timer::TransportFeedback => self.send_transport_feedback(egress),
                Timer::ReceiverReports => self.send_receiver_reports(now, egress),
                Timer::ActiveSpeakers => self.update_active_speakers(now),
                Timer::TrackActivity => self.look_at_tracks(now),
                Timer::Allocation => self.allocate_to_all(now, egress),
                Timer::LayersWanted => self.update_demand(now),
                Timer::Estimates => self.tick_estimates(now, egress),
                Timer::Pacing => self.send_some_waiting(now, egress),
                Timer::Probes => self.send_probes(now, egress),
                Timer::Downlinks => self.report_downlinks(now, egress),
            }
        }
    }

    fn update_active_speakers(&mut self, now: Instant) {
        let speaking = &mut self.scratch.speaking;
        speaking.clear();
        for track in self.topology.tracks.values().filter(|track| track.is_audio() && !track.muted) {
            if !track.level.speaks(now) {
                continue;
            }
            let level = track.level.loudness();
            match speaking.iter_mut().find(|(participant, _)| *participant == track.owner) {
                Some((_, loudest)) => *loudest = level.min(*loudest),
                None => speaking.push((track.owner, level)),
            }
        }
        let listeners = self.topology.participants.len();
        if let Some(levels) = self.active_speakers.update(now, listeners, speaking) {
            self.events.push_back(Event::Speakers { room: self.id, levels: levels.to_vec() });
        }
        if !self.active_speakers.is_quiet() {
            self.timers.arm(Timer::ActiveSpeakers, now + active::INTERVAL);
        }
    }
}
