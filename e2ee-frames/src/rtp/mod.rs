//! Profile N: SFrame ciphertexts in RTP packets of their own payload format, for native clients that packetize themselves.
//!
//! ```text
//!  frame ─► Session::seal_bare ─► SFrame header │ ciphertext │ tag ─► Fragments ─► descriptor │ bytes  (RTP payloads)
//!  frame ◄─ Session::open_bare ◄───────────────────────────────────── Reassembly ◄─ descriptor │ bytes
//! ```
//! No envelope and no metadata: nothing here looks like a codec, so every participant must know the format. It is
//! draft-ietf-avtcore-rtp-sframe-02 as far as this crate goes: the payload descriptor, how a ciphertext is cut, and how
//! it is found among packets. The draft's keys per SSRC are optional and not used, because the KID names the stream. RTP
//! headers, the marker bit (of the last packet only) and the negotiation (`a=sframe`) are the caller's.
//!
//! The descriptor is not authenticated. Who forges it can make a ciphertext that does not open, and can choose whether a
//! frame that did is handed on as raw or as packetized, no more.

mod descriptor;
mod fragments;
mod reassembly;

pub use descriptor::SframeDescriptor;
pub use fragments::{Fragment, Fragments};
pub use reassembly::{Ciphertext, MAX_BYTES, MAX_PACKETS, MAX_PAYLOAD_BYTES, PayloadError, Reassembly};

use crate::sframe::{TAG_BYTES, header};

/// Output bytes that suffice to seal a frame of this length without an envelope.
#[must_use]
pub fn max_sealed_bytes(frame: usize) -> usize {
    frame.saturating_add(header::MAX_BYTES + TAG_BYTES)
}
