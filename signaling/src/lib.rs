//! The control plane of tacet: WebSocket and HTTP, rooms, access, limits.
//!
//! ```text
//!   HTTP ──► http ──► connection (limits, hello) ──► rooms ──► room (no I/O) ──► media plane
//!                          │                                     │
//!                        writer ◄──────────── outbox ◄───────────┘
//! ```
//!
//! [`Signaling`] is what a binary starts. It drives any [`MediaPlane`]; nothing here knows how packets are forwarded,
//! and nothing here can read them or the key traffic that it passes on.

mod access_hash;
mod admission;
pub mod api_key;
pub mod config;
mod connection;
mod headers;
mod http;
pub mod media;
pub mod metrics;
pub mod origin;
pub mod outbox;
mod page;
mod placement;
mod random;
pub mod rate;
pub mod room;
mod rooms;
pub mod scrape;
mod server;
mod sha256;
mod writer;

pub use access_hash::AccessHash;
pub use config::Config;
pub use media::MediaPlane;
pub use metrics::Metrics;
pub use page::{PageFile, PageSource};
pub use rooms::{CreateError, Rooms};
pub use server::Signaling;
