//! The media plane of tacet: a selective forwarding unit that routes SRTP packets by their headers alone.
//!
//! ```text
//!   sockets ──► net ──► worker ──► transport ──► room ────────────► transport ──► net ──► sockets
//!               I/O     demux      ICE, DTLS,    publisher:         SRTP seal
//!                                  SRTP open     receive, store
//!                                                subscriber:
//!                                                rewrite, repair
//! ```
//!
//! [`Sfu`] runs one worker per core on sockets. A worker is a state machine without I/O: it takes the time, datagrams and
//! [`Command`]s, and returns datagrams and [`Event`]s. Workers share nothing. Embedders bring their own signaling protocol;
//! `docs/sfu.md` is the guide, and `examples/embed` an example.
//!
//! The modules of the worker (`egress`, `room`, `transport`, `worker`) are public only with the feature
//! `unstable-testing`, for tests, fuzz targets and benchmarks. They can change in any release.
//!
//! ```
//! use sfu::{Command, Event, ParticipantId, RoomId, Sfu, SfuConfig};
//! use std::sync::mpsc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (events, inbox) = mpsc::channel();
//! // One worker, on the loopback address. The callback runs on its thread and must not block.
//! let sfu = Sfu::start(&SfuConfig::default(), move |_worker, event| events.send(event).unwrap_or_default())?;
//! sfu.command(0, Command::AddParticipant { room: RoomId(1), participant: ParticipantId(7) })?;
//! let Event::Transport { participant, local, .. } = inbox.recv()? else { panic!("refused") };
//! // Signaling sends this to the client, and the answer becomes `Command::Connect`.
//! assert_eq!(participant, ParticipantId(7));
//! assert_eq!(local.candidates[0].port(), sfu.local_ports()[0]);
//! # Ok(())
//! # }
//! ```

mod allowance;
#[cfg(feature = "unstable-testing")]
pub mod congestion;
#[cfg(not(feature = "unstable-testing"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "public for tests")]
mod congestion;
#[cfg(feature = "unstable-testing")]
pub mod egress;
#[cfg(not(feature = "unstable-testing"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "public for tests")]
mod egress;
mod id_map;
mod keys;
pub mod limits;
pub mod metrics;
pub mod net;
mod publisher;
#[cfg(feature = "unstable-testing")]
pub mod room;
#[cfg(not(feature = "unstable-testing"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "public for tests")]
mod room;
mod speakers;
mod subscriber;
#[cfg(feature = "unstable-testing")]
pub mod transport;
#[cfg(not(feature = "unstable-testing"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "public for tests")]
mod transport;
pub mod units;
#[cfg(feature = "unstable-testing")]
pub mod worker;
#[cfg(not(feature = "unstable-testing"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "public for tests")]
mod worker;

pub use net::{Sfu, SfuConfig, SocketIo, StartError};
#[cfg(feature = "unstable-testing")]
pub use room::Room;
use rtp_wire as wire;
pub use sfu_api::{
    Command, CommandError, CommandId, Event, Mid, ParticipantId, Request, Rid, RoomId, SPEAKERS, SlotSource, Ssrc,
    TrackId, command, event, ids, media,
};

/// Compiles the example in the guide.
#[cfg(doctest)]
#[doc = include_str!("../../docs/sfu.md")]
mod document {}
