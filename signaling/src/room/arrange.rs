//! Decides what is in the slots of each member.
//!
//! | member | audio | video |
//! |---|---|---|
//! | before its first `layers` | unmuted tracks, then muted ones, up to [`MAX_HEARD`]; or the speakers | every track, as far as slots reach |
//! | later | the same | the tiles that are not paused, the most important first |
//!
//! The speakers replace the tracks of a member that subscribes to everything while too many tracks are unmuted
//! ([`AudioMode`](super::audio::AudioMode)).

use super::{
    Member, Room,
    audio::{AudioMode, MAX_HEARD},
    outputs::Outputs,
    publish::Published,
    slots::{SlotCommand, Wanted},
    subscribe::Subscription,
    wake,
};
use sfu_api::{Command, CommandId};
use std::{collections::BTreeMap, time::Instant};
use tacet_proto::{
    ParticipantId, TrackId,
    media::{Kind, SlotContent, SlotTrack, Track},
};

impl Room {
    /// Decides again what one member receives.
    pub(super) fn arrange(&mut self, now: Instant, me: ParticipantId) {
        self.arrange_audio(now, vec![me]);
        self.arrange_video(now, me);
    }

    /// Decides again which video one member receives.
    pub(super) fn arrange_video(&mut self, now: Instant, me: ParticipantId) {
        let Some(member) = self.members.get_mut(&me) else { return };
        member.arrange_video(me, &self.tracks, &mut self.outputs);
        member.backlog.touch(now);
        wake(&mut self.wake, member.backlog.due());
    }

    /// A track was published: puts it into slots.
    pub(super) fn offer(&mut self, now: Instant, track: &Track) {
        if track.kind == Kind::Audio && self.follow_audio_mode(now) {
            return;
        }
        let mut crowded = Vec::new();
        for (&me, member) in &mut self.members {
            if !member.receives(me, track, self.audio) {
                continue;
            }
            let outputs = &mut self.outputs;
            if member.slots.place(wanted(track), &mut |command| send(outputs, me, command)) {
                member.backlog.touch(now);
                wake(&mut self.wake, member.backlog.due());
            } else if track.kind == Kind::Audio && !track.muted {
                crowded.push(me);
            }
        }
        self.arrange_audio(now, crowded);
    }

    /// A track was muted or unmuted: who receives it may change, if it is audio.
    pub(super) fn audio_muted(&mut self, now: Instant, track: &Track) {
        if track.kind != Kind::Audio || self.follow_audio_mode(now) || track.muted {
            return;
        }
        let content = content(track);
        let missing = self
            .members
            .iter()
            .filter(|(me, member)| member.receives(**me, track, self.audio) && !member.slots.holds(content));
        let missing = missing.map(|(me, _)| *me).collect();
        self.arrange_audio(now, missing);
    }

    /// Empties every slot that holds a track which is no more, ends its subscriptions, and fills the slots again.
    pub(super) fn vacate(&mut self, now: Instant, track: &Track) {
        let (mut audio, mut video) = (Vec::new(), Vec::new());
        for (&me, member) in &mut self.members {
            if let Subscription::Tracks(tracks) = &mut member.subscription {
                tracks.remove(&track.track);
            }
            let outputs = &mut self.outputs;
            if member.slots.vacate(track.track, &mut |command| send(outputs, me, command)) {
                member.backlog.touch(now);
                wake(&mut self.wake, member.backlog.due());
                match track.kind {
                    Kind::Audio => audio.push(me),
                    Kind::Video if member.slots.lacks_video() => video.push(me),
                    Kind::Video => {}
                }
            }
        }
        if track.kind == Kind::Audio && !self.follow_audio_mode(now) {
            self.arrange_audio(now, audio);
        }
        for me in video {
            self.arrange_video(now, me);
        }
    }

    /// Counts the unmuted audio tracks. Returns whether all members receive audio in another way now.
    pub(super) fn follow_audio_mode(&mut self, now: Instant) -> bool {
        let audio = self.tracks.values().filter(|published| published.track.kind == Kind::Audio);
        let changed = self.audio.update(now, audio.filter(|published| !published.track.muted).count());
        wake(&mut self.wake, self.audio.deadline());
        if changed {
            tracing::debug!(speakers = self.audio.is_speakers(), "audio is received in another way");
            self.arrange_audio(now, self.members.keys().copied().collect());
        }
        changed
    }

    fn arrange_audio(&mut self, now: Instant, members: Vec<ParticipantId>) {
        let audio = AudioTracks::of(&self.tracks);
        for me in members {
            let Some(member) = self.members.get_mut(&me) else { continue };
            member.arrange_audio(me, self.audio, &audio, &mut self.outputs);
            member.backlog.touch(now);
            wake(&mut self.wake, member.backlog.due());
        }
    }
}

