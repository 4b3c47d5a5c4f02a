//! One connection: signaling, keys and a media path, from `hello` until one of them is lost.
//!
//! Nothing is reused: the next connection has a new device identity, new keys, a new certificate and new SSRCs, so that
//! no (key, nonce) pair can repeat.
//!
//! | module | what it does |
//! |---|---|
//! | this one | joins, dispatches events of signaling and of the media path, leaves |
//! | [`media_path`] | starts the media path and follows its state |
//! | [`publishing`] | reconciles local tracks with the server, sends their media, answers key frame requests |
//! | [`receiving`] | slots, subscriptions, key frame requests to senders |

mod media_path;
mod publishing;
mod receiving;

use super::{
    disconnect::{ConnectionEnd, DisconnectReason},
    event::RemoteTrack,
    media_receiver::MediaReceiver,
    path_state::PathState,
    session_state::SessionState,
    snapshot::ReceiverStatistics,
    track_sender::TrackSender,
};
use crate::{
    call::{Call, CallError, CallEvent, JoinOptions},
    keys::SharedKeys,
    link::RoomLink,
    media::{Endpoint, Engine, MediaEvent},
    signaling::SignalingError,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::{
    TrackId,
    server::{Slots, TransportState},
};
use tokio::time::timeout;

/// Maximum time for joining, connecting included.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that has joined.
pub(super) struct Connection<G: Engine> {
    engine: Arc<G>,
    call: Call,
    keys: SharedKeys,
    /// The media path, once the server has sent its transport parameters.
    endpoint: Option<G::Path>,
    path: PathState,
    senders: Vec<TrackSender>,
    receiver: MediaReceiver,
    /// Slots that arrived before the media path was started.
    early_slots: Vec<Slots>,
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
}

impl<G: Engine> Connection<G> {
    /// Connects and joins.
    pub(super) async fn open(engine: Arc<G>, link: &RoomLink, options: JoinOptions) -> Result<Self, CallError> {
        let joining = timeout(JOIN_TIMEOUT, Call::join(link, &options)).await;
        let call = joining.map_err(|_| SignalingError::Timeout(link.authority().to_owned()))??;
        Ok(Self {
            engine,
            keys: call.keys(),
            call,
            endpoint: None,
            path: PathState::start(Instant::now(), Duration::MAX),
            senders: Vec::new(),
            receiver: MediaReceiver::default(),
            early_slots: Vec::new(),
        })
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
            CallEvent::Transport(remote) => self.start_media_path(remote, session).await?,
            CallEvent::TransportState(TransportState::Failed) => return Err(DisconnectReason::MediaFailed.into()),
            CallEvent::TransportState(state) => {
                let changed = self.path.on_server_state(Instant::now(), state == TransportState::Connected);
                self.path_changed(changed, session).await?;
            }
            CallEvent::Slots(slots) => self.add_slots(slots).await?,
            CallEvent::Published { cid, track } => self.on_published(&cid, track, session).await?,
            CallEvent::Tracks(tracks) => self.on_tracks(tracks, session)?,
            CallEvent::Verified { participant, name, .. } => session.participant_verified(participant, name),
            CallEvent::Left(participant) => session.participant_left(participant),
            CallEvent::StreamReady(stream) => self.on_stream_ready(stream, session).await?,
            CallEvent::KeyInstalled(participant) => {
                let now = Instant::now();
                session.key_installed(participant);
                self.receiver.key_installed(participant, now, &self.keys, session);
                self.request_missing_key_frames(now).await?;
            }
            CallEvent::Generation { generation, step } => session.set_key_generation(generation, step),
            CallEvent::Problem { participant, problem } => session.problem(participant, problem),
            CallEvent::Speakers(speakers) => session.active_speakers(&speakers),
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
            MediaEvent::ReceiverReport { ssrc, fraction_lost } => {
                self.on_receiver_report(ssrc, fraction_lost, session);
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
        }
    }

    /// Handles everything that depends on time; called every 20 ms.
    pub(super) async fn on_tick(&mut self, now: Instant, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        if let Some(reason) = self.path.loss(now) {
            return Err(reason.into());
        }
        self.receiver.on_tick(now, &self.keys, session);
        self.request_missing_key_frames(now).await
    }

    pub(super) fn statistics(&self) -> ReceiverStatistics {
        self.receiver.statistics()
    }

    /// Leaves the call and closes the media path.
    pub(super) async fn close(self) {
        if let Some(endpoint) = self.endpoint {
            endpoint.close().await;
        }
        self.call.leave().await;
    }
}
