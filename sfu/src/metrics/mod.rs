//! What a worker measures, read without stopping it.
//!
//! ```text
//!   worker thread                                other threads
//!   Counters, Gauges, Histogram ── publish() ──► Published ── read() ──► WorkerMetrics
//!   plain integers                 each turn     atomics                 exact each, together no snapshot
//! ```
//! On the packet path a count is an addition to an integer that nobody else writes: no lock, no shared cache line. Names
//! here are without prefix and suffix; whoever shows them adds both. Nothing here names a room, a participant or an
//! address.

mod counters;
mod gauges;
mod histogram;
mod published;

pub use counters::{Counter, Counters};
pub use gauges::{Gauge, Gauges};
pub use histogram::{Bounds, FIRST_MEDIA, FORWARDING, Histogram};
pub(crate) use published::Published;
pub use published::WorkerMetrics;

/// Makes an enum of quantities, each with its name; its comment is also what people are told.
macro_rules! quantities {
    (
        $(#[$attribute:meta])*
        pub enum $Quantity:ident;
        $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $Quantity {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl $Quantity {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// Their number.
            pub(super) const COUNT: usize = Self::ALL.len();

            /// Name in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is, for people.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim(),)*
                }
            }
        }
    };
}
use quantities;
