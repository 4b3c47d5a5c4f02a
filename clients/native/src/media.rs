//! The interface of a media path: connect, send and receive RTP, request key frames, close.
//!
//! The client only uses these traits, so the engine can be replaced. The one here uses the `webrtc` crate
//! ([`crate::webrtc`]).

use crate::sdp::parameters::ParameterError;
use bytes::Bytes;
use std::{future::Future, time::Instant};
use tacet_proto::{
    client::ClientTransport,
    media::{Codec, Slot},
    server::{ServerTransport, Welcome},
};

/// A stream that this client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendStream {
    /// MID of its m-section.
    pub mid: String,
    /// Codec of the frames.
    pub codec: Codec,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions; video only.
    pub rtx: Option<u32>,
}

/// A packet to send. SSRC, payload type and MID are those of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingPacket {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit: last packet of a frame.
    pub marker: bool,
    /// Audio level in −dBov, from 0 to 127 (RFC 6464), which the server uses to detect active speakers; `None` omits
    /// the header extension.
    pub level: Option<u8>,
    /// RTP payload.
    pub payload: Bytes,
}

/// A received packet. Retransmissions are already restored to their stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingPacket {
    /// SSRC, which identifies the slot.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit: last packet of a frame.
    pub marker: bool,
    /// RTP payload.
    pub payload: Bytes,
    /// When the engine delivered the packet.
    pub arrived: Instant,
}

/// An event of a media path.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// DTLS is complete and SRTP keys are in use.
    Connected,
    /// The peer does not answer; the path may recover by itself, or by an ICE restart.
    Disconnected,
    /// The path has failed and will not recover.
    Failed,
    /// A packet was received.
    Packet(IncomingPacket),
    /// A receiver of this stream needs a key frame (PLI or FIR).
    KeyFrameRequested {
        /// MID of the stream.
        mid: String,
    },
    /// A receiver report for one of our streams, about once a second (RFC 3550 section 6.4.1).
    ReceiverReport {
        /// SSRC of the stream.
        ssrc: u32,
        /// Fraction of packets lost since the last report, from 0 to 1: on the way to the server, and of an audio stream
        /// to its listeners, too.
        fraction_lost: f32,
        /// Packets lost on the way to the server since the beginning: 24 bits, signed.
        total_lost: u32,
        /// Extended highest sequence number that the server has received.
        highest_sequence: u32,
    },
}

/// Why a media path failed.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The engine returned an error.
    #[error("media engine: {0}")]
    Engine(String),
    /// There is no route to the server.
    #[error("no route to the server's media address: {0}")]
    NoRoute(#[source] std::io::Error),
    /// The server sent something that does not belong into a call; it would do so again.
    #[error(transparent)]
    Server(#[from] ParameterError),
    /// The server sent no candidate.
    #[error("the server sent no usable media address")]
    NoCandidate,
    /// There is no such stream.
    #[error("no stream has the MID {0}")]
    NoStream(String),
    /// The path is closed.
    #[error("the media path is closed")]
    Closed,
}

/// Makes media paths.
pub trait Engine: Send + Sync + 'static {
    /// The media path that this engine makes.
    type Path: Endpoint + 'static;

    /// Starts a path to the server with at least one stream. It connects once the server has received
    /// [`Endpoint::local`].
    fn start(
        &self,
        welcome: &Welcome,
        remote: ServerTransport,
        streams: &[SendStream],
    ) -> impl Future<Output = Result<Self::Path, MediaError>> + Send;
}

/// A media path. Dropping it closes it; [`Endpoint::close`] waits until its resources are released.
pub trait Endpoint: Send {
    /// The transport parameters for the server.
    fn local(&self) -> &ClientTransport;

    /// Restarts ICE with new credentials of the server (RFC 8445 section 2.4), on the same DTLS association and SRTP keys.
    /// [`Endpoint::local`] then has new credentials for the server.
    fn restart_ice(&mut self, remote: ServerTransport) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Adds a stream.
    fn add_stream(&mut self, stream: &SendStream) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Adds receiving sections; earlier ones do not change. Media may arrive in them when this returns.
    fn add_slots(&mut self, slots: &[Slot]) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Sends a packet of a stream.
    fn send(&mut self, mid: &str, packet: OutgoingPacket) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Requests a key frame from the sender of a received stream.
    fn request_key_frame(&mut self, ssrc: u32) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// The next event; `None` when the path is closed.
    fn next(&mut self) -> impl Future<Output = Option<MediaEvent>> + Send;

    /// Closes the path and releases its resources.
    fn close(self) -> impl Future<Output = ()> + Send;
}
