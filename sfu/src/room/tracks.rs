//! Commands about tracks, and the timer that looks at them: whether their packets arrive, and in which layers.

use super::{Room, layers_wanted, timers::Timer, topology::Topology};
use crate::{
    command::{CommandError, Publication},
    event::Event,
    ids::{ParticipantId, TrackId},
    publisher::track_activity,
    speakers::active,
};
use std::time::Instant;

impl Room {
    /// Adds a track of a participant, and watches whether packets of it arrive ([`Event::TrackActivity`]).
    ///
    /// # Errors
    /// [`CommandError`] `NoParticipant`, `Exists` (track, MID or SSRC), `Invalid` (encodings that cannot be distinguished), `Limit`.
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

    /// A participant begins or stops to speak, as its client says in place of audio levels in its packets.
    ///
    /// # Errors
    /// [`CommandError`] `NoTrack`, `CodecMismatch` for video.
    pub fn set_speaking(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        track: TrackId,
        speaking: bool,
    ) -> Result<(), CommandError> {
        self.topology.set_speaking(now, participant, track, speaking)?;
        self.timers.arm(Timer::ActiveSpeakers, now + active::INTERVAL);
        Ok(())
    }

    /// Looks at all tracks: reports unmuted ones that have become silent or active, and measures the layers of video.
    pub(super) fn look_at_tracks(&mut self, now: Instant) {
        let Self { topology: Topology { tracks, encodings, .. }, events, timers, stats, .. } = self;
        for track in tracks.values_mut().filter(|track| !track.muted) {
            timers.arm(Timer::TrackActivity, now + track_activity::INTERVAL);
            if let Some(active) = track.activity.look(track.newest_packets(encodings)) {
                events.push_back(Event::TrackActivity { participant: track.owner, track: track.id, active });
            }
            if !track.is_audio() {
                let before = track.ladder.generation();
                stats.unread_descriptors += track.look_at_layers(encodings);
                if track.ladder.generation() != before {
                    timers.arm_earlier(Timer::Allocation, now);
                }
                if layers_wanted::has_layers(track, encodings) {
                    timers.arm(Timer::LayersWanted, now + layers_wanted::INTERVAL);
                }
            }
        }
    }
}
