//! Media parameters: what other protocols write as SDP.

use crate::{
    bytes::Fixed,
    ids::{ParticipantId, TrackId},
};
pub use media_types::{Codec, Kind};
use media_types::{CodecEntry, ExtensionEntry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Where a track comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A microphone.
    Microphone,
    /// A camera.
    Camera,
    /// A shared screen.
    Screen,
    /// Audio of a shared screen.
    ScreenAudio,
}

/// One entry of the payload-type table, the same for every client of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct CodecParameters {
    /// The codec.
    pub codec: Codec,
    /// RTP payload type.
    pub pt: u8,
    /// Payload type of its retransmissions (RFC 4588), video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rtx: Option<u8>,
    /// RTP clock in Hz.
    pub clock: u32,
    /// `a=fmtp` parameters, empty where there are none.
    pub fmtp: String,
}

impl From<&CodecEntry> for CodecParameters {
    fn from(entry: &CodecEntry) -> Self {
        let CodecEntry { codec, kind: _, pt, rtx_pt, clock, fmtp } = *entry;
        Self { codec, pt, rtx: rtx_pt, clock, fmtp: fmtp.to_owned() }
    }
}

/// One entry of the header-extension table (RFC 8285), the same for every client of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct HeaderExtension {
    /// The extension's URI.
    pub uri: String,
    /// Its id on the wire, 1..=14.
    pub id: u8,
    /// Kinds of section that carry it.
    pub kinds: Vec<Kind>,
}

impl From<&ExtensionEntry> for HeaderExtension {
    fn from(entry: &ExtensionEntry) -> Self {
        Self { uri: entry.uri.to_owned(), id: entry.id, kinds: entry.kinds().collect() }
    }
}

/// ICE parameters of the server (RFC 8445, lite).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ServerIce {
    /// Username fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
    /// Host candidates.
    pub candidates: Vec<Candidate>,
}

/// A UDP host candidate of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// IP address, textual.
    pub ip: String,
    /// UDP port.
    pub port: u16,
}

/// ICE parameters of a client. Its candidates are not signaled: the server learns its address from connectivity checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ClientIce {
    /// Username fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: String,
}

/// DTLS parameters (RFC 5763). The client is always the DTLS client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Dtls {
    /// SHA-256 of the certificate's DER form.
    #[ts(type = "string")]
    pub fingerprint: Fixed<32>,
}

/// A published track as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// Its id.
    pub track: TrackId,
    /// Its publisher.
    pub participant: ParticipantId,
    /// Kind of media.
    pub kind: Kind,
    /// Where the media come from.
    pub source: Source,
    /// Its codec.
    pub codec: Codec,
    /// Whether its publisher has muted it. The server can neither mute nor unmute it.
    pub muted: bool,
    /// Whether it should send and no packet of it has arrived for some seconds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub stalled: bool,
}

/// A receiving m-line of a client. Its MID and SSRCs stay the same while the connection lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Media identification (RFC 8843), chosen by the server.
    pub mid: String,
    /// Kind of media.
    pub kind: Kind,
    /// Codec of the slot's class.
    pub codec: Codec,
    /// SSRC of every packet in the slot.
    pub ssrc: u32,
    /// SSRC of its retransmissions, video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rtx: Option<u32>,
}

/// New contents of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct SlotSource {
    /// The slot.
    pub mid: String,
    /// What is in it, or `null` if it is empty.
    pub source: Option<SlotContent>,
}

/// What a slot carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(untagged)]
pub enum SlotContent {
    /// A track.
    Track(SlotTrack),
    /// A position among the loudest speakers of a room that has too many to send all.
    Speaker(SlotSpeaker),
}

impl SlotContent {
    /// The track, if the slot carries one alone.
    #[must_use]
    pub const fn track(self) -> Option<SlotTrack> {
        match self {
            Self::Track(track) => Some(track),
            Self::Speaker(_) => None,
        }
    }
}

/// A track in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct SlotTrack {
    /// The track.
    pub track: TrackId,
    /// Its publisher: the msid under which the client pairs audio and video.
    pub participant: ParticipantId,
}

/// A position among the speakers. Who speaks there changes from packet to packet; the KID of each frame says who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct SlotSpeaker {
    /// Number of the position, from 0.
    pub speaker: u8,
}
