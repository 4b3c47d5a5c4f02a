//! The numbers of the ABI: kinds of events and actions, and reasons for refusals. The C header and the TypeScript module
//! are generated from them.
//!
//! Bodies are written as names with their lengths in bytes: `seat2` is a seat in two bytes, `{x4}*` any number of x.
//! All numbers in bodies are big endian.

use e2ee_frames::{Codec, Ended, EventError, FrameKind, OpenError, Problem, SealError};

/// Returned by any function for a NULL session, clock or buffer with a length, for overlapping buffers, or for one of more
/// than 2^31 - 1 bytes. A bug of the caller; nothing was done.
pub const EF_MISUSE: i32 = -64;

/// The codec of a stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecNumber {
    /// Opus. The wire shows no kind of frame.
    Opus = 0,
    /// VP8.
    Vp8 = 1,
    /// VP9. The wire shows no kind of frame.
    Vp9 = 2,
    /// AV1.
    Av1 = 3,
    /// H.264.
    H264 = 4,
}

impl CodecNumber {
    /// All codecs.
    pub const ALL: [Self; 5] = [Self::Opus, Self::Vp8, Self::Vp9, Self::Av1, Self::H264];
}

/// The codec of an `ef_codec`.
#[must_use]
pub fn codec(number: u32) -> Option<Codec> {
    e2ee_frames::codec::from_id(number)
}

/// Whether a frame can be decoded alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKindNumber {
    /// Needs frames before it. Every frame of Opus counts as one.
    Delta = 0,
    /// A key frame.
    Key = 1,
}

impl FrameKindNumber {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Delta, Self::Key];

    /// The kind of this number.
    #[must_use]
    pub fn kind(number: u32) -> Option<FrameKind> {
        let kinds = [(Self::Delta, FrameKind::Delta), (Self::Key, FrameKind::Key)];
        kinds.into_iter().find(|(own, _)| *own as u32 == number).map(|(_, kind)| kind)
    }
}

impl From<FrameKind> for FrameKindNumber {
    fn from(kind: FrameKind) -> Self {
        match kind {
            FrameKind::Delta => Self::Delta,
            FrameKind::Key => Self::Key,
        }
    }
}

/// Kinds of events for `ef_session_event`, and their bodies. The bodies of announces, keys and key requests are those of
/// the server's binary messages without type and number.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Time has passed. Empty body.
    Tick = 0,
    /// The server has admitted this device: `seat2`.
    Joined = 1,
    /// Announces of others: `count1 {participant4 seat2 announce298 length2 display}*`.
    Announces = 2,
    /// These participants have left: `participant4*`.
    Left = 3,
    /// Keys of others: `count1 {header171 entry86}*`, which the server cuts from their key batches.
    Keys = 4,
    /// Another device requests keys: `requester_seat2 count1 {join_id16 kid8}*`.
    KeyRequest = 5,
    /// A stream is about to send: `stream4`, which is kind + 8 * index; kind 0 is a microphone, 1 a camera, 2 a screen,
    /// 3 the audio of a screen. Kind 4, application data, is opened by `EF_EVENT_SEND_CHAT`.
    StreamOpened = 6,
    /// A stream has stopped: `stream4`.
    StreamClosed = 7,
    /// The server has accepted a key batch: `number4`, from its `EF_ACTION_SEND_KEY_BATCH`.
    KeyBatchAccepted = 8,
    /// The connection to the server is lost. Empty body.
    Detached = 9,
    /// The session goes on over a new connection: `fresh1`. 1 if the server has forgotten this device but has granted its
    /// participant id and seat again, so that it joins with the announce that follows, and `EF_EVENT_JOINED` is due once
    /// more; else 0.
    Attached = 10,
    /// A chat message of another: `participant4 id8 sealed`.
    Chat = 11,
    /// The user of this device says something: `id8 type1 text`. The id is `kind1 number7`: kind 0 for a text, 1 for a
    /// reaction, and a larger number than any before. Type 1 is a text of up to 4,096 bytes of UTF-8, 2 a reaction of up to 64.
    SendChat = 12,
    /// The server has accepted a chat message of this device, or has refused it for good: `id8`.
    ChatAnswered = 13,
}

impl EventKind {
    /// All kinds of events.
    pub const ALL: [Self; 14] = [
        Self::Tick,
        Self::Joined,
        Self::Announces,
        Self::Left,
        Self::Keys,
        Self::KeyRequest,
        Self::StreamOpened,
        Self::StreamClosed,
        Self::KeyBatchAccepted,
        Self::Detached,
        Self::Attached,
        Self::Chat,
        Self::SendChat,
        Self::ChatAnswered,
    ];

