//! Bad networks on purpose: what a path does to packets, by a seed.
//!
//! ```text
//!                     down?    queue full?    lost?      held back?     twice?
//!   send(now, bytes) ──┬───► bottleneck ──┬───► ──┬──► delay + jitter ──┬───► arrives
//!                      ▼        (rate)    ▼       ▼                     └───► arrives again
//!                    down              dropped   lost
//! ```
//! * [`Impairment`] describes a path: by builder methods, by name ([`Impairment::preset`]) or as text
//!   (`"4g,loss=5%,burst=3"`).
//! * [`Path`] decides the fate of each packet of one direction. It holds no packets, does no I/O and reads no clock:
//!   time is an argument, and the same seed and the same packets give the same fates, on every machine and in every
//!   version of this crate's dependencies.
//! * [`Queue`] is the bottleneck of a path, or of several that share it; its rate may follow a [`RateSchedule`].
//! * [`Link`] is a path with the packets in flight on it, for simulations, and [`Network`] are paths of several flows
//!   through common bottlenecks.
//! * [`Relay`] puts paths between real UDP sockets, a pair for each client.

#![deny(unsafe_code)]

mod bottleneck;
mod codel;
mod counts;
mod impairment;
mod jitter;
mod link;
mod loss;
mod network;
mod path;
mod quantity;
mod random;
#[cfg(feature = "relay")]
mod relay;
mod schedule;
mod spec;
mod under_way;

pub use bottleneck::{Bottleneck, Passage, Queue, QueueLimit, Rate};
pub use counts::Counts;
pub use impairment::{Impairment, Outage, PRESETS};
pub use jitter::Jitter;
pub use link::Link;
pub use loss::{Loss, LossError};
pub use network::{Arrival, BottleneckId, FlowId, Network};
pub use path::{Fate, Path};
pub use quantity::{Bitrate, QuantityError, Share};
pub use random::Random;
#[cfg(feature = "relay")]
pub use relay::{Relay, RelayConfig, RelayError, RelayStats};
pub use schedule::{RateSchedule, RateStep, ScheduleError};
pub use spec::SpecError;
