//! What happens to a session.

use crate::ids::{ParticipantId, Seat, StreamId};

/// Something that happened. Bodies are those of the binary messages of `tacet.v1`, without type and number.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Time has passed.
    Tick,
    /// The server has let this device in. Before it, nothing but the announce is produced.
    Joined {
        /// Where this device sits.
        seat: Seat,
    },
    /// Announces: count1 || {participant4 seat2 announce298 len2 display} × count.
    Announces(&'a [u8]),
    /// These participants have left.
    Left(&'a [ParticipantId]),
    /// Keys of others: count1 || {header171 entry86} × count.
    Keys(&'a [u8]),
    /// Somebody lacks keys: requester_seat2 || count1 || {join_id16 kid8} × count.
    KeyRequest(&'a [u8]),
    /// A stream is about to send.
    StreamOpened(StreamId),
    /// A stream has stopped. Its counters go on when it opens again.
    StreamClosed(StreamId),
}

/// An event was refused; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Bytes that do not add up, or a number out of range.
    #[error("malformed event")]
    Malformed,
    /// Two senders on one stream would count frames twice.
    #[error("the stream is open already")]
    StreamAlreadyOpen,
    /// Something of the call before [`Event::Joined`].
    #[error("not joined yet")]
    NotJoined,
    /// A second [`Event::Joined`] with another seat: that takes a new session.
    #[error("joined already, on another seat")]
    AlreadyJoined,
    /// The session is over: see [`super::Action::Ended`].
    #[error("the session is over")]
    Ended,
}
