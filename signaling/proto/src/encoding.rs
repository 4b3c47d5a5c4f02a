//! The encodings of a publication.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Maximum number of encodings of one track.
pub const MAX_ENCODINGS: usize = 3;

/// One RTP stream of a track (RFC 8853). A single encoding has an SSRC or a RID; several have a RID each, and the server
/// learns their SSRCs from the packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Encoding {
    /// RTP stream id (RFC 8851).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rid: Option<String>,
    /// SSRC of its packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub ssrc: Option<u32>,
    /// SSRC of its retransmissions, video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rtx: Option<u32>,
    /// Lines that it is meant to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub height: Option<u16>,
    /// Its maximum bitrate in kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub kbps: Option<u32>,
}

impl Encoding {
    /// The only encoding of a track whose SSRCs the client knows.
    #[must_use]
    pub fn single(ssrc: u32, rtx: Option<u32>) -> Vec<Self> {
        vec![Self { ssrc: Some(ssrc), rtx, ..Self::default() }]
    }
}
