//! State of a client that outlives its connections.
//!
//! It holds what the application wants (options, local tracks, subscriptions), what the application has been shown
//! (roster, audio, connection state), and the channels to it. Participants stay on the roster while connections come and
//! go, until the server says that they have left.

use super::{
    audio_receiver::AudioReceiver,
    event::{ClientEvent, ConnectionState, RemoteTrack},
    event_queue::EventSender,
    local_track::LocalTracks,
    options::ClientOptions,
    problem_log::ProblemLog,
    roster::{Roster, TrackChange},
    snapshot::{LocalTrackStatus, ParticipantStatus, ReceiverStatistics, Snapshot},
    subscriptions::Subscriptions,
    tiles::VideoTile,
    track::TrackState,
};
use crate::{audio::Level, call::JoinOptions};
use e2ee_frames::{CallCode, ChatContent, Problem};
use std::{sync::Arc, time::Instant};
use tacet_proto::{
    ParticipantId, TrackId,
    layers::{LayerReason, Tile},
    media::Source,
    server::{Speaker, Tracks},
};
use tokio::sync::{Notify, watch};

/// The state of a client that outlives its connections.
#[derive(Debug)]
pub(super) struct SessionState {
    options: ClientOptions,
    events: EventSender,
    /// Notified when the application has written media or changed a local track.
    wake: Arc<Notify>,
    local_tracks: LocalTracks,
    subscriptions: Subscriptions,
    /// What the application shows; `None` until it has said so.
    tiles: Option<Vec<VideoTile>>,
    roster: Roster,
    problems: ProblemLog,
    /// Emptied when the media path is replaced; the mixer goes on.
    audio: AudioReceiver,
    connection: Option<ConnectionState>,
    key_generation: Option<(u32, u8)>,
    call_code: Option<CallCode>,
    /// Whether the code has changed since it was last emitted.
    call_code_changed: bool,
    uplink_loss: f32,
    snapshot: watch::Sender<Snapshot>,
}

