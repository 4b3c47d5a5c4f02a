//! Profile N: SFrame ciphertexts in a separate RTP payload format, for native clients with their own packetizer.
//!
//! ```text
//!  frame ─► Session::seal_bare ─► SFrame header │ ciphertext │ tag ─► Fragments ─► descriptor │ bytes  (RTP payloads)
//!  frame ◄─ Session::open_bare ◄───────────────────────────────────── Reassembly ◄─ descriptor │ bytes
//! ```
//! There is no envelope and no metadata, so every participant must support the format. It implements
//! draft-ietf-avtcore-rtp-sframe-02: the payload descriptor, fragmentation and reassembly. The draft's optional keys per
//! SSRC are not used, because the KID names the stream. RTP headers, the marker bit (set on the last packet only) and the
//! negotiation (`a=sframe`) are up to the caller.
//!
//! The descriptor is not authenticated. Forging it can only produce a ciphertext that does not open, or change whether an
//! opened frame is passed on as raw or as packetized.

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
