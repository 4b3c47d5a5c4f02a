//! Publishing, muting and withdrawing tracks.

use super::{Answer, DONE, Refusal, Room, refusal, wake};
use sfu_api::{Command, CommandError, CommandId, Mid, Publication, Ssrc};
use std::{sync::atomic::Ordering, time::Instant};
use tacet_proto::{
    ErrorCode, ParticipantId, ServerMessage, TrackId,
    client::Publish,
    limits::MAX_NAME_BYTES,
    media::{Kind, Track},
    server,
};

/// A published track.
#[derive(Debug)]
pub(super) struct Published {
    /// The track as other participants see it.
    pub(super) track: Track,
    /// The client's request that it came with.
    request: Option<u32>,
    /// The command that passed it on to the media plane.
    command: CommandId,
}

impl Room {
    pub(super) fn publish(
        &mut self,
        now: Instant,
        from: ParticipantId,
        id: Option<u32>,
        publish: Publish,
    ) -> Result<Answer, Refusal> {
        if publish.cid.len() > MAX_NAME_BYTES {
            return Err(refusal(ErrorCode::BadMessage, "cid: too long"));
        }
        let mid = Mid::new(&publish.mid).ok_or(refusal(ErrorCode::BadMessage, "mid: 1 to 16 visible characters"))?;
        if publish.codec.kind() != publish.kind {
            return Err(refusal(ErrorCode::CodecUnsupported, "the codec is not of this kind"));
        }
        if publish.ssrc == 0 || publish.rtx == Some(publish.ssrc) || publish.rtx == Some(0) {
            return Err(refusal(ErrorCode::BadMessage, "ssrc: zero or used twice"));
        }
        if publish.rtx.is_some() && publish.kind == Kind::Audio {
            return Err(refusal(ErrorCode::BadMessage, "rtx: video only"));
        }
        let own = self.tracks.values().filter(|p| p.track.participant == from).count();
        if own >= self.limits.tracks_per_participant {
            return Err(refusal(ErrorCode::LimitTracks, "maximum number of tracks published"));
        }

        let number = self.track_ids.fetch_add(1, Ordering::Relaxed);
        let track = Track {
            track: TrackId(number),
            participant: from,
            kind: publish.kind,
            source: publish.source,
            codec: publish.codec,
            muted: publish.muted,
            stalled: false,
        };
        let command = self.outputs.command(Command::Publish {
            participant: from,
            track: track.track,
            publication: Publication {
                codec: publish.codec,
                mid,
                ssrc: Ssrc(publish.ssrc),
                rtx: publish.rtx.map(Ssrc),
            },
        });
        if publish.muted {
            self.command_muted(from, track.track, true);
        }
        self.tracks.insert(track.track, Published { track: track.clone(), request: id, command });
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != from) {
            other.backlog.track_added(now, track.clone());
            wake(&mut self.wake, &other.backlog);
        }
        self.fill_slots(now);
        Ok(Some(ServerMessage::Published(server::Published { cid: publish.cid, track: track.track })))
    }

    pub(super) fn unpublish(&mut self, now: Instant, from: ParticipantId, track: TrackId) -> Result<Answer, Refusal> {
        self.own_track(from, track)?;
        self.withdraw(now, track);
        self.outputs.command(Command::Unpublish { participant: from, track });
        Ok(DONE)
    }

    pub(super) fn set_muted(
        &mut self,
        now: Instant,
        from: ParticipantId,
        track: TrackId,
        muted: bool,
    ) -> Result<Answer, Refusal> {
        let published = self.own_track(from, track)?;
        if published.muted != muted {
            published.muted = muted;
            let changed = published.clone();
            self.command_muted(from, track, muted);
            for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != from) {
                other.backlog.track_changed(now, changed.clone());
                wake(&mut self.wake, &other.backlog);
            }
        }
        Ok(DONE)
    }

    /// Withdraws the track whose publication the media plane refused after its publisher was answered.
    pub(super) fn publication_refused(
        &mut self,
        now: Instant,
        command: CommandId,
        from: ParticipantId,
        error: CommandError,
    ) {
        let refused = |p: &&Published| p.track.participant == from && p.command == command;
        let Some(published) = self.tracks.values().find(refused) else { return };
        let (track, request) = (published.track.track, published.request);
        let code = match error {
            CommandError::Limit => ErrorCode::LimitTracks,
            CommandError::Exists | CommandError::Invalid => ErrorCode::BadMessage,
            CommandError::CodecMismatch => ErrorCode::CodecUnsupported,
            CommandError::Unavailable | CommandError::Overloaded => ErrorCode::ServerBusy,
            _ => ErrorCode::Internal,
        };
        self.withdraw(now, track);
        self.refuse(from, request, refusal(code, "the media plane refused the track"));
    }

    /// Removes a track from the room and from all slots.
    pub(super) fn withdraw(&mut self, now: Instant, track: TrackId) {
        let Some(published) = self.tracks.remove(&track) else { return };
        self.vacate(now, track);
        let owner = published.track.participant;
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != owner) {
            other.backlog.track_removed(now, track);
            wake(&mut self.wake, &other.backlog);
        }
        self.fill_slots(now);
    }

    fn own_track(&mut self, from: ParticipantId, track: TrackId) -> Result<&mut Track, Refusal> {
        self.tracks
            .get_mut(&track)
            .map(|published| &mut published.track)
            .filter(|track| track.participant == from)
            .ok_or(refusal(ErrorCode::NoTrack, "you publish no such track"))
    }

    fn command_muted(&mut self, from: ParticipantId, track: TrackId, muted: bool) {
        self.outputs.command(Command::SetMuted { participant: from, track, muted });
    }
}
