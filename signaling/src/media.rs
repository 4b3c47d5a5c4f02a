//! The seam to the media plane, and the tables that both planes must agree on.

use sfu_api::{Event, Request, media};
use tacet_proto::{
    bytes::Fixed,
    media::{Candidate, CodecParameters, Dtls, HeaderExtension, ServerIce},
    server::ServerTransport,
};
use tokio::sync::mpsc;

/// What signaling needs of an SFU. Tests bring one that records.
pub trait MediaPlane: Send + Sync {
    /// Number of workers, at least one; a room lives on one of them.
    fn workers(&self) -> usize;

    /// Hands a command to a worker. Its answer or refusal comes as an event that repeats its id. Does not block.
    fn command(&self, worker: usize, request: Request);

    /// Datagrams a second that a worker receives and sends, as of lately. New calls go where there are few; a plane that
    /// does not measure says 0, and participants alone decide.
    fn packet_rate(&self, _worker: usize) -> u64 {
        0
    }
}

impl<M: MediaPlane + ?Sized> MediaPlane for std::sync::Arc<M> {
    fn workers(&self) -> usize {
        (**self).workers()
    }

    fn command(&self, worker: usize, request: Request) {
        (**self).command(worker, request);
    }

    fn packet_rate(&self, worker: usize) -> u64 {
        (**self).packet_rate(worker)
    }
}

/// Where the media plane puts its events, from any thread and without blocking.
#[derive(Clone, Debug)]
pub struct MediaEvents(mpsc::UnboundedSender<Event>);

/// Where signaling takes them.
#[derive(Debug)]
pub struct MediaEventQueue(pub(crate) mpsc::UnboundedReceiver<Event>);

/// A queue for the media plane's events. It is unbounded because a worker cannot wait; events are answers to commands
/// of rate-limited clients, and a few a second of each room.
#[must_use]
pub fn events() -> (MediaEvents, MediaEventQueue) {
    let (events, queue) = mpsc::unbounded_channel();
    (MediaEvents(events), MediaEventQueue(queue))
}

impl MediaEvents {
    /// Passes an event on; after signaling has ended it goes nowhere.
    pub fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

/// The payload-type table for `welcome`.
#[must_use]
pub fn codecs() -> Vec<CodecParameters> {
    media::CODECS.iter().map(CodecParameters::from).collect()
}

/// The header-extension table for `welcome`.
#[must_use]
pub fn header_extensions() -> Vec<HeaderExtension> {
    media::EXTENSIONS.iter().map(HeaderExtension::from).collect()
}

/// The server's half of a transport on the wire.
#[must_use]
pub fn transport(local: &sfu_api::LocalTransport) -> ServerTransport {
    ServerTransport {
        ice: ServerIce {
            ufrag: local.ufrag.clone(),
            pwd: local.pwd.clone(),
            candidates: local
                .candidates
                .iter()
                .map(|address| Candidate { ip: address.ip().to_string(), port: address.port() })
                .collect(),
        },
        dtls: Dtls { fingerprint: Fixed(local.fingerprint) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfu_api::media::Kind;

    #[test]
    fn welcome_tables_are_those_of_the_media_plane() {
        let table = codecs();
        assert_eq!(table.len(), media::CODECS.len());
        for (wire, own) in table.iter().zip(&media::CODECS) {
            assert_eq!((wire.codec, wire.pt, wire.rtx), (own.codec, own.pt, own.rtx_pt));
        }
        let extensions = header_extensions();
        assert!(extensions.iter().any(|e| e.id == media::MID.id && e.kinds == [Kind::Audio, Kind::Video]));
        assert!(extensions.iter().all(|e| (1..=14).contains(&e.id)));
    }
}
