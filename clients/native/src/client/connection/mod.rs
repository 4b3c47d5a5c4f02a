//! One session in a call: signaling, keys and a media path, each of which may be lost and repaired by itself.
//!
//! Keys live as long as the session. A session that cannot go on is followed by another one with a new device identity,
//! new keys, a new certificate and new SSRCs, so that no (key, nonce) pair can repeat.
//!
//! | module | what it does |
//! |---|---|
//! | this one | dispatches events of signaling and of the media path, changes connections, leaves |
//! | [`attempt`] | connects to the server, to continue a session or to follow one |
//! | [`media_path`] | starts the media path, restarts its ICE, and follows its state |
//! | [`publishing`] | reconciles local tracks with the server, sends their media, answers key frame requests |
//! | [`receiving`] | slots, subscriptions, key frame requests to senders |

pub(super) mod attempt;
mod media_path;
mod publishing;
mod receiving;

use super::{
    ClientError,
    disconnect::{ConnectionEnd, DisconnectReason},
    event::{ClientEvent, RemoteTrack},
    media_receiver::MediaReceiver,
    path_state::PathState,
    repair::Recovery,
    session_state::SessionState,
    snapshot::ReceiverStatistics,
    tiles::TileRequests,
    track_sender::TrackSender,
};
use crate::{
    call::{Admission, Call, CallError, CallEvent, Continues, Ticket},
    keys::SharedKeys,
    media::{Endpoint, Engine, MediaEvent},
};
use e2ee_frames::{ChatContent, EventError};
use std::{sync::Arc, time::Instant};
use tacet_proto::{
    TrackId,
    server::{ServerTransport, Slots, TransportState},
};
use tokio::sync::oneshot;

/// A session that has joined.
pub(super) struct Connection<G: Engine> {
    engine: Arc<G>,
    call: Call,
    keys: SharedKeys,
    /// The media path, once the server has sent its transport parameters.
    endpoint: Option<G::Path>,
    /// The transport parameters of the server for a path that could not be started.
    unstarted: Option<ServerTransport>,
    path: PathState,
    /// Whether the path has changed between up and not up since the driver last asked.
    path_changed: bool,
    /// Number of the request for an ICE restart that the server has not answered.
    restart_request: Option<u32>,
    /// How often in a row the server has refused one.
    restarts_refused: u32,
    senders: Vec<TrackSender>,
    receiver: MediaReceiver,
    /// Slots that arrived before the media path was started.
    early_slots: Vec<Slots>,
    /// Whether the server has no subscriptions of this client yet.
    unsubscribed: bool,
    tiles: TileRequests,
}

/// Events of a connection.
pub(super) enum ConnectionEvent {
    /// An event of signaling or of the session.
    Call(Result<CallEvent, CallError>),
    /// An event of the media path; `None` when it is closed.
    Media(Option<MediaEvent>),
}

/// A request of the application to the current connection.
#[derive(Debug)]
pub(super) enum ConnectionRequest {
    /// Bring the published tracks in line with the local tracks.
    Reconcile,
    Subscribe(Vec<TrackId>),
    Unsubscribe(Vec<TrackId>),
    /// Request a key frame from the sender of this track.
    RequestKeyFrame(RemoteTrack),
    /// Say this in the chat, and answer whether it waits for the server.
    Say(ChatContent, oneshot::Sender<Result<(), ClientError>>),
}

