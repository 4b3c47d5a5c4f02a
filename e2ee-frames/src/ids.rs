//! Identifiers of participants, seats and streams.

/// A participant is a label, and a seat a look-up hint: no decision depends on either, and keys are bound to join ids.
pub use media_types::{ParticipantId, Seat};

/// A stream of a device: kind + 8 × index, kind 0 microphone, 1 camera, 2 screen, 3 screen audio, 4 app data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The first microphone.
    pub const MICROPHONE: StreamId = StreamId(0);
    /// The first camera.
    pub const CAMERA: StreamId = StreamId(1);
    /// The first shared screen.
    pub const SCREEN: StreamId = StreamId(2);
    /// The audio of the first shared screen.
    pub const SCREEN_AUDIO: StreamId = StreamId(3);
    /// Application data such as chat. The session opens and closes it.
    pub const DATA: StreamId = StreamId(4);
    /// The largest stream that is accepted: 8,192 indices of each kind.
    pub const MAX: StreamId = StreamId(0xffff);
}