    /// The kind of this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

/// Kinds of actions, in the first byte that `ef_session_poll` writes. The body follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Send this device's announce: `first1 announce298 display`. `first1` is 1 for one that is part of a join, 0 for a
    /// renewal.
    SendAnnounce = 1,
    /// Send a key batch: `number4 header171 entry86*`, at most 188 entries. Each entry begins with the `seat2` it is for.
    /// `number4` is for `EF_EVENT_KEY_BATCH_ACCEPTED` and not sent. If the connection ends before the server has accepted
    /// the batch, send it again over the next one.
    SendKeyBatch = 2,
    /// Request keys: `{join_id16 kid8}*`, at most 200. The message has the count in front.
    SendKeyRequest = 3,
    /// Show this participant on the roster: `participant4 seat2 name`, the name in UTF-8 up to the end. It can be shown as it
    /// is, isolated from text around it, which may run the other way.
    ParticipantVerified = 4,
    /// Take this participant off the roster: `participant4`.
    ParticipantRemoved = 5,
    /// An open stream has a key now, media may start: `stream4`.
    StreamReady = 6,
    /// A key of this sender became usable: `participant4 seat2`. Retry held frames and request a key frame.
    KeyInstalled = 7,
    /// Something of this participant was refused, or is wrong: `participant4 problem1`; participant 2^32 - 1 if it is unknown.
    Problem = 8,
    /// This device's current key has changed: `generation4 step1`.
    GenerationChanged = 9,
    /// The session has ended and its keys are erased: `reason1`. Leave, and join with a new one.
    Ended = 10,
    /// A problem that lasts is over: `participant4 problem1`.
    ProblemSolved = 11,
    /// The call code is this one from now on, once after each event that changed the roster: `code32`.
    CallCodeChanged = 12,
    /// Send a chat message: `id8 sealed`, and pass on the answer by `EF_EVENT_CHAT_ANSWERED`. Drop it when the connection ends:
    /// on the next one this action follows again.
    SendChat = 13,
    /// A participant says something: `participant4 id8 type1 text`, the types as in `EF_EVENT_SEND_CHAT`. The text can be shown
    /// as it is, isolated from text around it.
    ChatReceived = 14,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::SendAnnounce,
        Self::SendKeyBatch,
        Self::SendKeyRequest,
        Self::ParticipantVerified,
        Self::ParticipantRemoved,
        Self::StreamReady,
        Self::KeyInstalled,
        Self::Problem,
        Self::GenerationChanged,
        Self::Ended,
        Self::ProblemSolved,
        Self::CallCodeChanged,
        Self::SendChat,
        Self::ChatReceived,
    ];
}

/// What `EF_ACTION_PROBLEM` reports.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemNumber {
    /// Its announce is not authentic: made with another link or for another call, or altered.
    AnnounceRefused = 1,
    /// Its keys were not sealed to this device, or were altered.
    KeysRefused = 2,
    /// Its clock and this device's differ by more than ten minutes.
    ClockSkew = 3,
    /// It distributed different keys under one name.
    Equivocation = 4,
    /// It shows other participants than this device does: the server tells the two of them different things. Lasts until
    /// `EF_ACTION_PROBLEM_SOLVED`.
    RosterDiffers = 5,
    /// Its frames name a key that has not come for 5 s, although it was requested. Lasts until `EF_ACTION_PROBLEM_SOLVED`.
    KeyMissing = 6,
    /// A chat message under its name was not sealed by it, was altered, or could not be opened within 10 s.
    ChatRefused = 7,
}

impl ProblemNumber {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AnnounceRefused,
        Self::KeysRefused,
        Self::ClockSkew,
        Self::Equivocation,
        Self::RosterDiffers,
        Self::KeyMissing,
        Self::ChatRefused,
    ];
}

impl From<Problem> for ProblemNumber {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::AnnounceRefused => Self::AnnounceRefused,
            Problem::KeysRefused => Self::KeysRefused,
            Problem::ClockSkew => Self::ClockSkew,
            Problem::Equivocation => Self::Equivocation,
            Problem::RosterDiffers => Self::RosterDiffers,
            Problem::KeyMissing => Self::KeyMissing,
            Problem::ChatRefused => Self::ChatRefused,
        }
    }
}

/// Why a session ended, in `EF_ACTION_ENDED`: its counters may be in use elsewhere.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedNumber {
    /// The wall clock jumped by more than half a minute against the monotonic one.
    ClockJumped = 1,
    /// This is a forked copy of the process that made the session.
    Forked = 2,
}

impl EndedNumber {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::ClockJumped, Self::Forked];
}

