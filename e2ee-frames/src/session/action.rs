//! Actions that a session returns.

use crate::chat::{ChatContent, ChatId};
use crate::ids::{ParticipantId, Seat, StreamId};
use crate::keys::call_code::CallCode;
use alloc::{string::String, vec::Vec};

/// Something for the caller to send or to show, in the order returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this device's announce with the sealed name.
    SendAnnounce {
        /// Whether it is part of a join: the first, or one on a server that has forgotten this device. Otherwise it is a
        /// renewal.
        first: bool,
        /// The announce, 298 bytes.
        announce: Vec<u8>,
        /// The sealed name.
        display: Vec<u8>,
    },
    /// Send a key batch, again on the next connection if this one ends before the server has accepted it, and report
    /// [`Event::KeyBatchAccepted`](super::Event::KeyBatchAccepted).
    SendKeyBatch {
        /// Names the batch in this session.
        number: u32,
        /// header171 || entry86 × count, at most 188 entries.
        body: Vec<u8>,
    },
    /// Send a key request for these keys: {join_id16 kid8} × n, at most 200. The caller adds the count.
    SendKeyRequest(Vec<u8>),
    /// Send a chat message, and report [`Event::ChatAnswered`](super::Event::ChatAnswered). Drop it when the connection ends:
    /// on the next one this action follows again, with the message sealed again, until it is answered.
    SendChat {
        /// The message.
        id: ChatId,
        /// The sealed content.
        sealed: Vec<u8>,
    },
    /// A participant says something. Each message comes once, and those of one sender mostly in order.
    ChatReceived {
        /// The sender, by its key and not by any label of the server.
        participant: ParticipantId,
        /// The message.
        id: ChatId,
        /// What is said, as it may be shown.
        content: ChatContent,
    },
    /// Show this participant on the roster: it has the invite secret. Keys may be sealed to it from now on. Repeated when
    /// its name changes. Those who are in the call already come right after [`Event::Joined`](super::Event::Joined); any
    /// later one has joined, and people should notice that as they notice a leave.
    ParticipantVerified {
        /// The participant.
        participant: ParticipantId,
        /// Its seat, as the server says.
        seat: Seat,
        /// The name in its announce as it may be shown, with a number if it looks like another one on the roster or like the
        /// own one: see [`crate::names`].
        name: String,
    },
    /// Take this participant off the roster.
    ParticipantRemoved {
        /// The participant.
        participant: ParticipantId,
    },
    /// An open stream has a key: media may start.
    StreamReady {
        /// The stream.
        stream: StreamId,
    },
    /// A key of this sender became usable: retry held frames, request a key frame.
    KeyInstalled {
        /// The sender.
        participant: ParticipantId,
        /// The seat in the KIDs of its frames.
        seat: Seat,
    },
    /// A message of a participant was refused, or something else is wrong with it.
    Problem {
        /// The sender of the message; `u32::MAX` if unknown.
        participant: ParticipantId,
        /// The reason.
        problem: Problem,
    },
    /// A problem that lasts, [`Problem::RosterDiffers`] or [`Problem::KeyMissing`], is over. A participant that is removed
    /// takes its problems along without this.
    ProblemSolved {
        /// The participant.
        participant: ParticipantId,
        /// The problem.
        problem: Problem,
    },
    /// The [call code](super::Session::call_code) is this one from now on: a comparison with an earlier one is void. Once
    /// after each event that changed the roster.
    CallCodeChanged(CallCode),
    /// This device's current key has changed.
    GenerationChanged {
        /// The key generation.
        generation: u32,
        /// The ratchet step.
        step: u8,
    },
    /// The session has ended and its keys are erased: leave, and join with a new one. The last action.
    Ended(Ended),
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ended {
    /// The wall clock jumped by more than half a minute against the monotonic one: the machine slept, or was restored from
    /// a snapshot, whose counters may be in use elsewhere.
    ClockJumped = 1,
    /// This is a forked copy of the process that created the session, which continues counting.
    Forked = 2,
}

/// What is wrong with a participant, or why a message of it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Problem {
    /// Its announce is not authentic: made with another link or for another call, or altered.
    AnnounceRefused = 1,
    /// Its keys were not sealed to this device, or were altered.
    KeysRefused = 2,
    /// Its clock and this device's differ by more than ten minutes.
    ClockSkew = 3,
    /// It distributed different keys under one name.
    Equivocation = 4,
    /// It shows other participants than this device: its keys were made for a roster that this one did not have and did
    /// not get within 45 s. The server tells the two of them different things. Lasts until they agree again.
    RosterDiffers = 5,
    /// Its frames name a key that has not come for 5 s, although it was requested. Lasts until the key is here.
    KeyMissing = 6,
    /// A chat message under its name was not sealed by it, was altered, or could not be opened within 10 s.
    ChatRefused = 7,
}
