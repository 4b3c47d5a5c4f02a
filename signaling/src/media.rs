//! The seam to the media plane, and the tables that both planes must agree on.

use sfu::{Command, Event, media};
use tacet_proto::{
    bytes::Fixed,
    media::{Candidate, Codec, CodecParameters, Dtls, HeaderExtension, Kind, ServerIce},
    server::ServerTransport,
};
use tokio::sync::mpsc;

/// What signaling needs of an SFU. Tests bring one that records.
pub trait MediaPlane: Send + Sync {
    /// Number of workers, at least one; a room lives on one of them.
    fn workers(&self) -> usize;

    /// Hands a command to a worker; its answer, if it has one, comes as an event. Does not block.
    fn command(&self, worker: usize, command: Command);

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

    fn command(&self, worker: usize, command: Command) {
        (**self).command(worker, command);
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
    media::CODECS
        .iter()
        .map(|entry| CodecParameters {
            codec: to_wire(entry.codec),
            pt: entry.pt,
            rtx: entry.rtx_pt,
            clock: entry.clock,
            fmtp: entry.fmtp.to_owned(),
        })
        .collect()
}

/// The header-extension table for `welcome`.
#[must_use]
pub fn header_extensions() -> Vec<HeaderExtension> {
    let kinds = |entry: &media::ExtensionEntry| {
        [(entry.audio, Kind::Audio), (entry.video, Kind::Video)]
            .into_iter()
            .filter_map(|(carried, kind)| carried.then_some(kind))
            .collect()
    };
    media::EXTENSIONS
        .iter()
        .map(|entry| HeaderExtension { uri: entry.uri.to_owned(), id: entry.id, kinds: kinds(entry) })
        .collect()
}

/// The server's half of a transport on the wire.
#[must_use]
pub fn transport(local: &sfu::event::LocalTransport) -> ServerTransport {
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

/// A codec of the wire as the media plane knows it.
#[must_use]
pub fn from_wire(codec: Codec) -> media::Codec {
    match codec {
        Codec::Opus => media::Codec::Opus,
        Codec::Vp8 => media::Codec::Vp8,
        Codec::Vp9 => media::Codec::Vp9,
        Codec::Av1 => media::Codec::Av1,
        Codec::H264 => media::Codec::H264,
    }
}

/// A codec of the media plane as the wire knows it.
#[must_use]
pub fn to_wire(codec: media::Codec) -> Codec {
    match codec {
        media::Codec::Opus => Codec::Opus,
        media::Codec::Vp8 => Codec::Vp8,
        media::Codec::Vp9 => Codec::Vp9,
        media::Codec::Av1 => Codec::Av1,
        media::Codec::H264 => Codec::H264,
    }
}

/// Sound or picture, of a codec.
#[must_use]
pub fn kind(codec: Codec) -> Kind {
    match from_wire(codec).entry().kind {
        media::Kind::Audio => Kind::Audio,
        media::Kind::Video => Kind::Video,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_both_planes_are_the_same() {
        let table = codecs();
        assert_eq!(table.len(), media::CODECS.len());
        for (wire, own) in table.iter().zip(&media::CODECS) {
            assert_eq!(from_wire(wire.codec), own.codec);
            assert_eq!((wire.pt, wire.rtx), (own.pt, own.rtx_pt));
            assert_eq!(kind(wire.codec) == Kind::Audio, own.kind == media::Kind::Audio);
        }
        let extensions = header_extensions();
        assert!(extensions.iter().any(|e| e.id == media::MID.id && e.kinds == [Kind::Audio, Kind::Video]));
        assert!(extensions.iter().all(|e| (1..=14).contains(&e.id)));
    }
}
