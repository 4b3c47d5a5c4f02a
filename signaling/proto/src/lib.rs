//! Wire messages of `tacet.v1`, the protocol between a client and the signaling server.
//!
//! * Text frames carry one JSON object, tagged by `t` ([`ClientMessage`], [`ServerMessage`]). A request may
//!   carry an `id`, which the answer repeats as `re`; every server message carries a running number `seq`.
//! * Binary frames carry key traffic ([`binary`]): `type1 || n4 || body`.
//!
//! There is no SDP on the wire: both ends build their own from the parameters here, because one description with 25
//! subscriptions has 86 kB, and a message at most [`limits::MAX_MESSAGE_BYTES`].
//!
//! Types for TypeScript (`clients/web/src/protocol/generated.ts`), JSON Schema and `docs/protocol.md` are generated from this crate;
//! tests fail when one of these is stale.

pub mod binary;
pub mod bytes;
pub mod client;
pub mod encoding;
pub mod envelope;
pub mod error;
pub mod ids;
pub mod layers;
pub mod limits;
pub mod media;
pub mod message_type;
pub mod ping;
pub mod resume;
pub mod role;
pub mod server;

pub use client::ClientMessage;
pub use envelope::{ClientEnvelope, ParseError, ServerEnvelope};
pub use error::{CloseCode, ErrorCode};
pub use ids::{CallId, ParticipantId, RoomId, Seat, SessionId, TrackId};
pub use message_type::MessageType;
pub use role::{Capabilities, Capability, Role};
pub use server::ServerMessage;

/// WebSocket subprotocol, offered by the client and echoed by the server.
pub const SUBPROTOCOL: &str = "tacet.v1.json";

/// Protocol name given in [`server::Challenge`].
pub const PROTOCOL: &str = "tacet.v1";