impl<G: Engine> Connection<G> {
    /// A session that has just joined.
    pub(super) fn new(engine: Arc<G>, call: Call) -> Self {
        Self {
            engine,
            keys: call.keys(),
            call,
            endpoint: None,
            unstarted: None,
            path: PathState::STARTING,
            path_changed: false,
            restart_request: None,
            restarts_refused: 0,
            senders: Vec::new(),
            receiver: MediaReceiver::default(),
            early_slots: Vec::new(),
            unsubscribed: true,
            tiles: TileRequests::default(),
        }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// What another connection needs in order to continue the session.
    pub(super) fn ticket(&self) -> Ticket {
        self.call.ticket()
    }

    /// The signaling connection is lost. Media goes on.
    pub(super) fn detach(&mut self) {
        self.call.detach();
        self.restart_request = None;
        // What the server last said may be outdated; the engine sees for itself whether media arrives.
        self.path_changed |= self.path.on_server_state(true);
    }

    /// Sends the session away for its successor. Media goes on until that has joined.
    pub(super) fn hand_over(&mut self) -> impl Future<Output = ()> + Send + use<G> {
        self.restart_request = None;
        self.call.hand_over()
    }

    /// Continues the session on another signaling connection.
    pub(super) async fn attach(
        &mut self,
        admission: Admission,
        session: &mut SessionState,
    ) -> Result<Recovery, ConnectionEnd> {
        let recovery = match admission.continues() {
            Continues::Seat => Recovery::SeatRenewed,
            _ => Recovery::SessionResumed,
        };
        self.call.attach(admission)?;
        if recovery == Recovery::SeatRenewed {
            self.forget_media_path(session)?;
        }
        self.reconcile_tracks(session).await?;
        Ok(recovery)
    }

    /// Waits for the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> ConnectionEvent {
        let media = async {
            match &mut self.endpoint {
                Some(endpoint) => endpoint.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = self.call.next() => ConnectionEvent::Call(event),
            event = media => ConnectionEvent::Media(event),
        }
    }

    pub(super) async fn handle(
        &mut self,
        event: ConnectionEvent,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        match event {
            ConnectionEvent::Call(event) => self.on_call(event?, session).await,
            ConnectionEvent::Media(event) => self.on_media(event.ok_or(DisconnectReason::MediaFailed)?, session).await,
        }
    }

    async fn on_call(&mut self, event: CallEvent, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        match event {
            CallEvent::Transport(remote) => self.on_transport(remote, session).await?,
            CallEvent::TransportState(TransportState::Failed) => return Err(DisconnectReason::MediaFailed.into()),
            CallEvent::TransportState(state) => {
                let changed = self.path.on_server_state(state == TransportState::Connected);
                self.on_path_state(changed, session).await?;
            }
            CallEvent::Slots(slots) => self.add_slots(slots).await?,
            CallEvent::Layers(slots) => self.on_layers(&slots, session),
            CallEvent::Want(tracks) => self.on_want(&tracks, session).await?,
            CallEvent::Published { cid, track } => self.on_published(&cid, track, session).await?,
            CallEvent::TrackList(tracks) => session.retain_tracks(&tracks),
            CallEvent::Tracks(tracks) => self.on_tracks(tracks, session)?,
            CallEvent::Verified { participant, name, .. } => session.participant_verified(participant, name),
            CallEvent::Chat { participant, content } => session.chat(participant, content),
            CallEvent::Away(participant) => session.participant_away(participant, true),
            CallEvent::Back(participant) => session.participant_away(participant, false),
            CallEvent::Left(participant) => session.participant_left(participant),
            CallEvent::StreamReady(stream) => self.on_stream_ready(stream, session).await?,
            CallEvent::KeyInstalled(participant) => {
                let now = Instant::now();
                session.key_installed(participant);
                self.receiver.key_installed(participant, now, &self.keys, session);
                self.request_missing_key_frames(now).await?;
            }
            CallEvent::Generation { generation, step } => session.set_key_generation(generation, step),
            CallEvent::Problem { participant, problem } => session.problem(Instant::now(), participant, problem),
            CallEvent::ProblemSolved { participant, problem } => session.problem_solved(participant, problem),
            CallEvent::CallCode(code) => session.set_call_code(code),
            CallEvent::Speakers(speakers) => session.active_speakers(&speakers),
            CallEvent::Role(change) => self.on_role(&change, session)?,
            CallEvent::MuteRequested(by) => session.events().emit(ClientEvent::MuteRequested(by)),
            CallEvent::Locked(locked) => session.events().emit(ClientEvent::RoomLocked(locked)),
            CallEvent::Refused { re, error } => self.on_refused(re, &error, session)?,
        }
        Ok(())
    }

    async fn on_media(&mut self, event: MediaEvent, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        match event {
            MediaEvent::Connected => self.engine_state_changed(true, session).await,
            MediaEvent::Disconnected => self.engine_state_changed(false, session).await,
            MediaEvent::Failed => Err(DisconnectReason::MediaFailed.into()),
            MediaEvent::Packet(packet) => {
                self.receiver.on_packet(packet, &self.keys, session);
                self.request_missing_key_frames(Instant::now()).await
            }
            MediaEvent::KeyFrameRequested { mid } => {
                self.on_key_frame_request(&mid, session);
                Ok(())
            }
            MediaEvent::ReceiverReport { ssrc, fraction_lost, total_lost, highest_sequence } => {
                self.on_receiver_report(ssrc, fraction_lost, (total_lost, highest_sequence), session);
                Ok(())
            }
        }
    }

    /// Carries out what the application asks of the current connection.
    pub(super) async fn request(
        &mut self,
        request: ConnectionRequest,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        match request {
            ConnectionRequest::Reconcile => self.reconcile_tracks(session).await,
            ConnectionRequest::Subscribe(tracks) => Ok(self.call.subscribe(&tracks)?),
            ConnectionRequest::Unsubscribe(tracks) => Ok(self.call.unsubscribe(&tracks)?),
            ConnectionRequest::RequestKeyFrame(track) => self.request_key_frame_of(&track).await,
            ConnectionRequest::Say(content, answer) => match self.call.say(&content) {
                Err(CallError::Event(EventError::Malformed | EventError::ChatFull)) => {
                    let _ = answer.send(Err(ClientError::Chat));
                    Ok(())
                }
                said => {
                    let _ = answer.send(said.as_ref().map_err(|_| ClientError::Ended).copied());
                    Ok(said?)
                }
            },
        }
    }

    /// Handles everything that depends on time; called every 20 ms.
    pub(super) async fn on_tick(&mut self, now: Instant, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        self.receiver.on_tick(now, &self.keys, session);
        if let Some(tiles) = self.tiles.due(session.tiles(), now) {
            self.call.layers(tiles)?;
        }
        self.request_missing_key_frames(now).await
    }

    pub(super) fn statistics(&self) -> ReceiverStatistics {
        self.receiver.statistics()
    }

    /// Ends the session for its successor: closes what is left of it.
    pub(super) async fn discard(self) {
        if let Some(endpoint) = self.endpoint {
            endpoint.close().await;
        }
    }

    /// Leaves the call and closes the media path.
    pub(super) async fn close(self) {
        if let Some(endpoint) = self.endpoint {
            endpoint.close().await;
        }
        self.call.leave().await;
    }
}