impl Member {
    /// Whether the member is to have this track in a slot, if there is one. No client shows a video track before it knows it.
    fn receives(&self, me: ParticipantId, track: &Track, mode: AudioMode) -> bool {
        self.subscription.wants(me, track)
            && match track.kind {
                Kind::Audio => !self.hears_speakers(mode),
                Kind::Video => !self.tiles.are_known(),
            }
    }

    fn hears_speakers(&self, mode: AudioMode) -> bool {
        mode.is_speakers() && matches!(self.subscription, Subscription::Auto)
    }

    fn arrange_audio(&mut self, me: ParticipantId, mode: AudioMode, audio: &AudioTracks<'_>, outputs: &mut Outputs) {
        let wanted = if self.hears_speakers(mode) { mode.wanted_speakers() } else { self.heard(me, audio) };
        self.slots.arrange(Kind::Audio, &wanted, &mut |command| send(outputs, me, command));
    }

    /// The audio tracks that the member is to have in slots. Those that have one come before others that are as important.
    fn heard(&self, me: ParticipantId, audio: &AudioTracks<'_>) -> Vec<Wanted> {
        let wants = |track: &&&Track| self.subscription.wants(me, track);
        let holds = |track: &&&Track| self.slots.holds(content(track));
        let (held, unheld) = (|track: &&&Track| holds(track), |track: &&&Track| !holds(track));
        let unmuted = || audio.unmuted.iter().filter(wants);
        let muted = || audio.muted.iter().filter(wants);
        let tracks = unmuted().filter(held).chain(unmuted().filter(unheld));
        let tracks = tracks.chain(muted().filter(held)).chain(muted().filter(unheld));
        tracks.take(MAX_HEARD).map(|track| wanted(track)).collect()
    }

    fn arrange_video(&mut self, me: ParticipantId, tracks: &BTreeMap<TrackId, Published>, outputs: &mut Outputs) {
        let subscribed = |track: &&Track| track.kind == Kind::Video && self.subscription.wants(me, track);
        let holds = |track| tracks.get(&track).is_some_and(|published| self.slots.holds(content(&published.track)));
        let wanted: Vec<_> = match self.tiles.wanted(holds) {
            Some(tiles) => {
                let tracks = tiles.filter_map(|track| tracks.get(&track)).map(|published| &published.track);
                tracks.filter(subscribed).map(wanted).collect()
            }
            None => {
                let tracks = tracks.values().map(|published| &published.track).filter(subscribed);
                let (mut held, unheld): (Vec<_>, Vec<_>) =
                    tracks.map(wanted).partition(|wanted| self.slots.holds(wanted.content));
                held.extend(unheld);
                held
            }
        };
        self.slots.arrange(Kind::Video, &wanted, &mut |command| send(outputs, me, command));
        self.slots.set_wishes(|mid, track| self.tiles.wish(mid, track), &mut |command| send(outputs, me, command));
    }
}

/// The audio tracks of a room.
struct AudioTracks<'a> {
    unmuted: Vec<&'a Track>,
    muted: Vec<&'a Track>,
}

impl<'a> AudioTracks<'a> {
    fn of(tracks: &'a BTreeMap<TrackId, Published>) -> Self {
        let audio = tracks.values().map(|published| &published.track).filter(|track| track.kind == Kind::Audio);
        let (muted, unmuted) = audio.partition(|track| track.muted);
        Self { unmuted, muted }
    }
}

fn content(track: &Track) -> SlotContent {
    SlotContent::Track(SlotTrack { track: track.track, participant: track.participant })
}

fn wanted(track: &Track) -> Wanted {
    Wanted { content: content(track), codec: track.codec }
}

/// Sends a command about a participant's slots.
pub(super) fn send(outputs: &mut Outputs, participant: ParticipantId, command: SlotCommand) -> CommandId {
    outputs.command(match command {
        SlotCommand::Add(mid, codec) => Command::AddSlot { participant, mid, codec },
        SlotCommand::Activate(mid) => Command::ActivateSlot { participant, mid },
        SlotCommand::Set(mid, content) => Command::SetSlot { participant, mid, source: content.map(source) },
        SlotCommand::Wish(wishes) => Command::SetWishes { participant, wishes },
    })
}

fn source(content: SlotContent) -> sfu_api::SlotSource {
    match content {
        SlotContent::Track(track) => sfu_api::SlotSource::Track(track.track),
        SlotContent::Speaker(position) => sfu_api::SlotSource::Speaker(position.speaker),
    }
}
