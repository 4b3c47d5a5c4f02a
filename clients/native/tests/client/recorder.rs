//! A media path that keeps a copy of all that the client hands to it: nothing of a call leaves by another way.

use crate::PATIENCE;
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
    /// Where media goes instead of to the server's own address.
    pub(crate) detour: Option<SocketAddr>,
}

/// What one path was told.
#[derive(Clone)]
pub(crate) struct Path {
    pub(crate) local: ClientTransport,
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
        timeout(PATIENCE, Client::join_over(self.clone(), link, options)).await.unwrap().unwrap()
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
        if let Some(detour) = self.detour {
            remote.ice.candidates = vec![Candidate { ip: detour.ip().to_string(), port: detour.port() }];
        }
        let inner = WebrtcEndpoint::start(welcome, remote, streams).await?;
        let mut paths = self.recorded.lock().unwrap();
        paths.push(Path { local: inner.local().clone(), streams: streams.to_vec(), sent: Vec::new() });
        Ok(Recorded { inner, paths: self.recorded.clone(), number: paths.len() - 1 })
    }
}

impl Endpoint for Recorded {
    fn local(&self) -> &ClientTransport {
        self.inner.local()
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

    async fn want_key_frame(&mut self, ssrc: u32) -> Result<(), MediaError> {
        self.inner.want_key_frame(ssrc).await
    }

    async fn next(&mut self) -> Option<MediaEvent> {
        self.inner.next().await
    }

    async fn close(self) {
        self.inner.close().await;
    }
}
