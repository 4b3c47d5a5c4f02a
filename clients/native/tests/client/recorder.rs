//! A media path that records everything that the client passes to it.

use crate::TIMEOUT;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tacet_native::{
    client::{Client, ClientOptions, Events},
    link::RoomLink,
    media::{Endpoint, Engine, MediaError, MediaEvent, OutgoingPacket, SendStream},
    webrtc::WebrtcEndpoint,
};
use tacet_proto::{
    client::ClientTransport,
    media::{Candidate, Slot},
    server::{ServerTransport, Welcome},
};
use tokio::time::timeout;

/// Makes recorded paths.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    pub(crate) recorded: Arc<Mutex<Vec<Path>>>,
    /// Where media is sent instead of to the server's own address.
    pub(crate) relay: Option<SocketAddr>,
}

/// What was passed to one path.
#[derive(Clone)]
pub(crate) struct Path {
    pub(crate) local: ClientTransport,
    /// Number of ICE restarts.
    pub(crate) restarts: usize,
    pub(crate) streams: Vec<SendStream>,
    pub(crate) sent: Vec<(String, OutgoingPacket)>,
}

/// A recorded path.
pub(crate) struct Recorded {
    inner: WebrtcEndpoint,
    paths: Arc<Mutex<Vec<Path>>>,
    number: usize,
}

impl Recorder {
    /// Joins with recorded paths.
    pub(crate) async fn join(&self, link: &RoomLink, options: ClientOptions) -> (Client, Events) {
        timeout(TIMEOUT, Client::join_over(self.clone(), link, options)).await.unwrap().unwrap()
    }

    /// A copy of what was recorded so far, by path.
    pub(crate) fn paths(&self) -> Vec<Path> {
        self.recorded.lock().unwrap().clone()
    }
}

impl Engine for Recorder {
    type Path = Recorded;

    async fn start(
        &self,
        welcome: &Welcome,
        mut remote: ServerTransport,
        streams: &[SendStream],
    ) -> Result<Recorded, MediaError> {
        if let Some(relay) = self.relay {
            remote.ice.candidates = vec![Candidate { ip: relay.ip().to_string(), port: relay.port() }];
        }
        let inner = WebrtcEndpoint::start(welcome, remote, streams).await?;
        let mut paths = self.recorded.lock().unwrap();
        paths.push(Path { local: inner.local().clone(), restarts: 0, streams: streams.to_vec(), sent: Vec::new() });
        Ok(Recorded { inner, paths: self.recorded.clone(), number: paths.len() - 1 })
    }
}

impl Endpoint for Recorded {
    fn local(&self) -> &ClientTransport {
        self.inner.local()
    }

    async fn restart_ice(&mut self, remote: ServerTransport) -> Result<(), MediaError> {
        self.inner.restart_ice(remote).await?;
        self.paths.lock().unwrap()[self.number].restarts += 1;
        Ok(())
    }

    async fn add_stream(&mut self, stream: &SendStream) -> Result<(), MediaError> {
        self.paths.lock().unwrap()[self.number].streams.push(stream.clone());
        self.inner.add_stream(stream).await
    }

    async fn add_slots(&mut self, slots: &[Slot]) -> Result<(), MediaError> {
        self.inner.add_slots(slots).await
    }

    async fn send(&mut self, mid: &str, packet: OutgoingPacket) -> Result<(), MediaError> {
        self.paths.lock().unwrap()[self.number].sent.push((mid.to_owned(), packet.clone()));
        self.inner.send(mid, packet).await
    }

    async fn request_key_frame(&mut self, ssrc: u32) -> Result<(), MediaError> {
        self.inner.request_key_frame(ssrc).await
    }

    async fn next(&mut self) -> Option<MediaEvent> {
        self.inner.next().await
    }

    async fn close(self) {
        self.inner.close().await;
    }
}
