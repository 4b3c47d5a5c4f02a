//! Publishing, muting and withdrawing tracks, and noticing that their media stopped.
//!
//! A track exists for others from the moment at which the media plane has accepted it; its publisher gets one answer.

use super::{
    Answer, DONE, Refusal, Room,
    authorized::{Authorized, MayPublish, Present},
    encodings::publication,
    is_token, refusal, wake,
};
use sfu_api::{Command, CommandError, CommandId};
use std::time::Instant;
use tacet_proto::{
    ErrorCode, ParticipantId, ServerMessage, TrackId,
    client::{Publish, Speech},
    limits::MAX_NAME_BYTES,
    media::{Kind, Source, Track},
    server,
};

/// Random ids that are tried for a track.
const ATTEMPTS: usize = 100;

/// A track that the media plane has not accepted yet.
#[derive(Debug)]
pub(super) struct Pending {
    track: Track,
    /// The client's own name for it.
    cid: String,
    /// The client's request.
    re: Option<u32>,
}

/// A published track.
#[derive(Debug)]
pub(super) struct Published {
    /// The track as other participants see it.
    pub(super) track: Track,
    /// Whether its packets have stopped arriving.
    silent: bool,
    /// Whether anyone receives it. Its publisher may send nothing of it otherwise.
    wanted: bool,
}

impl Published {
    /// Whether others are to see that its media stopped, while its publisher is there. A shared screen that does not
    /// change sends nothing.
    fn is_stalled(&self, publisher_away: bool) -> bool {
        let expected = matches!(self.track.source, Source::Microphone | Source::Camera) && !self.track.muted;
        self.silent && self.wanted && expected && !publisher_away
    }

    /// Someone receives it, or no one any more. Its first packets are on their way then.
    pub(super) fn set_wanted(&mut self, wanted: bool) {
        self.silent &= self.wanted || !wanted;
        self.wanted = wanted;
    }
}

/// The kind of media that a source has.
fn kind_of(source: Source) -> Kind {
    match source {
        Source::Microphone | Source::ScreenAudio => Kind::Audio,
        Source::Camera | Source::Screen => Kind::Video,
    }
}

impl Room {
    pub(super) fn publish(&mut self, by: MayPublish, id: Option<u32>, publish: Publish) -> Result<Answer, Refusal> {
        let from = by.participant();
        if by.source() != publish.source {
            return Err(refusal(ErrorCode::Internal, "the permission is for another source"));
        }
        if !is_token(&publish.cid, MAX_NAME_BYTES) {
            return Err(refusal(ErrorCode::BadMessage, "cid: 1 to 64 visible characters"));
        }
        if publish.codec.kind() != publish.kind {
            return Err(refusal(ErrorCode::CodecUnsupported, "the codec is not of this kind"));
        }
        if kind_of(publish.source) != publish.kind {
            return Err(refusal(ErrorCode::BadMessage, "the source is not of this kind"));
        }
        let publication = publication(&publish)?;
        let tracks = self.tracks.values().map(|published| &published.track);
        let pending = self.publishing.values().map(|pending| &pending.track);
        let own = tracks.chain(pending).filter(|track| track.participant == from).count();
        if own >= self.limits.tracks_per_participant {
            return Err(refusal(ErrorCode::LimitTracks, "maximum number of tracks published"));
        }

        let track = Track {
            track: self.fresh_track_id().ok_or(refusal(ErrorCode::Internal, "the server has no random numbers"))?,
            participant: from,
            kind: publish.kind,
            source: publish.source,
            codec: publish.codec,
            muted: publish.muted,
            stalled: false,
        };
        let command = self.outputs.command(Command::Publish { participant: from, track: track.track, publication });
        if publish.muted {
            self.command_muted(from, track.track, true);
        }
        self.publishing.insert(command, Pending { track, cid: publish.cid, re: id });
        Ok(None)
    }

    /// An id that no track of the room has. That the source repeats itself is possible, that it goes on doing so is not.
    fn fresh_track_id(&mut self) -> Option<TrackId> {
        std::iter::repeat_with(|| TrackId((self.numbers.0)())).take(ATTEMPTS).find(|id| {
            let pending = self.publishing.values().any(|pending| pending.track.track == *id);
            id.0 != 0 && !pending && !self.tracks.contains_key(id)
        })
    }

