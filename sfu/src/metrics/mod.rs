//! Metrics of a worker, which other threads read without interrupting it.
//!
//! ```text
//!   worker thread                                other threads
//!   Counters, Gauges, Histogram ── publish() ──► Published ── read() ──► WorkerMetrics
//!   plain integers                 each step     atomics                 exact values, not a snapshot
//! ```
//! On the packet path, counting adds to an integer that only this thread writes: no lock, no shared cache line. Exporters
//! add prefixes and suffixes to the names. No metric contains a room, a participant or an address.

mod counters;
mod gauges;
mod published;

pub use counters::{Counter, Counters};
pub use gauges::{Gauge, Gauges};
pub use histogram::{Bounds, Histogram};
pub use published::WorkerMetrics;
pub(crate) use published::{Histograms, Published};

/// Buckets of the forwarding delay: from the receipt of a batch of datagrams to the return of the call that sent the
/// packets forwarded from it. Fine around the usual fraction of a millisecond, coarse where calls suffer.
pub const FORWARDING: Bounds = Bounds::new(&[
    10, 25, 50, 75, 100, 150, 200, 250, 375, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000,
    250_000,
]);

/// Buckets of the forwarding delay of audio: fine up to the length of a packet, beyond which it is heard.
pub const AUDIO_FORWARDING: Bounds = Bounds::new(&[
    50, 100, 200, 300, 500, 750, 1_000, 1_500, 2_500, 4_000, 6_000, 8_000, 10_000, 12_500, 15_000, 17_500, 20_000,
    30_000, 50_000, 100_000,
]);

/// Buckets of the time from a participant's arrival to the first media sent to it.
pub const FIRST_MEDIA: Bounds = histogram::PERSON_WAITS;

/// Buckets of the bitrate that a downlink is estimated to carry, in bit/s; the unit is Mbit/s.
pub const DOWNLINK_ESTIMATE: Bounds = Bounds::new(&[
    50_000, 100_000, 150_000, 250_000, 400_000, 600_000, 800_000, 1_000_000, 1_500_000, 2_000_000, 3_000_000,
    4_000_000, 6_000_000, 10_000_000, 20_000_000, 50_000_000,
]);

/// Buckets of the time that packets wait in the queues of a downlink.
pub const DOWNLINK_QUEUE: Bounds = Bounds::new(&[
    5_000, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 500_000, 1_000_000,
    2_000_000,
]);

/// Declares an enum of quantities with their names. The doc comments are also the help texts.
macro_rules! quantities {
    (
        $(#[$attribute:meta])*
        pub enum $Quantity:ident;
        $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Quantity {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl $Quantity {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// Their number.
            pub(super) const COUNT: usize = Self::ALL.len();

            /// Name without prefix and suffix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Help text.
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
        for bounds in [FORWARDING, FIRST_MEDIA, DOWNLINK_ESTIMATE, DOWNLINK_QUEUE] {
            assert!(bounds.is_ascending());
        }
    }
}
