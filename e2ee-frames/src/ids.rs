//! Identifiers of participants, seats and streams.

/// A participant of the call, numbered by the server. A label: no decision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(pub u32);

/// Number of a sending device in its room, 0..=4095. A look-up hint: keys are bound to join ids, not to seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seat(pub u16);

impl Seat {
    /// The largest seat that a KID can name.
    pub const MAX: Seat = Seat(0xfff);
}

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
    /// Application data such as chat.
    pub const DATA: StreamId = StreamId(4);
    /// The largest stream that is accepted: 8,192 indices of each kind.
    pub const MAX: StreamId = StreamId(0xffff);
}
