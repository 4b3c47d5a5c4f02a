//! What the SFU tells whoever drives it.
//!
//! ```
//! use sfu::{Command, Event, event::TransportState};
//!
//! /// The command that follows from an event without asking anybody: a participant that is gone for good is removed.
//! fn tidy(event: &Event) -> Option<Command> {
//!     match *event {
//!         Event::TransportState { participant, state: TransportState::Failed | TransportState::Closed } => {
//!             Some(Command::RemoveParticipant { participant })
//!         }
//!         _ => None,
//!     }
//! }
//! # let (participant, state) = (sfu::ParticipantId(1), TransportState::Closed);
//! # assert!(tidy(&Event::TransportState { participant, state }).is_some());
//! ```

use crate::{
    command::CommandError,
    ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId},
};
use std::net::SocketAddr;

/// An event of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answer to `AddParticipant`.
    Transport {
        /// Whose.
        participant: ParticipantId,
        /// The server's half of the transport.
        local: LocalTransport,
    },
    /// Answer to `AddSlot`.
    SlotAdded {
        /// Whose.
        participant: ParticipantId,
        /// Name of the slot.
        mid: Mid,
        /// SSRC of every packet in it.
        ssrc: Ssrc,
        /// SSRC of its retransmissions, if its codec has any.
        rtx: Option<Ssrc>,
    },
    /// The transport's state changed.
    TransportState {
        /// Whose.
        participant: ParticipantId,
        /// The new state.
        state: TransportState,
    },
    /// A command was refused.
    Refused {
        /// Whose command it was.
        participant: ParticipantId,
        /// What it was about, if it was a track.
        track: Option<TrackId>,
        /// What it was about, if it was a slot.
        mid: Option<Mid>,
        /// Why.
        error: CommandError,
    },
    /// Who is loud in a room, loudest first, at most five times a second and only when it changed.
    Speakers {
        /// The room.
        room: RoomId,
        /// Participant and level in -dBov (RFC 6464): 0 is loudest, 127 is silence.
        levels: Vec<(ParticipantId, u8)>,
    },
    /// A participant sends more than it may; what is beyond the limit is dropped. Given at most once in
    /// [`NOTICE_INTERVAL`](crate::limits::NOTICE_INTERVAL) for its datagrams, and once for its feedback.
    LimitExceeded {
        /// Who.
        participant: ParticipantId,
        /// Which limit.
        limit: Limit,
    },
    /// A fault ended the room. Its participants are gone; other rooms are not touched.
    RoomFailed {
        /// The room.
        room: RoomId,
        /// Who was in it.
        participants: Vec<ParticipantId>,
    },
}

/// A limit that a participant can exceed by what it sends. What it is for packets that are not authenticated is counted
/// only, since nobody knows whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Packets, bytes, RTCP packets or checks in a second: see [`limits`](crate::limits).
    Datagrams,
    /// SSRCs of its transport.
    Ssrcs,
    /// Questions and reports in RTCP.
    Feedback,
}

/// The server's half of a transport.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalTransport {
    /// ICE username fragment.
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the server's certificate, in DER form.
    pub fingerprint: [u8; 32],
    /// Where the client finds the worker: advertised addresses, with the worker's own port.
    pub candidates: Vec<SocketAddr>,
}

impl std::fmt::Debug for LocalTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalTransport").field("candidates", &self.candidates).finish_non_exhaustive()
    }
}

/// State of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportState {
    /// SRTP keys are in use.
    Connected,
    /// No check has arrived for a while; the transport is kept and may come back.
    Disconnected,
    /// The handshake failed: wrong fingerprint, no common SRTP profile. It will not come back.
    Failed,
    /// The client closed it.
    Closed,
}
