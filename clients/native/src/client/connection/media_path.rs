//! The media path of a connection: its start and its state.

use super::Connection;
use crate::{
    client::{
        disconnect::ConnectionEnd, event::ConnectionState, path_state::PathState, random::random_u32,
        session_state::SessionState, track_sender::TrackSender,
    },
    media::{Endpoint, Engine},
};
use std::time::Instant;
use tacet_proto::{
    media::{Codec, Source},
    server::ServerTransport,
};

impl<G: Engine> Connection<G> {
    /// Starts the media path with one sending section for each local track.
    pub(super) async fn start_media_path(
        &mut self,
        remote: ServerTransport,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        if self.endpoint.is_some() {
            return Ok(());
        }
        for track in session.local_tracks().iter() {
            self.senders.push(TrackSender::new(track.source(), track.codec(), &mut random_u32));
        }
        // An offer needs at least one section: take the one that is most likely to be used.
        if self.senders.is_empty() {
            self.senders.push(TrackSender::new(Source::Microphone, Codec::Opus, &mut random_u32));
        }
        let streams: Vec<_> = self.senders.iter().map(|sender| sender.send_stream().clone()).collect();
        let endpoint = self.engine.start(self.call.welcome(), remote, &streams).await?;
        self.path = PathState::start(Instant::now(), session.options().media_timeout);
        self.call.transport(endpoint.local().clone())?;
        self.endpoint = Some(endpoint);
        for slots in std::mem::take(&mut self.early_slots) {
            self.add_slots(slots).await?;
        }
        self.reconcile_tracks(session).await
    }

    pub(super) async fn engine_state_changed(
        &mut self,
        up: bool,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        let changed = self.path.on_engine_state(Instant::now(), up);
        self.path_changed(changed, session).await
    }

    /// Emits the new connection state if the path has changed.
    pub(super) async fn path_changed(
        &mut self,
        changed: bool,
        session: &mut SessionState,
    ) -> Result<(), ConnectionEnd> {
        if changed {
            let up = self.path.is_up();
            session.set_connection_state(if up { ConnectionState::Connected } else { ConnectionState::Interrupted });
            self.reconcile_tracks(session).await?;
        }
        Ok(())
    }
}
