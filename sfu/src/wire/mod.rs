//! Byte views and writers of what travels inside SRTP: RTP, its header extensions, RTCP, and the few payload bits that
//! the server may read.
//!
//! Views borrow, allocate nothing and are total: any bytes give a value or an error, never a panic. Writers append to
//! a buffer of the caller's. Nothing here has state or knows the time.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod dependency;
pub mod extension;
pub mod header;
pub mod key_frame;
pub mod rtcp;
pub mod rtcp_write;
pub mod rtp;
pub mod seq;
pub mod transport_cc;
pub mod vp8;

/// Big-endian 16 bits at an offset.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Big-endian 32 bits at an offset.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Big-endian 64 bits at an offset.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
