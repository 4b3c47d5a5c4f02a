//! What happens to media between SRTP open and SRTP seal.
//!
//! ```text
//!   RTP, RTX ─► PublishedTrack ─────────────► PacketStore ─────► Slot ─► RTP
//!               unwrap, compact, count        one per track      SlotStream: SSRC, numbers, times
//!   NACK ◄───── Gaps                              └─────────────► Retransmitter ─► RTX
//!                                                                 RepairBudget ◄── DeliveryRate ◄── feedback
//!   PLI  ◄───── KeyFrameRequests ◄────────────────────────────── Slot waits, or its receiver asks
//!   SR   ─────► PublisherClock ────────────────────────────────► SR in the slot's time
//! ```
//!
//! Two invariants hold it together. A packet of a track has one *index*, and each index is taken at most once.
//! A slot's stream has one SSRC for life, and no (SSRC, sequence number) of it is ever used twice: repeating one would
//! repeat an AES-GCM nonce.

pub(crate) mod arrivals;
pub(crate) mod compaction;
pub(crate) mod delivery;
pub(crate) mod gaps;
pub(crate) mod key_frames;
pub(crate) mod levels;
pub(crate) mod padding;
pub(crate) mod published_track;
pub(crate) mod reception;
pub(crate) mod reordering;
pub(crate) mod retransmit;
pub(crate) mod rtt;
pub(crate) mod sender_reports;
pub(crate) mod slot;
pub(crate) mod slot_stream;
pub(crate) mod store;
