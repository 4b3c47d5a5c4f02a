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
mod published;

pub use counters::{Counter, Counters};
pub use gauges::{Gauge, Gauges};
pub use histogram::{Bounds, Histogram};
pub(crate) use published::Published;
pub use published::WorkerMetrics;

/// From the receipt of a batch of datagrams to the return of the call that has sent what was forwarded of it. Fine
/// where one core with a hundred subscribers is (a fraction of a millisecond), coarse where calls suffer.
pub const FORWARDING: Bounds = Bounds::new(&[
    10, 25, 50, 75, 100, 150, 200, 250, 375, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
    250_000,
]);

/// From a participant's arrival to the first media sent to it.
pub const FIRST_MEDIA: Bounds = histogram::PERSON_WAITS;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_bounds_ascend() {
        assert!(FORWARDING.is_ascending() && FIRST_MEDIA.is_ascending());
    }
}
