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
    /// RTP payload of a packet at most: with header, one extension and the tag of GCM, a datagram has about 1,200 bytes.
    pub const PAYLOAD_BYTES: usize = 1_164;

    /// Its rate.
    #[must_use]
    pub fn rate(self) -> Rate {
        let size = Self::PAYLOAD_BYTES;
        match self {
            Self::Singles => Rate { pps: 500, burst: 1, size },
            Self::Bursts => Rate { pps: 960, burst: 16, size },
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Singles => "single packets, 500 a second",
            Self::Bursts => "bursts of 16 packets, 960 a second",
        }
    }
}
