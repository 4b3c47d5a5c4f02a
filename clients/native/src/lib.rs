//! The native client of tacet: a participant without a browser.
//!
//! ```text
//!            RoomLink
//!               │
//!   Client ─────┼───────────────────────────  events out, sound and pictures in and out; joins again when it is lost
//!    │          ▼
//!    ├──► Call ──► Signaling ──► WebSocket    who is there, what they publish, which slot shows what
//!    │     └─────► SharedKeys ─► e2ee-frames  announces, key batches, sealing and opening of frames
//!    ├──► Endpoint (media) ────► RTP          one implementation: the `webrtc` crate
//!    ├──► video                               whole sealed frames to RTP payloads and back
//!    └──► audio, file                         Opus, jitter buffer, mixer; WAV, IVF and Y4M files
//! ```
//!
//! [`Client`](client::Client) is what an application wants; `docs/native.md` shows how to use it. Below it, a
//! [`Call`](call::Call) knows nothing of media packets and an [`Endpoint`](media::Endpoint) nothing of keys: a program may
//! join the two by itself, as the load tester does with a media path of its own.

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

/// Directive for a log filter that silences the `webrtc` stack: at debug level it prints ICE passwords, and on a full
/// queue whole packets, at error level.
pub const QUIET_LIBRARIES: &str = "webrtc=off,rtc=off,rtc_ice=off,rtc_dtls=off,rtc_srtp=off,rtc_interceptor=off,\
    rtc_sctp=off,rtc_stun=off,rtc_turn=off,rtc_mdns=off,rtc_rtp=off,rtc_rtcp=off,rtc_sdp=off,rtc_media=off,\
    rtc_datachannel=off,rtc_crypto=off,rtc_shared=off";
