//! The loads of a comparison.

use loadtest::fanout::Rate;
use serde::{Deserialize, Serialize};

/// A shape of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// 500 single packets a second.
    Singles,
    /// 960 packets a second, 16 at once: a large frame sixty times a second.
    Bursts,
}

impl Load {
    /// Maximum RTP payload in bytes. With header, one extension and the GCM tag, a datagram has about 1,200.
    pub const PAYLOAD_BYTES: usize = 1_164;

    /// Packet rate of the publisher.
    #[must_use]
    pub fn rate(self) -> Rate {
        let size = Self::PAYLOAD_BYTES;
        match self {
            Self::Singles => Rate { pps: 500, burst: 1, size },
            Self::Bursts => Rate { pps: 960, burst: 16, size },
        }
    }

    /// Description for reports.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Singles => "single packets, 500 a second",
            Self::Bursts => "bursts of 16 packets, 960 a second",
        }
    }
}
