//! Accepted TCP connections: how many there may be, how long each may wait, and which one goes when there are too many.
//!
//! ```text
//!   accept ──► Sockets::admit ──► Place, inside WatchedStream ──► TLS ──► HTTP/1.1 ──► WebSocket
//!                   ▲                        ▲                            │ Ticket: what it is doing
//!                   └── expire, every 500 ms └── revoked: reads and writes fail, and whatever uses it ends
//! ```
//!
//! A connection is counted from the moment that it is accepted, before TLS. It *waits* until it is a member of a room, and
//! a connection that waits may be closed to make space for a new one. So strangers can fill the server only with
//! connections that end as soon as others come.

pub(crate) mod places;
mod stream;

pub(crate) use places::{Place, SocketSettings, Sockets, Ticket, TooMany};
pub(crate) use stream::WatchedStream;
