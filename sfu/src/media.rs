//! What the server forwards: payload types and header extensions, the same for every client.
//!
//! Because the client builds the server's offers, the server fixes these tables, and no packet needs its payload type
//! or extension ids translated between subscribers.

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Moving picture.
    Video,
}

/// A codec whose packets are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
        fmtp: "minptime=10;useinbandfec=1",
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
}

/// One row of the header-extension table (RFC 8285).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionEntry {
    /// URI in SDP.
    pub uri: &'static str,
    /// Id on the wire.
    pub id: u8,
    /// In audio sections.
    pub audio: bool,
    /// In video sections.
    pub video: bool,
}

/// MID (RFC 8843).
pub const MID: ExtensionEntry =
    ExtensionEntry { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", id: 1, audio: true, video: true };
/// Audio level of the client (RFC 6464).
pub const AUDIO_LEVEL: ExtensionEntry =
    ExtensionEntry { uri: "urn:ietf:params:rtp-hdrext:ssrc-audio-level", id: 2, audio: true, video: false };
/// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
pub const TRANSPORT_CC: ExtensionEntry = ExtensionEntry {
    uri: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    id: 3,
    audio: true,
    video: true,
};
/// Dependency Descriptor (AV1 RTP specification, appendix A).
pub const DEPENDENCY_DESCRIPTOR: ExtensionEntry = ExtensionEntry {
    uri: "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    id: 4,
    audio: false,
    video: true,
};

/// The header-extension table.
pub const EXTENSIONS: [ExtensionEntry; 4] = [MID, AUDIO_LEVEL, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR];
