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
//! * [`Link`] is a path with the packets in flight on it, for simulations.
//! * [`Relay`] puts paths between real UDP sockets, a pair for each client.

#![deny(unsafe_code)]

mod counts;
mod impairment;
mod link;
mod loss;
mod path;
mod quantity;
mod random;
#[cfg(feature = "relay")]
mod relay;
mod spec;
mod under_way;

pub use counts::Counts;
pub use impairment::{Bottleneck, Impairment, Outage, PRESETS};
pub use link::Link;
pub use loss::{Loss, LossError};
pub use path::{Fate, Path};
pub use quantity::{Bitrate, QuantityError, Share};
pub use random::Random;
#[cfg(feature = "relay")]
pub use relay::{Relay, RelayConfig, RelayError, RelayStats};
pub use spec::SpecError;
