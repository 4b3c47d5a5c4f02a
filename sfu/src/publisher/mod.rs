//! What a publisher sends: each encoding of its tracks, from the received packet to the packet store.
//!
//! ```text
//!   RTP, RTX ─► Encoding ─► SequenceCompaction ─► PacketStore ─► slots of the subscribers
//!                  ├────► ReceiverStatistics ─► RR
//!                  └────► NackGenerator ──────► NACK
//!   requests of subscribers ─► KeyFrameRequests ► PLI
//!   SR ──────────► SenderClock ───────────────► SR of each slot
//!   timer ───────► TrackActivity ─────────────► Event::TrackActivity
//! ```
//!
//! A track has up to three encodings, which have everything of their own but the key frame requests.
//!
//! Invariant: a packet of a stream has one *index*, its sequence number without gaps left by dropped padding, and each
//! index is stored at most once.

pub(crate) mod demand;
pub(crate) mod encoding;
pub(crate) mod key_frame_budget;
pub(crate) mod key_frame_requests;
pub(crate) mod ladder;
pub(crate) mod layer_meter;
pub(crate) mod layers;
pub(crate) mod listener_loss;
pub(crate) mod nack_generator;
pub(crate) mod numbering;
pub(crate) mod packet_store;
pub(crate) mod pli_throttle;
pub(crate) mod receiver_statistics;
pub(crate) mod reordering;
pub(crate) mod sender_clock;
pub(crate) mod sequence_compaction;
pub(crate) mod subscribers;
pub(crate) mod track;
pub(crate) mod track_activity;