    /// The media plane has accepted a track.
    pub(super) fn published(&mut self, now: Instant, command: CommandId) {
        let Some(Pending { track, cid, re }) = self.publishing.remove(&command) else { return };
        let (id, from) = (track.track, track.participant);
        // Its publisher may have lost the capability meanwhile.
        if let Err(refusal) = self.authorize_publishing(from, track.source) {
            self.outputs.command(Command::Unpublish { participant: from, track: id });
            self.refuse(from, re, refusal);
            return;
        }
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != from) {
            other.backlog.track_added(now, track.clone());
            wake(&mut self.wake, other.backlog.due());
        }
        self.tracks.insert(id, Published { track: track.clone(), silent: false, wanted: true });
        self.send(from, re, ServerMessage::Published(server::Published { cid, track: id }));
        self.offer(now, &track);
    }

    /// The media plane has refused a track.
    pub(super) fn publication_refused(&mut self, command: CommandId, error: CommandError) {
        let Some(Pending { track, re, .. }) = self.publishing.remove(&command) else { return };
        let (code, detail) = match error {
            CommandError::Limit => (ErrorCode::LimitTracks, "too many tracks"),
            CommandError::Exists => (ErrorCode::BadMessage, "mid, ssrc: a track of this client has it already"),
            CommandError::Invalid => (ErrorCode::BadMessage, "encodings: one SSRC twice, or no RID of their own"),
            CommandError::CodecMismatch => (ErrorCode::CodecUnsupported, "codec: not one of the track's kind"),
            CommandError::Unavailable | CommandError::Overloaded => (ErrorCode::ServerBusy, "the media plane is busy"),
            _ => (ErrorCode::Internal, "the media plane refused the track"),
        };
        self.refuse(track.participant, re, refusal(code, detail));
    }

    pub(super) fn unpublish(
        &mut self,
        now: Instant,
        by: Authorized<Present>,
        track: TrackId,
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        self.own_track(from, track)?;
        self.withdraw(now, track);
        self.outputs.command(Command::Unpublish { participant: from, track });
        Ok(DONE)
    }

    pub(super) fn mute(&mut self, now: Instant, by: Authorized<Present>, track: TrackId) -> Result<Answer, Refusal> {
        self.set_muted(now, by.participant(), track, true)
    }

    /// No one but the publisher unmutes a track.
    pub(super) fn unmute(&mut self, now: Instant, by: MayPublish, track: TrackId) -> Result<Answer, Refusal> {
        self.set_muted(now, by.participant(), track, false)
    }

    /// What a member's own track was captured from.
    pub(super) fn source_of(&mut self, by: &Authorized<Present>, track: TrackId) -> Result<Source, Refusal> {
        self.own_track(by.participant(), track).map(|published| published.track.source)
    }

    fn set_muted(&mut self, now: Instant, from: ParticipantId, track: TrackId, muted: bool) -> Result<Answer, Refusal> {
        let published = self.own_track(from, track)?;
        if published.track.muted != muted {
            published.track.muted = muted;
            published.track.stalled = false;
            published.silent = false;
            let changed = published.track.clone();
            self.command_muted(from, track, muted);
            if let Some(member) = self.members.get_mut(&from) {
                member.presence.forget(now, track);
            }
            self.tell_changed(now, &changed);
            self.audio_muted(now, &changed);
        }
        Ok(DONE)
    }

    /// A participant begins or stops to speak. The others learn of it as they do from audio levels.
    pub(super) fn set_speaking(&mut self, by: Authorized<Present>, speech: Speech) -> Result<Answer, Refusal> {
        let from = by.participant();
        let Speech { track, speaking } = speech;
        let published = self.own_track(from, track)?;
        if published.track.kind != Kind::Audio {
            return Err(refusal(ErrorCode::BadMessage, "the track is not audio"));
        }
        if !published.track.muted {
            self.outputs.command(Command::SetSpeaking { participant: from, track, speaking });
        }
        Ok(DONE)
    }

    /// Packets of a track stopped arriving, or arrive again.
    pub(super) fn track_active(&mut self, now: Instant, participant: ParticipantId, track: TrackId, active: bool) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let Some(published) = self.tracks.get_mut(&track).filter(|p| p.track.participant == participant) else {
            return;
        };
        if published.track.muted {
            return;
        }
        published.silent = !active;
        member.presence.media(now, track, active);
        self.presence_changed(now, participant);
        self.tell_stalled(now, participant);
    }

    /// Tells the others which tracks of a participant are stalled, as far as that has changed.
    pub(super) fn tell_stalled(&mut self, now: Instant, participant: ParticipantId) {
        let Some(member) = self.members.get(&participant) else { return };
        let away = member.presence.is_away();
        let mut changed = Vec::new();
        for published in self.tracks.values_mut().filter(|published| published.track.participant == participant) {
            let stalled = published.is_stalled(away);
            if published.track.stalled != stalled {
                published.track.stalled = stalled;
                changed.push(published.track.clone());
            }
        }
        for track in &changed {
            self.tell_changed(now, track);
        }
    }

    fn tell_changed(&mut self, now: Instant, track: &Track) {
        for (_, other) in self.members.iter_mut().filter(|(other, _)| **other != track.participant) {
            other.backlog.track_changed(now, track.clone());
            wake(&mut self.wake, other.backlog.due());
        }
    }

    /// Withdraws all tracks of a participant. The media plane has ended them, or is about to.
    pub(super) fn withdraw_all(&mut self, now: Instant, participant: ParticipantId) {
        let refused: Vec<_> =
            self.publishing.extract_if(.., |_, pending| pending.track.participant == participant).collect();
        for (_, Pending { re, .. }) in refused {
            self.refuse(participant, re, refusal(ErrorCode::ServerBusy, "the transport has ended; publish again"));
        }
        let own = self.tracks.values().filter(|published| published.track.participant == participant);
        let own: Vec<_> = own.map(|published| published.track.track).collect();
        for track in own {
            self.withdraw(now, track);
        }
    }

    /// Removes a track from the room and from all slots.
    pub(super) fn withdraw(&mut self, now: Instant, track: TrackId) {
        let Some(published) = self.tracks.remove(&track) else { return };
        self.vacate(now, &published.track);
        let owner = published.track.participant;
        for (&participant, member) in &mut self.members {
            if participant == owner {
                member.presence.forget(now, track);
                member.backlog.forget_want(track);
            } else {
                member.backlog.track_removed(now, track);
                wake(&mut self.wake, member.backlog.due());
            }
        }
    }

    fn own_track(&mut self, from: ParticipantId, track: TrackId) -> Result<&mut Published, Refusal> {
        self.tracks
            .get_mut(&track)
            .filter(|published| published.track.participant == from)
            .ok_or(refusal(ErrorCode::NoTrack, "you publish no such track"))
    }

    fn command_muted(&mut self, from: ParticipantId, track: TrackId, muted: bool) {
        self.outputs.command(Command::SetMuted { participant: from, track, muted });
    }
}
