//! The interface of the SFU: commands to a worker, and events from it.
//!
//! ```text
//!   embedder ── Request { id, command } ──► worker
//!            ◄── Event ─────────────────────        an answer or refusal repeats the id
//! ```
//!
//! Nothing here holds a reference, a socket or a handle, and everything is serialisable, so the media plane can run in
//! the same process or behind a message bus. A control plane builds against this crate alone.

pub mod command;
pub mod downlink;
mod error;
pub mod event;
pub mod ids;
pub mod publication;
pub mod slot;
pub mod transport;

pub use command::{Command, Request};
pub use downlink::{DownlinkCause, DownlinkState};
pub use error::CommandError;
pub use event::Event;
pub use ids::{CommandId, Mid, ParticipantId, Rid, RoomId, Ssrc, TrackId};
pub use media_types as media;
pub use publication::{EncodingParams, MAX_ENCODINGS, Publication};
pub use slot::{LayerReason, SPEAKERS, SlotSource, Wish};
pub use transport::{LocalTransport, RemoteTransport, TransportState};