impl SessionState {
    pub(super) fn new(
        options: ClientOptions,
        events: EventSender,
        wake: Arc<Notify>,
        snapshot: watch::Sender<Snapshot>,
    ) -> Self {
        Self {
            audio: AudioReceiver::new(options.audio_output, options.channels),
            subscriptions: Subscriptions::new(options.subscribe),
            options,
            events,
            wake,
            local_tracks: LocalTracks::default(),
            tiles: None,
            roster: Roster::default(),
            problems: ProblemLog::default(),
            connection: None,
            key_generation: None,
            call_code: None,
            call_code_changed: false,
            uplink_loss: 0.0,
            snapshot,
        }
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(super) fn events(&self) -> &EventSender {
        &self.events
    }

    pub(super) fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    pub(super) fn local_tracks(&self) -> &LocalTracks {
        &self.local_tracks
    }

    pub(super) fn local_tracks_mut(&mut self) -> &mut LocalTracks {
        &mut self.local_tracks
    }

    pub(super) fn subscriptions_mut(&mut self) -> &mut Subscriptions {
        &mut self.subscriptions
    }

    pub(super) fn roster(&self) -> &Roster {
        &self.roster
    }

    pub(super) fn audio_mut(&mut self) -> &mut AudioReceiver {
        &mut self.audio
    }

    /// How the next connection joins.
    pub(super) fn join_options(&self) -> JoinOptions {
        JoinOptions {
            trust: self.options.trust,
            subscribe: self.subscriptions.is_automatic(),
            known: self.roster.ids(),
            wall_clock: self.options.wall_clock,
            ..JoinOptions::new(&self.options.name)
        }
    }

    /// Changes the connection state, and emits it if it is another one.
    pub(super) fn set_connection_state(&mut self, state: ConnectionState) {
        if self.connection.as_ref() != Some(&state) {
            self.connection = Some(state.clone());
            self.events.emit(ClientEvent::Connection(state));
        }
    }

    /// The media path is a new one: audio streams start again, and the tracks have to be listed again.
    pub(super) fn replace_media_path(&mut self) {
        self.subscriptions.expect_again(self.roster.shown_tracks());
        self.audio.clear();
        self.uplink_loss = 0.0;
        self.local_tracks.set_state(TrackState::Pending);
    }

    /// The session is a new one: the keys of everyone have to arrive again.
    pub(super) fn replace_session(&mut self) {
        let events = &self.events;
        self.roster.start_session(&mut |event| events.emit(event));
        (self.key_generation, self.call_code) = (None, None);
        for (participant, problem) in self.problems.clear() {
            self.events.emit(ClientEvent::ProblemSolved { participant, problem });
        }
    }

    /// The call is over: removes everyone.
    pub(super) fn end(&mut self) {
        let events = &self.events;
        self.roster.clear(&mut |event| events.emit(event));
        self.audio.clear();
        (self.key_generation, self.call_code) = (None, None);
        self.local_tracks.set_state(TrackState::Pending);
    }

    /// Discards what the application wrote while nothing can be sent, and forgets the tracks that it dropped.
    pub(super) fn discard_input(&mut self) {
        self.local_tracks.remove_closed();
        self.local_tracks.discard_input();
    }

    /// Stops receiving these tracks; from now on new tracks are only received by explicit subscription.
    pub(super) fn unsubscribe(&mut self, tracks: &[TrackId]) {
        self.subscriptions.remove(tracks, self.roster.all_tracks().map(|track| track.track));
    }

    /// The application shows these videos from now on, and no others.
    pub(super) fn show(&mut self, tiles: Vec<VideoTile>) {
        self.tiles = Some(tiles);
    }

    /// The tiles of tracks in the server's list; `None` until the application has said what it shows.
    pub(super) fn tiles(&self) -> Option<Vec<Tile>> {
        let tile = |tile: &VideoTile| {
            let VideoTile { participant, source, height, pinned, paused } = *tile;
            let track = self.roster.track(participant, source)?.track;
            Some(Tile { track, height, pinned, paused })
        };
        Some(self.tiles.as_ref()?.iter().filter_map(tile).collect())
    }

    /// The server says which layer of a participant's track this client receives.
    pub(super) fn layer_changed(&self, track: TrackId, height: Option<u16>, reason: LayerReason) {
        if let Some(RemoteTrack { participant, source, .. }) = self.roster.shown_tracks().find(|of| of.track == track) {
            self.events.emit(ClientEvent::VideoLayer { participant, source, height, reason });
        }
    }

    /// An announce was verified: a participant joined or changed its name.
    pub(super) fn participant_verified(&mut self, id: ParticipantId, name: String) {
        let events = &self.events;
        self.roster.verified(id, name, &mut |event| events.emit(event));
    }

    /// A participant says something.
    pub(super) fn chat(&self, id: ParticipantId, content: ChatContent) {
        if let Some((participant, _)) = self.roster.members().find(|(member, _)| member.id == id) {
            self.events.emit(ClientEvent::Chat { participant, content });
        }
    }

    /// The server says whether a participant is away.
    pub(super) fn participant_away(&mut self, id: ParticipantId, away: bool) {
        let events = &self.events;
        self.roster.set_away(id, away, &mut |event| events.emit(event));
    }

    pub(super) fn participant_left(&mut self, id: ParticipantId) {
        let events = &self.events;
        self.roster.left(id, &mut |event| events.emit(event));
        self.audio.remove(id, None);
    }

    /// A session key of this participant was installed.
    pub(super) fn key_installed(&mut self, id: ParticipantId) {
        self.frame_opened(id);
        self.events.emit(ClientEvent::KeyInstalled(id));
    }

    /// A frame of this participant was opened.
    pub(super) fn frame_opened(&mut self, id: ParticipantId) {
        let events = &self.events;
        self.roster.frame_opened(id, &mut |event| events.emit(event));
    }

    /// A frame in a slot that shows this participant, as the server says, is not authentic.
    pub(super) fn frame_rejected(&mut self, id: ParticipantId) {
        let events = &self.events;
        self.roster.frame_rejected(id, &mut |event| events.emit(event));
    }

    pub(super) fn problem(&mut self, now: Instant, participant: Option<ParticipantId>, problem: Problem) {
        if !self.problems.is_news(now, participant, problem) {
            return;
        }
        let events = &self.events;
        self.roster.problem(participant, problem, &mut |event| events.emit(event));
    }

    pub(super) fn problem_solved(&mut self, participant: ParticipantId, problem: Problem) {
        if self.problems.solved(participant, problem) {
            self.events.emit(ClientEvent::ProblemSolved { participant, problem });
        }
    }

    /// Applies a change of the server's track list. Returns the tracks that appeared in it and disappeared from it.
    pub(super) fn update_tracks(&mut self, change: Tracks) -> TrackChange {
        let events = &self.events;
        let change = self.roster.update_tracks(change, &mut |event| events.emit(event));
        self.remove_audio(&change);
        change
    }

    /// Removes the tracks that are not in the server's whole list.
    pub(super) fn retain_tracks(&mut self, listed: &[TrackId]) {
        let events = &self.events;
        let change = self.roster.retain_tracks(listed, &mut |event| events.emit(event));
        self.remove_audio(&change);
    }

    /// The tracks in the server's list that this client has to ask for.
    pub(super) fn wanted_tracks(&mut self, of: &[RemoteTrack]) -> Vec<TrackId> {
        of.iter().filter(|track| self.subscriptions.must_request(track)).map(|track| track.track).collect()
    }

    /// All tracks in the server's list.
    pub(super) fn listed_tracks(&self) -> Vec<RemoteTrack> {
        self.roster.all_tracks().collect()
    }

    fn remove_audio(&mut self, change: &TrackChange) {
        for RemoteTrack { participant, source, .. } in &change.removed {
            self.audio.remove(*participant, Some(*source));
        }
    }

    /// Emits the active speakers that are on the roster.
    pub(super) fn active_speakers(&mut self, speakers: &[Speaker]) {
        let known = speakers.iter().filter(|speaker| self.roster.contains(speaker.participant));
        let levels = known.map(|speaker| (speaker.participant, Level::from_dbov(speaker.level)));
        self.events.emit(ClientEvent::ActiveSpeakers(levels.collect()));
    }

    /// This client's own key in use has changed.
    pub(super) fn set_key_generation(&mut self, generation: u32, step: u8) {
        self.key_generation = Some((generation, step));
        self.events.emit(ClientEvent::Generation { generation, step });
    }

    /// The call code has changed.
    pub(super) fn set_call_code(&mut self, code: CallCode) {
        self.call_code_changed |= self.call_code.replace(code) != Some(code);
    }

    /// Emits the call code if it has changed. Called now and then: a newcomer learns of the others one after the other.
    pub(super) fn emit_call_code(&mut self) {
        if std::mem::take(&mut self.call_code_changed)
            && let Some(code) = self.call_code
        {
            self.events.emit(ClientEvent::CallCode(code));
        }
    }

    /// Records the fraction of lost packets, from 0 to 1, that a receiver report contained.
    pub(super) fn set_uplink_loss(&mut self, fraction: f32) {
        self.uplink_loss = fraction;
    }

    /// The track of a participant's source, if the server lists one.
    pub(super) fn remote_track(&self, id: ParticipantId, source: Source) -> Option<RemoteTrack> {
        self.roster.track(id, source)
    }

    /// Emits the next 20 ms of received audio.
    pub(super) fn play_audio(&mut self, now: Instant) {
        let events = &self.events;
        self.audio.pull(now, &mut |block| events.push_audio(block));
    }

    pub(super) fn publish_snapshot(&self, received: ReceiverStatistics) {
        let tracks: Vec<_> = self.roster.shown_tracks().collect();
        let participants = self.roster.members().map(|(participant, encryption)| ParticipantStatus {
            level: self.audio.level(participant.id),
            tracks: tracks.iter().filter(|track| track.participant == participant.id).copied().collect(),
            away: self.roster.is_away(participant.id),
            participant,
            encryption,
        });
        let local_tracks = self.local_tracks.iter().map(|track| LocalTrackStatus {
            source: track.source(),
            state: track.state(),
            muted: track.muted(),
        });
        self.snapshot.send_replace(Snapshot {
            connection: self.connection.clone(),
            generation: self.key_generation,
            call_code: self.call_code,
            participants: participants.collect(),
            local_tracks: local_tracks.collect(),
            received,
            uplink_loss: self.uplink_loss,
        });
    }
}
