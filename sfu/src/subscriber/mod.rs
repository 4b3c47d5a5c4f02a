//! What a subscriber receives: each of its slots, from a stored packet to the rewritten one.
//!
//! ```text
//!   PacketStore ─► Slot ─► Rewriter: SSRC, sequence number, timestamp, picture id ─► RTP
//!        └───────► NackResponder ◄── NACK                                          ─► RTX
//!   SenderClock ─► SentReports ◄──── RR                                            ─► SR
//! ```
//!
//! Invariant: a slot has one SSRC for life, and no pair of SSRC and sequence number is sent twice: that would repeat an
//! AES-GCM nonce.

pub(crate) mod nack_responder;
pub(crate) mod packet_writer;
pub(crate) mod padding;
pub(crate) mod reported_loss;
pub(crate) mod rewriter;
pub(crate) mod sender_reports;
pub(crate) mod slot;
