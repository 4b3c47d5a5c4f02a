//! The native client of tacet: a participant without a browser.
//!
//! ```text
//!            RoomLink
//!               │
//!   Client ─────┼───────────────────────────  events, audio and video; reconnects when the connection is lost
//!    │          ▼
//!    ├──► Call ──► Signaling ──► WebSocket    participants, their tracks, slots and what they show
//!    │     └─────► SharedKeys ─► e2ee-frames  announces, key batches, sealing and opening frames
//!    ├──► Endpoint (media) ────► RTP          implemented on the `webrtc` crate
//!    ├──► video                               whole sealed frames to RTP payloads and back
//!    └──► audio, file                         Opus, jitter buffer, mixer; WAV, IVF and Y4M files
//! ```
//!
//! An application uses [`Client`](client::Client); `docs/native.md` shows how. Below it, a [`Call`](call::Call) knows
//! nothing of media packets and an [`Endpoint`](media::Endpoint) nothing of keys: a program may combine the two
//! itself, as the load tester does with its own media path.

#[cfg(feature = "media")]
pub mod audio;
pub mod call;
#[cfg(feature = "media")]
pub mod client;
#[cfg(feature = "device-audio")]
pub mod device;
pub mod file;
pub mod http;
pub mod keys;
pub mod link;
pub mod media;
pub mod outbox;
pub mod rooms;
pub mod sdp;
pub mod signaling;
pub mod tls;
#[cfg(feature = "media")]
pub mod tone;
pub mod video;
#[cfg(feature = "media")]
pub mod webrtc;

/// Log filter directives that silence the `webrtc` stack: at debug level it logs ICE passwords, and at error level,
/// when a queue is full, whole packets.
pub const QUIET_LIBRARIES: &str = "webrtc=off,rtc=off,rtc_ice=off,rtc_dtls=off,rtc_srtp=off,rtc_interceptor=off,\
    rtc_sctp=off,rtc_stun=off,rtc_turn=off,rtc_mdns=off,rtc_rtp=off,rtc_rtcp=off,rtc_sdp=off,rtc_media=off,\
    rtc_datachannel=off,rtc_crypto=off,rtc_shared=off";
