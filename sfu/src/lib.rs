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
//! crate speaks to it by commands and events and brings a signaling protocol of its own: `docs/sfu.md` says how, and
//! `examples/embed` does it.
//!
//! ```
//! use sfu::{Command, Event, ParticipantId, RoomId, Sfu, SfuConfig};
//! use std::sync::mpsc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (events, inbox) = mpsc::channel();
//! // One worker, on the loopback address. Its thread calls back, and must not be kept waiting.
//! let sfu = Sfu::start(&SfuConfig::default(), move |_worker, event| events.send(event).unwrap_or_default())?;
//! sfu.command(0, Command::AddParticipant { room: RoomId(1), participant: ParticipantId(7) })?;
//! let Event::Transport { participant, local, .. } = inbox.recv()? else { panic!("refused") };
//! // What the client has to know, by signaling; its answer becomes `Command::Connect`.
//! assert_eq!(participant, ParticipantId(7));
//! assert_eq!(local.candidates[0].port(), sfu.local_ports()[0]);
//! # Ok(())
//! # }
//! ```

mod allowance;
pub mod egress;
mod forward;
mod id_map;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod room;
pub mod transport;
pub mod worker;

pub use net::{Sfu, SfuConfig, SocketIo};
pub use room::Room;
#[doc(hidden)]
pub use rtp_wire as wire;
pub use sfu_api::{
    Command, CommandError, CommandId, Event, Mid, ParticipantId, Request, RoomId, Ssrc, TrackId, command, event, ids,
    media,
};

/// The example of the document compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sfu.md")]
mod document {}
