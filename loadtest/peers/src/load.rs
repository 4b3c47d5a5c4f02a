//! The loads of a comparison.

use loadtest::fanout::{Camera, Rate, Voices};
use serde::{Deserialize, Serialize};

/// What publishers send: packets of one rate, the voices that have it together, or a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    pub(crate) rate: Rate,
    pub(crate) voices: Option<Voices>,
    pub(crate) camera: Option<Camera>,
}

impl From<Rate> for Traffic {
    fn from(rate: Rate) -> Self {
        Self { rate, voices: None, camera: None }
    }
}

/// A shape of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// 500 single packets a second.
    Singles,
    /// 960 packets a second, 16 at once: a large frame sixty times a second.
    Bursts,
    /// 300 packets a second of the size of audio: six who talk at once.
    Voices,
    /// A camera in three encodings, to receivers of which a third each shows it with 180, 360 and 720 lines.
    Layers,
}

impl Load {
    /// Maximum RTP payload in bytes. With header, one extension and the GCM tag, a datagram has about 1,200.
    pub const PAYLOAD_BYTES: usize = 1_164;
    /// Bytes of an Opus frame, and of the RTP payload that it is sealed to.
    const VOICE_BYTES: usize = 80;
    const VOICE_PAYLOAD_BYTES: usize = 100;
    /// As a browser sends 720 lines.
    const CAMERA: Camera = Camera { kbps: 1_700, frames_per_second: 30 };

    /// What the publishers send.
    #[must_use]
    pub fn traffic(self) -> Traffic {
        Traffic { rate: self.rate(), voices: self.voices(), camera: (self == Self::Layers).then_some(Self::CAMERA) }
    }

    /// Packet rate of all publishers; of the camera, about that of its largest encoding.
    #[must_use]
    pub fn rate(self) -> Rate {
        let size = Self::PAYLOAD_BYTES;
        match self {
            Self::Singles => Rate { pps: 500, burst: 1, size },
            Self::Bursts => Rate { pps: 960, burst: 16, size },
            Self::Voices => Rate { pps: 300, burst: 1, size: Self::VOICE_PAYLOAD_BYTES },
            Self::Layers => Rate { pps: 200, burst: 1, size },
        }
    }

    /// The microphones whose packets the load has, if it is audio: as many talk at once as a receiver hears, and more are open
    /// than all of which a server would forward.
    fn voices(self) -> Option<Voices> {
        let voices = Voices { microphones: 12, talkers: 6, bytes: Self::VOICE_BYTES };
        (self == Self::Voices).then_some(voices)
    }

    /// Description for reports.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Singles => "single packets, 500 a second",
            Self::Bursts => "bursts of 16 packets, 960 a second",
            Self::Voices => "six voices, 300 packets of audio a second",
            Self::Layers => "a camera in three encodings, receivers of three sizes",
        }
    }
}
