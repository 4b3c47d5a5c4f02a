//! Events that a session handles.

use crate::{
    chat::{ChatContent, ChatId},
    ids::{ParticipantId, Seat, StreamId},
};

/// An event. Bodies are those of the binary messages of `tacet.v1`, without type and number.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Time has passed.
    Tick,
    /// The server has admitted this device. Before it, the announce is the only action.
    Joined {
        /// The seat of this device.
        seat: Seat,
    },
    /// Announces: count1 || {participant4 seat2 announce298 len2 display} × count.
    Announces(&'a [u8]),
    /// These participants have left.
    Left(&'a [ParticipantId]),
    /// Keys of others: count1 || {header171 entry86} × count.
    Keys(&'a [u8]),
    /// The server has accepted this batch of [`Action::SendKeyBatch`](super::Action::SendKeyBatch): it relays it to all its
    /// recipients.
    KeyBatchAccepted {
        /// The number of the batch.
        number: u32,
    },
    /// Another device requests keys: requester_seat2 || count1 || {join_id16 kid8} × count.
    KeyRequest(&'a [u8]),
    /// A chat message of another: participant4 || id8 || sealed.
    Chat(&'a [u8]),
    /// The user of this device says something. [`Action::SendChat`](super::Action::SendChat) follows once there is a key,
    /// which is made and distributed if need be.
    SendChat {
        /// Of the content's kind, with a larger number than any before.
        id: ChatId,
        /// What is said.
        content: &'a ChatContent,
    },
    /// The server has accepted a chat message of this device, or has refused it for good.
    ChatAnswered {
        /// The message.
        id: ChatId,
    },
    /// A stream is about to send.
    StreamOpened(StreamId),
    /// A stream has stopped. Its counters continue when it opens again.
    StreamClosed(StreamId),
    /// The connection to the server is lost. Nothing is sent to it until [`Self::Attached`].
    Detached,
    /// The session goes on over a new connection.
    Attached {
        /// The server has forgotten this device, but has granted it its participant id and seat again: it joins with a new
        /// announce, and [`Self::Joined`] follows.
        fresh: bool,
    },
}

/// Why an event was refused. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// A malformed body, or a number out of range.
    #[error("malformed event")]
    Malformed,
    /// The stream is open. Two senders on it would use each counter twice.
    #[error("the stream is already open")]
    StreamAlreadyOpen,
    /// An event of the call before [`Event::Joined`].
    #[error("not joined yet")]
    NotJoined,
    /// Too many chat messages wait for the server.
    #[error("too many chat messages wait")]
    ChatFull,
    /// A second [`Event::Joined`] with another seat, which needs a new session.
    #[error("already joined, on another seat")]
    AlreadyJoined,
    /// The session has ended: see [`super::Action::Ended`].
    #[error("the session has ended")]
    Ended,
}
