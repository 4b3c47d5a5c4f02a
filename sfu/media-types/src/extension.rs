//! RTP header extensions, and the id that each has for every client.

use crate::Kind;

/// One row of the header-extension table (RFC 8285).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionEntry {
    /// URI in SDP.
    pub uri: &'static str,
    /// Id on the wire.
    pub id: u8,
    /// Whether audio sections carry it.
    pub audio: bool,
    /// Whether video sections carry it.
    pub video: bool,
}

/// MID (RFC 8843).
pub const MID: ExtensionEntry =
    ExtensionEntry { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", id: 1, audio: true, video: true };
/// Client-to-mixer audio level (RFC 6464).
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
/// RID of an encoding, on its media stream (RFC 8852).
pub const RTP_STREAM_ID: ExtensionEntry =
    ExtensionEntry { uri: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", id: 5, audio: false, video: true };
/// RID of an encoding, on its RTX stream (RFC 8852).
pub const REPAIRED_RTP_STREAM_ID: ExtensionEntry =
    ExtensionEntry { uri: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", id: 6, audio: false, video: true };

/// The header-extension table.
pub const EXTENSIONS: [ExtensionEntry; 6] =
    [MID, AUDIO_LEVEL, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR, RTP_STREAM_ID, REPAIRED_RTP_STREAM_ID];

impl ExtensionEntry {
    /// The kinds of section that carry the extension.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let audio = self.audio.then_some(Kind::Audio);
        audio.into_iter().chain(self.video.then_some(Kind::Video))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids 1..=14 fit the one-byte form of RFC 8285.
    #[test]
    fn extension_ids_fit_one_byte_headers() {
        assert!(EXTENSIONS.iter().map(|entry| entry.id).eq(1..=6));
        assert!(MID.kinds().eq([Kind::Audio, Kind::Video]));
        assert!(AUDIO_LEVEL.kinds().eq([Kind::Audio]));
    }
}
