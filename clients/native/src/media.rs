//! The media path of one client, as a seam: connect, RTP out and in, key frame requests, close.
//!
//! The rest of the client knows this trait alone, so that an engine can be exchanged: the one here is the `webrtc`
//! crate ([`crate::webrtc`]), the load tester's light endpoint needs no trait and none of its cost.

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
    /// Its section.
    pub mid: String,
    /// Its codec.
    pub codec: Codec,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions, video only.
    pub rtx: Option<u32>,
}

/// A packet to send. SSRC, payload type and MID are the stream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingPacket {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Last packet of a frame.
    pub marker: bool,
    /// How loud the sound in it is, in -dBov from 0 to 127 (RFC 6464): the server reads it to find who speaks. `None`
    /// tells the server nothing.
    pub level: Option<u8>,
    /// What stands behind the header.
    pub payload: Bytes,
}

/// A received packet, retransmissions already put back into their stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingPacket {
    /// SSRC, which names the slot.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Last packet of a frame.
    pub marker: bool,
    /// What stands behind the header.
    pub payload: Bytes,
    /// When the packet came out of the engine.
    pub arrived: Instant,
}

/// What a media path tells.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// SRTP keys are in use.
    Connected,
    /// No answer for a while; may come back.
    Disconnected,
    /// It will not come back: make a new one.
    Failed,
    /// A packet.
    Packet(IncomingPacket),
    /// A receiver of this stream needs a key frame.
    KeyFrameWanted {
        /// Section of the stream.
        mid: String,
    },
    /// The server's report on a stream of ours, about once a second (RFC 3550 section 6.4.1).
    Loss {
        /// SSRC of the stream.
        ssrc: u32,
        /// Share of its packets that were lost on the way to the server since the last report, from 0 to 1.
        fraction: f32,
    },
}

/// Why a media path cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The engine refuses.
    #[error("media engine: {0}")]
    Engine(String),
    /// No local address leads to the server.
    #[error("no way to the server's media port: {0}")]
    NoRoute(#[source] std::io::Error),
    /// The server named no media address that can be read.
    #[error("the server named no media address")]
    NoCandidate,
    /// There is no such stream.
    #[error("no stream in section {0}")]
    NoStream(String),
    /// The path is closed.
    #[error("the media path is closed")]
    Closed,
}

/// Makes media paths.
pub trait Engine: Send + Sync + 'static {
    /// A path.
    type Path: Endpoint + 'static;

    /// Builds a path to the server with streams to send, at least one, and starts it: it connects once the server knows
    /// [`Endpoint::local`].
    fn start(
        &self,
        welcome: &Welcome,
        remote: ServerTransport,
        streams: &[SendStream],
    ) -> impl Future<Output = Result<Self::Path, MediaError>> + Send;
}

/// One client's media path. Dropping it ends it; [`Endpoint::close`] waits until all that it holds is free.
pub trait Endpoint: Send {
    /// What the server must be told in `transport`.
    fn local(&self) -> &ClientTransport;

    /// Appends a stream to send.
    fn add_stream(&mut self, stream: &SendStream) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Appends receiving sections; all earlier ones stay as they are. Once it returns, media may arrive in them.
    fn add_slots(&mut self, slots: &[Slot]) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Sends a packet of a stream.
    fn send(&mut self, mid: &str, packet: OutgoingPacket) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// Asks the sender of a received stream for a key frame.
    fn want_key_frame(&mut self, ssrc: u32) -> impl Future<Output = Result<(), MediaError>> + Send;

    /// The next event; `None` when the path is closed.
    fn next(&mut self) -> impl Future<Output = Option<MediaEvent>> + Send;

    /// Ends the path and frees all that it holds.
    fn close(self) -> impl Future<Output = ()> + Send;
}
