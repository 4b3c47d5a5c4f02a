//! The control plane of tacet: WebSocket and HTTP, rooms, credentials, limits.
//!
//! ```text
//!   HTTP ──► http ──► connection (limits, hello) ──► rooms ──► room (no I/O) ──► media plane
//!                          │                                     │  ▲                 │
//!                        writer ◄──────────── outbox ◄───────────┘  └─ media_events ◄─┘
//! ```
//!
//! A binary starts [`Signaling`], which drives any [`MediaPlane`] by the commands and events of `sfu-api`. Nothing here
//! knows how packets are forwarded, and nothing here can read them or the key traffic that it forwards.

mod accept;
mod access_hash;
mod admission;
pub mod api;
pub mod api_key;
pub mod config;
mod connection;
mod guesses;
mod http;
mod http1;
#[cfg(test)]
mod limits_table;
mod lock;
mod log_limit;
pub mod media;
mod media_events;
pub mod metrics;
mod network;
pub mod outbox;
mod placement;
mod public_url;
mod random;
pub mod rate;
pub mod resume;
pub mod room;
pub mod room_token;
mod rooms;
pub mod scrape;
mod security_contact;
mod server;
mod sha256;
mod sockets;
pub mod webhooks;
mod wire_limit;
mod writer;

pub use access_hash::AccessHash;
pub use config::Config;
pub use http::{PageFile, PageSource};
pub use media::MediaPlane;
pub use media_events::MediaEvents;
pub use metrics::Metrics;
pub use public_url::{InvalidPublicUrl, PublicUrl};
pub use resume::{DailyKeys, ResumeKey, ResumeKeys};
pub use room_token::{MonthlyTokenKeys, TokenKeys};
pub use rooms::{
    CreateError, KickError, Present, RoomDescription, Rooms, TokenRefused,
    file_registry::FileRegistry,
    registry::{CallRecord, MemoryRegistry, Registry, RegistryError, RoomRecord, Unentered},
    stock::Maker,
};
pub use security_contact::{InvalidContact, SecurityContact};
pub use server::{Kept, Signaling};
