//! The vocabulary that the protocol, the control plane, the media plane and the clients share: identifiers, codecs, the
//! tables of payload types and header extensions, and the layouts by which the server routes keys.
//!
//! This is a leaf crate. It has no dependencies unless `serde` or `ts` asks for them, and is `no_std` without `ts`.

#![cfg_attr(not(any(feature = "ts", test)), no_std)]

pub mod chat;
mod codec;
mod extension;
mod ids;
pub mod key_exchange;
pub mod kid;
mod mid;
mod rid;
mod short_text;

pub use codec::{CODECS, Codec, CodecEntry, Kind};
pub use extension::{
    AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, EXTENSIONS, ExtensionEntry, MID, REPAIRED_RTP_STREAM_ID, RTP_STREAM_ID,
    TRANSPORT_CC,
};
pub use ids::{ParticipantId, Seat, Ssrc, TrackId};
pub use mid::Mid;
pub use rid::Rid;
