//! The media path of a connection: its start, its ICE restarts and its state.

use super::Connection;
use crate::{
    client::{
        disconnect::ConnectionEnd, path_state::PathState, random::random_u32, session_state::SessionState,
        tiles::TileRequests, track_sender::TrackSender,
    },
    media::{Endpoint, Engine, MediaError},
};
use tacet_proto::{
    media::{Codec, Source},
    server::ServerTransport,
};

impl<G: Engine> Connection<G> {
    /// The server's transport parameters: those of a new path, or new ICE credentials for the path that there is.
    pub(super) async fn on_transport(
        &mut self,
        remote: ServerTransport,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        (self.restart_request, self.restarts_refused) = (None, 0);
        match &mut self.endpoint {
            Some(endpoint) => {
                match endpoint.restart_ice(remote).await {
                    // The network may be back when ICE is restarted the next time.
                    Err(MediaError::NoRoute(error)) => tracing::debug!(%error, "cannot restart ICE"),
                    result => {
                        result?;
                        self.call.transport(endpoint.local().clone())?;
                    }
                }
                Ok(())
            }
            None => self.start_media_path(remote, session).await,
        }
    }

    /// Starts the media path with one sending section for each local track.
    async fn start_media_path(
        &mut self,
        remote: ServerTransport,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        self.senders.clear();
        let codecs = &self.call.welcome().codecs;
        let forwarded = |codec| codecs.iter().any(|entry| entry.codec == codec);
        for track in session.local_tracks().iter().filter(|track| forwarded(track.codec())) {
            self.senders.push(TrackSender::new(track.source(), track.codec(), &mut random_u32));
        }
        // An offer needs at least one section: take the one that is most likely to be used.
        if self.senders.is_empty() {
            self.senders.push(TrackSender::new(Source::Microphone, Codec::Opus, &mut random_u32));
        }
        let streams: Vec<_> = self.senders.iter().map(|sender| sender.send_stream().clone()).collect();
        let endpoint = match self.engine.start(self.call.welcome(), remote.clone(), &streams).await {
            Err(MediaError::NoRoute(error)) => {
                tracing::debug!(%error, "cannot start the media path yet");
                self.unstarted = Some(remote);
                return Ok(());
            }
            result => result?,
        };
        self.path = PathState::STARTING;
        self.call.transport(endpoint.local().clone())?;
        self.endpoint = Some(endpoint);
        for slots in std::mem::take(&mut self.early_slots) {
            self.add_slots(slots).await?;
        }
        self.reconcile_tracks(session).await
    }

    /// Asks the server for an ICE restart, or starts a path that could not be started.
    pub(in crate::client) async fn restart_ice(&mut self, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        // If the network is gone, signaling has broken, too, and should be known to be.
        self.call.probe();
        if let Some(remote) = self.unstarted.take() {
            return self.start_media_path(remote, session).await;
        }
        if self.endpoint.is_some() && self.restart_request.is_none() {
            self.restart_request = Some(self.call.restart_ice()?);
        }
        Ok(())
    }

    /// The server has restarted: everything that it knew of the media path is gone, and the keys are not.
    pub(super) fn forget_media_path(&mut self, session: &mut SessionState) -> Result<(), ConnectionEnd> {
        if let Some(endpoint) = self.endpoint.take() {
            tokio::spawn(endpoint.close());
        }
        for sender in self.senders.drain(..).filter(|sender| sender.request.is_some()) {
            self.call.close_stream(sender.stream_id())?;
        }
        self.unstarted = None;
        self.receiver = super::MediaReceiver::default();
        self.early_slots.clear();
        self.unsubscribed = true;
        self.tiles = TileRequests::default();
        self.path = PathState::STARTING;
        self.path_changed = false;
        session.replace_media_path();
        Ok(())
    }

    pub(super) async fn engine_state_changed(
        &mut self,
        up: bool,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        let changed = self.path.on_engine_state(up);
        self.on_path_state(changed, session).await
    }

    pub(super) async fn on_path_state(
        &mut self,
        changed: bool,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        if changed {
            self.path_changed = true;
            self.call.set_media_flows(self.path.is_up());
            self.reconcile_tracks(session).await?;
        }
        Ok(())
    }

    /// Whether the path is up, if that has changed since the last call.
    pub(in crate::client) fn take_path_change(&mut self) -> Option<bool> {
        std::mem::take(&mut self.path_changed).then_some(self.path.is_up())
    }
}