impl From<Ended> for EndedNumber {
    fn from(reason: Ended) -> Self {
        match reason {
            Ended::ClockJumped => Self::ClockJumped,
            Ended::Forked => Self::Forked,
        }
    }
}

/// Why `ef_session_event` refuses an event. Nothing changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRefusal {
    /// An unknown kind, a malformed body, or a number out of range.
    Malformed = -1,
    /// The stream is open already: two senders on one stream would count frames twice.
    StreamAlreadyOpen = -2,
    /// An event of the call before `EF_EVENT_JOINED`.
    NotJoined = -3,
    /// Already joined, on another seat: that needs a new session.
    AlreadyJoined = -4,
    /// Too many chat messages wait for the server.
    ChatFull = -5,
    /// The session has ended: see `EF_ACTION_ENDED`.
    Ended = -7,
}

impl EventRefusal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Malformed, Self::StreamAlreadyOpen, Self::NotJoined, Self::AlreadyJoined, Self::ChatFull, Self::Ended];
}

impl From<EventError> for EventRefusal {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Malformed => Self::Malformed,
            EventError::StreamAlreadyOpen => Self::StreamAlreadyOpen,
            EventError::NotJoined => Self::NotJoined,
            EventError::AlreadyJoined => Self::AlreadyJoined,
            EventError::ChatFull => Self::ChatFull,
            EventError::Ended => Self::Ended,
        }
    }
}

/// Why `ef_seal` refuses a frame, which must then be dropped: it must not be sent in clear.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealRefusal {
    /// There is no key yet: wait for `EF_ACTION_STREAM_READY`.
    NoKey = -1,
    /// The stream was not opened by `EF_EVENT_STREAM_OPENED`.
    StreamNotOpen = -2,
    /// The output is too small.
    Buffer = -3,
    /// An unknown codec or kind of frame, too many streams, or a frame beyond what its codec can hold.
    Unsupported = -4,
    /// The key has sealed its maximum number of frames.
    Exhausted = -5,
    /// The session has ended: see `EF_ACTION_ENDED`.
    Ended = -7,
}

impl SealRefusal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NoKey, Self::StreamNotOpen, Self::Buffer, Self::Unsupported, Self::Exhausted, Self::Ended];
}

impl From<SealError> for SealRefusal {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoKey => Self::NoKey,
            SealError::StreamNotOpen => Self::StreamNotOpen,
            SealError::Buffer => Self::Buffer,
            SealError::Unsupported => Self::Unsupported,
            SealError::Exhausted => Self::Exhausted,
            SealError::Ended => Self::Ended,
        }
    }
}

/// Why `ef_open` refuses a frame, which must then be dropped, or held if its key is missing. The output is zeroed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenRefusal {
    /// The key may still arrive: retry the frame after `EF_ACTION_KEY_INSTALLED`.
    MissingKey = -1,
    /// Not sealed by the sender that it names, or altered.
    NotAuthentic = -2,
    /// Opened before, or older than the replay window.
    Replay = -3,
    /// An unknown codec, or not an SFrame ciphertext in the envelope of its codec.
    Malformed = -4,
    /// No participant on the roster has the seat that it names.
    UnknownSender = -5,
    /// The output is smaller than the input.
    Buffer = -6,
    /// The session has ended: see `EF_ACTION_ENDED`.
    Ended = -7,
}

impl OpenRefusal {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::MissingKey,
        Self::NotAuthentic,
        Self::Replay,
        Self::Malformed,
        Self::UnknownSender,
        Self::Buffer,
        Self::Ended,
    ];
}

impl From<OpenError> for OpenRefusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::MissingKey => Self::MissingKey,
            OpenError::NotAuthentic => Self::NotAuthentic,
            OpenError::Replay => Self::Replay,
            OpenError::Malformed => Self::Malformed,
            OpenError::UnknownSender => Self::UnknownSender,
            OpenError::Ended => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_match_library() {
        for number in CodecNumber::ALL {
            assert_eq!(codec(number as u32).map(|codec| format!("{codec:?}")), Some(format!("{number:?}")));
        }
        assert_eq!(codec(CodecNumber::ALL.len() as u32), None);
        for kind in [FrameKind::Delta, FrameKind::Key] {
            assert_eq!(FrameKindNumber::kind(FrameKindNumber::from(kind) as u32), Some(kind));
            assert_eq!(FrameKindNumber::from(kind) as u32, kind as u32);
        }
        assert_eq!(FrameKindNumber::kind(2), None);
        for number in 0..14 {
            assert_eq!(EventKind::from_number(number).map(|kind| kind as u32), Some(number));
        }
        assert_eq!(EventKind::from_number(14), None);
    }
}
