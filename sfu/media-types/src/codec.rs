//! Codecs, and the payload type that each has for every client.
//!
//! Clients build the server's offers themselves, so the server fixes the table, and no packet needs its payload type
//! translated between subscribers.

/// Kind of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum Kind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// A codec whose packets the server forwards. It does not read their payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// AV1 RTP specification.
    Av1,
    /// RFC 6184.
    H264,
}

/// One row of the payload-type table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecEntry {
    /// The codec.
    pub codec: Codec,
    /// Its kind.
    pub kind: Kind,
    /// Payload type.
    pub pt: u8,
    /// Payload type of retransmissions (RFC 4588).
    pub rtx_pt: Option<u8>,
    /// RTP clock in Hz.
    pub clock: u32,
    /// `a=fmtp` parameters.
    pub fmtp: &'static str,
}

/// The payload-type table.
pub const CODECS: [CodecEntry; 5] = [
    CodecEntry {
        codec: Codec::Opus,
        kind: Kind::Audio,
        pt: 111,
        rtx_pt: None,
        clock: 48_000,
        fmtp: "minptime=10;useinbandfec=1;usedtx=1",
    },
    CodecEntry { codec: Codec::Vp8, kind: Kind::Video, pt: 96, rtx_pt: Some(97), clock: 90_000, fmtp: "" },
    CodecEntry { codec: Codec::Vp9, kind: Kind::Video, pt: 98, rtx_pt: Some(99), clock: 90_000, fmtp: "profile-id=0" },
    CodecEntry { codec: Codec::Av1, kind: Kind::Video, pt: 100, rtx_pt: Some(101), clock: 90_000, fmtp: "" },
    CodecEntry {
        codec: Codec::H264,
        kind: Kind::Video,
        pt: 102,
        rtx_pt: Some(103),
        clock: 90_000,
        fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    },
];

impl Codec {
    /// The codec's row of [`CODECS`].
    #[must_use]
    pub const fn entry(self) -> &'static CodecEntry {
        match self {
            Self::Opus => &CODECS[0],
            Self::Vp8 => &CODECS[1],
            Self::Vp9 => &CODECS[2],
            Self::Av1 => &CODECS[3],
            Self::H264 => &CODECS[4],
        }
    }

    /// The codec's kind of media.
    #[must_use]
    pub const fn kind(self) -> Kind {
        self.entry().kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_has_its_own_row() {
        for entry in &CODECS {
            assert_eq!(entry.codec.entry(), entry);
            assert_eq!(entry.rtx_pt.is_some(), entry.kind == Kind::Video);
        }
    }

    #[test]
    fn payload_types_are_distinct() {
        let mut types: Vec<u8> = CODECS.iter().flat_map(|entry| [Some(entry.pt), entry.rtx_pt]).flatten().collect();
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), count);
    }
}
