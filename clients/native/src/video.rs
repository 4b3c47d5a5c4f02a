//! Video: whole sealed frames to RTP payloads and back.
//!
//! ```text
//!  encoder ─► [seal] ─► Packetizer ─► RTP payloads ─► … ─► RTP payloads ─► Assembler ─► [open] ─► decoder
//! ```
//! The application encodes and decodes. A sealed frame is ciphertext inside the constant envelope of its codec (see
//! [`e2ee_frames::codec`]); packetizing uses the envelope and sizes, never the contents. Frames are returned as soon
//! as they are complete, in any order: each is opened independently, and ordering is left to the decoder.
//!
//! | codec | payload format | how a key frame is recognised without decryption |
//! |---|---|---|
//! | VP8 | RFC 7741 | S = 1, PID 0, bit P of the envelope 0 |
//! | VP9 | RFC 9628, not flexible | P = 0, B = 1 |
//! | AV1 | AV1 RTP specification 1.0 | N = 1 |
//! | H.264 | RFC 6184, packetization mode 1 | a parameter set |

mod access_unit;
mod assembler;
mod av1;
mod h264;
mod opus;
mod packetizer;
mod payload_format;
mod vp8;
mod vp9;

pub use self::{
    access_unit::{dimensions, kind_of_access_unit},
    assembler::{AssembledFrame, Assembler},
    packetizer::{Packetizer, PacketizerError, Payload},
    vp8::{
        DESCRIPTOR_BYTES as VP8_DESCRIPTOR_BYTES, descriptor as vp8_descriptor, payloads as vp8_payloads,
        split as split_vp8,
    },
    vp9::{frame_part as split_vp9, payloads as vp9_payloads},
};

/// Maximum RTP payload of a packet, in bytes, so that headers, extensions, SRTP tag and UDP fit any path.
pub const MAX_PAYLOAD_BYTES: usize = 1_100;

use payload_format::PayloadFormat;

/// The payload format of a codec.
const fn payload_format_of(codec: e2ee_frames::Codec) -> &'static dyn PayloadFormat {
    match codec {
        e2ee_frames::Codec::Opus => &opus::Opus,
        e2ee_frames::Codec::Vp8 => &vp8::Vp8,
        e2ee_frames::Codec::Vp9 => &vp9::Vp9,
        e2ee_frames::Codec::Av1 => &av1::Av1,
        e2ee_frames::Codec::H264 => &h264::H264,
    }
}
