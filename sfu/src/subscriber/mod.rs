//! What a subscriber receives: each of its slots, from a stored packet to the rewritten one.
//!
//! ```text
//!   wishes, ladders ─► allocation ─► layer wanted
//!                                         │ select: at which packet it can change
//!   PacketStore ─► Slot ─► Rewriter: SSRC, sequence number, timestamp, picture id ─► RTP, fillers
//!        └───────► NackResponder ◄── NACK                                          ─► RTX
//!   SenderClock ─► SentReports ◄──── RR                                            ─► SR
//! ```
//!
//! Invariant: a slot has one SSRC for life, and no pair of SSRC and sequence number is sent twice: that would repeat an
//! AES-GCM nonce.

pub(crate) mod allocation;
pub(crate) mod back_fill;
pub(crate) mod nack_responder;
pub(crate) mod packet_writer;
pub(crate) mod padding;
pub(crate) mod reported_loss;
pub(crate) mod rewriter;
pub(crate) mod segment;
pub(crate) mod select;
pub(crate) mod sender_reports;
pub(crate) mod sent;
pub(crate) mod slot;
pub(crate) mod steadiness;
pub(crate) mod timeline;
pub(crate) mod waiting;

#[cfg(test)]
mod tests;
