//! The media plane of tacet: a selective forwarding unit that routes SRTP packets by their headers alone.
//!
//! ```text
//!   sockets ──► net ──► worker ──► transport ──► room ──► forward ──► room ──► transport ──► net ──► sockets
//!               I/O     demux      ICE, DTLS,    who      rewrite              SRTP seal
//!                                  SRTP open     gets it
//! ```
//!
//! [`Worker`](worker::Worker) is a state machine without I/O: it is told the time, datagrams and [`Command`]s, and gives
//! datagrams and [`Event`]s. [`net`] runs one worker per core on sockets; workers share nothing. Whoever embeds this
//! crate speaks to it by commands and events and brings a signaling protocol of its own.

mod allowance;
pub mod command;
pub mod egress;
pub mod event;
mod forward;
pub mod ids;
pub mod limits;
pub mod media;
pub mod metrics;
pub mod net;
pub mod room;
pub mod transport;
pub mod wire;
pub mod worker;

pub use command::{Command, CommandError};
pub use event::Event;
pub use ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId};
pub use net::{Sfu, SfuConfig};
pub use room::Room;
