//! Pictures: whole sealed frames to RTP payloads and back.
//!
//! ```text
//!  encoder ─► [seal] ─► Packetizer ─► RTP payloads ─► … ─► RTP payloads ─► Assembler ─► [open] ─► decoder
//! ```
//! The codec is the application's: what goes in and comes out are encoded pictures. A sealed frame is ciphertext inside
//! the constant envelope of its codec (see [`e2ee_frames::codec`]); packets are cut and put together by the envelope and
//! by sizes, never by what is inside. Frames come out as soon as they are whole, in whatever order packets arrive: a
//! sealed frame is opened by itself, and order is the decoder's affair.
//!
//! | codec | payload format | what begins a key frame, for a server that cannot look inside |
//! |---|---|---|
//! | VP8 | RFC 7741 | S = 1, PID 0, bit P of the envelope 0 |
//! | VP9 | RFC 9628, not flexible | P = 0, B = 1 |
//! | AV1 | AV1 RTP specification 1.0 | N = 1 |
//! | H.264 | RFC 6184, packetization mode 1 | a parameter set |

mod access_unit;
mod assembler;
mod av1;
mod h264;
mod packetizer;
mod vp8;
mod vp9;

pub use self::{
    access_unit::{dimensions, kind_of_access_unit},
    assembler::{Assembled, Assembler},
    packetizer::{Packetizer, PacketizerError, Payload},
    vp8::{
        DESCRIPTOR_BYTES as VP8_DESCRIPTOR_BYTES, descriptor as vp8_descriptor, payloads as vp8_payloads,
        split as split_vp8,
    },
};

/// Most bytes of RTP payload in one packet, so that header, extensions, SRTP tag and UDP fit any path.
pub const MAX_PAYLOAD_BYTES: usize = 1_100;

/// The codec of signaling as frames are sealed with it.
#[must_use]
pub const fn frame_codec(codec: tacet_proto::media::Codec) -> e2ee_frames::Codec {
    use tacet_proto::media::Codec;
    match codec {
        Codec::Opus => e2ee_frames::Codec::Opus,
        Codec::Vp8 => e2ee_frames::Codec::Vp8,
        Codec::Vp9 => e2ee_frames::Codec::Vp9,
        Codec::Av1 => e2ee_frames::Codec::Av1,
        Codec::H264 => e2ee_frames::Codec::H264,
    }
}
