//! Views and writers of the clear bytes inside SRTP: RTP packets, their header extensions, RTCP, and the few payload
//! bits that a selective forwarding unit reads.
//!
//! Views borrow from the packet and allocate nothing. Parsers are total: any bytes yield a value or an error, never a
//! panic. Writers append to a buffer of the caller. Nothing here does I/O or reads a clock.
//!
//! | module | contents |
//! |---|---|
//! | [`rtp`] | view of an RTP packet (RFC 3550 section 5.1) |
//! | [`extension`] | RTP header extensions (RFC 8285) |
//! | [`header`] | writer of RTP headers, which are patched for each receiver |
//! | [`seq`] | sequence numbers: order, and unwrapping to 64 bits |
//! | [`rtcp`] | reports, NACK, PLI, FIR, BYE, SDES, TWCC and RFC 8888 feedback |
//! | [`dependency_descriptor`] | Dependency Descriptor of AV1, VP9 and VP8 |
//! | [`vp8`] | VP8 payload descriptor (RFC 7741) |
//! | [`key_frame`] | detects the first packet of a key frame |

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bytes;
pub mod dependency_descriptor;
pub mod extension;
pub mod header;
pub mod key_frame;
pub mod rtcp;
pub mod rtp;
pub mod seq;
pub mod vp8;
