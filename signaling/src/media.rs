//! The interface to the media plane, and the tables that both planes must agree on.

use sfu_api::{Request, media};
use tacet_proto::{
    bytes::Fixed,
    media::{Candidate, CodecParameters, Dtls, HeaderExtension, ServerIce},
    server::ServerTransport,
};

/// The interface of an SFU that signaling uses.
pub trait MediaPlane: Send + Sync {
    /// Number of workers, at least one. A call lives on one of them.
    fn workers(&self) -> usize;

    /// Hands a command to a worker. Its answer or refusal comes as an event that repeats its id. Does not block.
    fn command(&self, worker: usize, request: Request);

    /// Datagrams that a worker received and sent in the last second. New calls go to workers with few. A plane that does
    /// not measure returns 0, and the number of participants alone decides.
    fn packet_rate(&self, _worker: usize) -> u64 {
        0
    }

    /// Whether a worker has more to send than it can. It gets no new calls as long as another one has not, and newcomers to
    /// its calls are refused.
    fn is_overloaded(&self, _worker: usize) -> bool {
        false
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

    fn is_overloaded(&self, worker: usize) -> bool {
        (**self).is_overloaded(worker)
    }
}

/// The payload-type table for `welcome`.
#[must_use]
pub fn codecs() -> Vec<CodecParameters> {
    media::CODECS.iter().map(CodecParameters::from).collect()
}

/// The header-extension table for `welcome`. What is not in it, no client sends.
#[must_use]
pub fn header_extensions(audio_levels: bool) -> Vec<HeaderExtension> {
    let offered = media::EXTENSIONS.iter().filter(|entry| audio_levels || **entry != media::AUDIO_LEVEL);
    offered.map(HeaderExtension::from).collect()
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
        let extensions = header_extensions(true);
        assert!(extensions.iter().any(|e| e.id == media::MID.id && e.kinds == [Kind::Audio, Kind::Video]));
        assert!(extensions.iter().all(|e| (1..=14).contains(&e.id)));
        let without = extensions.into_iter().filter(|e| e.id != media::AUDIO_LEVEL.id).collect::<Vec<_>>();
        assert_eq!((without.len(), header_extensions(false)), (media::EXTENSIONS.len() - 1, without));
    }
}
