//! What a session wants done or known.

use crate::ids::{ParticipantId, Seat, StreamId};
use alloc::{string::String, vec::Vec};

/// Something for the caller to send or to show, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the own announce with the sealed name.
    SendAnnounce {
        /// It belongs into `join`; else it renews one.
        first: bool,
        /// 298 bytes.
        announce: Vec<u8>,
        /// The sealed name.
        display: Vec<u8>,
    },
    /// Send this body of a key batch: header171 || entry86 × count, at most 188.
    SendKeyBatch(Vec<u8>),
    /// Send a key request for these: {join_id16 kid8} × n, at most 200. The caller adds the count.
    SendKeyRequest(Vec<u8>),
    /// Show this participant on the roster: it is who it says, as far as the link tells. Keys may be sealed to it now.
    /// Comes again when it changes its name.
    ParticipantVerified {
        /// Whose announce it was.
        participant: ParticipantId,
        /// Where the server seats it.
        seat: Seat,
        /// The name it gave itself.
        name: String,
    },
    /// Take this participant off the roster.
    ParticipantRemoved {
        /// Who has gone.
        participant: ParticipantId,
    },
    /// An open stream has a key in use: media may start.
    StreamReady {
        /// The stream.
        stream: StreamId,
    },
    /// A key of this sender became usable: retry held frames, ask for a key frame.
    KeyInstalled {
        /// Whose key.
        participant: ParticipantId,
        /// The seat that its frames name.
        seat: Seat,
    },
    /// Something was refused.
    Problem {
        /// Whose message it was; `u32::MAX` if that is unknown.
        participant: ParticipantId,
        /// What was wrong.
        problem: Problem,
    },
    /// The own key in use has changed.
    GenerationChanged {
        /// Key generation.
        generation: u32,
        /// Ratchet step in it.
        step: u8,
    },
    /// The session is over, its keys are erased: leave, and join with a new one. Nothing follows.
    Ended(Ended),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ended {
    /// The wall clock jumped by more than half a minute against the monotonic one: the machine slept, or is a copy that
    /// was restored, whose counters may be used elsewhere.
    ClockJumped = 1,
    /// This is a forked copy of the process that the session was made in, which goes on counting.
    Forked = 2,
}

/// Why something of a participant was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Problem {
    /// Its announce is not authentic: made with another link, for another call, or altered.
    AnnounceRefused = 1,
    /// Its keys were not meant for this device or were altered.
    KeysRefused = 2,
    /// Its clock or the own one is off by more than ten minutes.
    ClockSkew = 3,
    /// It gave different keys out under one name.
    Equivocation = 4,
}
