//! How a publisher sends a track: one or several encodings of the same source.
//!
//! ```
//! use sfu_api::{EncodingParams, Mid, Publication, Rid, media::Codec};
//!
//! /// A camera in three sizes (simulcast), whose SSRCs the SFU learns from the first packets.
//! fn simulcast(mid: Mid) -> Option<Publication> {
//!     let sizes = [("q", 180, 150), ("h", 360, 500), ("f", 720, 1_700)];
//!     let encodings = sizes.into_iter().map(|(rid, height, kbps)| {
//!         let (height, max_kbps) = (Some(height), Some(kbps));
//!         Some(EncodingParams { height, max_kbps, ..EncodingParams::named(Rid::new(rid)?) })
//!     });
//!     Some(Publication { codec: Codec::Vp8, mid, encodings: encodings.collect::<Option<_>>()?, screen: false })
//! }
//! # assert_eq!(simulcast(Mid::new("s1").unwrap()).unwrap().encodings.len(), 3);
//! ```

use crate::{
    ids::{Mid, Rid, Ssrc},
    media::Codec,
};
use serde::{Deserialize, Serialize};

/// Maximum encodings of a track.
pub const MAX_ENCODINGS: usize = 3;

/// How a publisher sends a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Codec of all encodings.
    pub codec: Codec,
    /// MID of the sending m-line.
    pub mid: Mid,
    /// 1 to [`MAX_ENCODINGS`] encodings, lowest quality first. Several have a RID each, all different.
    pub encodings: Vec<EncodingParams>,
    /// Whether it is a shared screen. Receivers need all of its lines more than all of its frames.
    pub screen: bool,
}

impl Publication {
    /// A track in one encoding with known SSRCs.
    #[must_use]
    pub fn single(codec: Codec, mid: Mid, ssrc: Ssrc, rtx: Option<Ssrc>) -> Self {
        let encodings = vec![EncodingParams { ssrc: Some(ssrc), rtx, ..EncodingParams::default() }];
        Self { codec, mid, encodings, screen: false }
    }
}

/// One RTP stream of a track, and its RTX stream. What is not known in advance is learned from the first packets, by the
/// MID and RID that they carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodingParams {
    /// Name of the encoding; required if the track has several.
    pub rid: Option<Rid>,
    /// SSRC of its packets.
    pub ssrc: Option<Ssrc>,
    /// SSRC of its retransmissions.
    pub rtx: Option<Ssrc>,
    /// Height in lines that the publisher means to send: what layer selection uses until a Dependency Descriptor tells.
    pub height: Option<u16>,
    /// Bitrate in kbit/s that the publisher means to send at most, likewise until it is measured.
    pub max_kbps: Option<u32>,
}

impl EncodingParams {
    /// An encoding of which only the RID is known.
    #[must_use]
    pub fn named(rid: Rid) -> Self {
        Self { rid: Some(rid), ..Self::default() }
    }
}
