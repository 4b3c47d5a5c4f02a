//! Typed keys of the tables that rooms and workers keep.
//!
//! A key holds the generation of its place in the table: it finds nothing once its entry is removed, even if the place
//! is in use again.

slotmap::new_key_type! {
    /// A transport of a worker.
    pub struct TransportKey;
    /// A participant of a room.
    pub(crate) struct ParticipantKey;
    /// A published track of a room.
    pub(crate) struct TrackKey;
    /// An encoding of a published track.
    pub(crate) struct EncodingKey;
    /// A slot of a subscriber.
    pub(crate) struct SlotKey;
}
