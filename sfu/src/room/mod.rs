//! A room: participants, their tracks, and the slots in which they receive those of others.
//!
//! Packets arrive clear and leave clear, through an [`Egress`] that seals them. The room knows no addresses and no SRTP
//! keys, and time is an argument.

mod forward;
mod publisher_feedback;
mod receive_queue;
mod receive_rtcp;
mod receive_rtp;
mod retransmit;
mod stats;
mod timers;
mod topology;

use crate::{
    active_speaker::{self, ActiveSpeakers},
    command::{CommandError, Publication, SlotSource},
    egress::{Egress, TransportKey},
    event::Event,
    ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId},
    media::Codec,
    publisher::track_activity,
    wire::{header::HeaderBuffer, rtcp::ReportBlock},
};
use forward::Forwarder;
use receive_queue::ReceiveQueue;
pub use stats::RoomStats;
use std::{collections::VecDeque, time::Instant};
use timers::{Timer, TimerTable};
use topology::Topology;

/// A room.
#[derive(Debug)]
pub struct Room {
    id: RoomId,
    topology: Topology,
    queue: ReceiveQueue,
    forwarder: Forwarder,
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
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(id: RoomId) -> Self {
        Self {
            id,
            topology: Topology::default(),
            queue: ReceiveQueue::default(),
            forwarder: Forwarder::default(),
            timers: TimerTable::default(),
            active_speakers: ActiveSpeakers::default(),
            events: VecDeque::new(),
            stats: RoomStats::default(),
            scratch: Scratch::default(),
        }
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

    /// Adds a track of a participant, and watches whether packets of it arrive ([`Event::TrackActivity`]).
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `Exists` (track, MID or SSRC), `Invalid` (one SSRC for both streams, several encodings), `Limit`.
    pub fn publish(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        track: TrackId,
        publication: Publication,
    ) -> Result<(), CommandError> {
        self.topology.publish(participant, track, &publication)?;
        self.timers.arm(Timer::TrackActivity, now + track_activity::INTERVAL);
        Ok(())
    }

    /// Removes a track. Slots that it is in become empty.
    ///
    /// # Errors
    /// [`CommandError`] `NoTrack`.
    pub fn unpublish(&mut self, participant: ParticipantId, track: TrackId) -> Result<(), CommandError> {
        self.topology.unpublish(participant, track)
    }

    /// Mutes or unmutes a track. A muted one does not count as speaking, and is not watched for activity.
    ///
    /// # Errors
    /// [`CommandError`] `NoTrack`.
    pub fn set_muted(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        track: TrackId,
        muted: bool,
    ) -> Result<(), CommandError> {
        self.topology.set_muted(participant, track, muted)?;
        if !muted {
            self.timers.arm(Timer::TrackActivity, now + track_activity::INTERVAL);
        }
        Ok(())
    }

    /// Adds a slot. Returns its SSRC and the one of its RTX stream. Nothing is forwarded into it before
    /// [`Self::activate_slot`].
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `Exists`, `Limit`, `Unavailable`.
    pub fn add_slot(
        &mut self,
        participant: ParticipantId,
        mid: Mid,
        codec: Codec,
    ) -> Result<(Ssrc, Option<Ssrc>), CommandError> {
        self.topology.add_slot(participant, mid, codec)
    }

    /// Starts to forward packets into a slot.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`.
    pub fn activate_slot(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        let slot = self.topology.activate_slot(participant, mid)?;
        self.request_key_frame(now, slot, egress);
        Ok(())
    }

    /// Puts a source into a slot, or empties the slot. The slot's stream continues where it was.
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `NoSlot`, `NoTrack`, `CodecMismatch`, `Invalid`.
    pub fn set_slot(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        mid: Mid,
        source: Option<SlotSource>,
        egress: &mut (impl Egress + ?Sized),
    ) -> Result<(), CommandError> {
        if let Some(slot) = self.topology.set_slot(participant, mid, source)? {
            self.request_key_frame(now, slot, egress);
        }
        Ok(())
    }

    /// When [`Self::tick`] is to be called next: at once if packets are queued.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.queue.since(), self.next_timer()].into_iter().flatten().min()
    }

    /// When the next timer expires, whether packets are queued or not.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Forwards queued packets, and does what is due.
    pub fn tick(&mut self, now: Instant, egress: &mut (impl Egress + ?Sized)) {
        self.forward(now, egress);
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
            }
        }
    }

    /// Reports the unmuted tracks that have become silent or active.
    fn look_at_tracks(&mut self, now: Instant) {
        let Self { topology: Topology { tracks, encodings, .. }, events, timers, .. } = self;
        for track in tracks.values_mut().filter(|track| !track.muted) {
            timers.arm(Timer::TrackActivity, now + track_activity::INTERVAL);
            let Some(encoding) = encodings.get(track.encoding) else { continue };
            if let Some(active) = track.activity.look(encoding.store.highest()) {
                events.push_back(Event::TrackActivity { participant: track.owner, track: track.id, active });
            }
        }
    }

    fn update_active_speakers(&mut self, now: Instant) {
        let mut speaking: Vec<(ParticipantId, u8)> = Vec::new();
        for track in self.topology.tracks.values().filter(|track| track.is_audio() && !track.muted) {
            let Some(level) = track.level.speech(now) else { continue };
            match speaking.iter_mut().find(|(participant, _)| *participant == track.owner) {
                Some((_, loudest)) => *loudest = level.min(*loudest),
                None => speaking.push((track.owner, level)),
            }
        }
        if let Some(levels) = self.active_speakers.update(speaking) {
            self.events.push_back(Event::Speakers { room: self.id, levels });
        }
        if !self.active_speakers.is_quiet() {
            self.timers.arm(Timer::ActiveSpeakers, now + active_speaker::INTERVAL);
        }
    }
}
