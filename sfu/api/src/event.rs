//! Events from a worker to the embedding application.
//!
//! ```
//! use sfu_api::{Command, Event, TransportState};
//!
//! /// The command that follows from an event alone: a participant whose transport has ended is removed.
//! fn tidy(event: &Event) -> Option<Command> {
//!     match *event {
//!         Event::TransportState { participant, state: TransportState::Failed | TransportState::Closed } => {
//!             Some(Command::RemoveParticipant { participant })
//!         }
//!         _ => None,
//!     }
//! }
//! # let (participant, state) = (sfu_api::ParticipantId(1), TransportState::Closed);
//! # assert!(tidy(&Event::TransportState { participant, state }).is_some());
//! ```

pub use crate::{
    downlink::{DownlinkCause, DownlinkState},
    slot::LayerReason,
    transport::{LocalTransport, TransportState},
};
use crate::{
    error::CommandError,
    ids::{CommandId, Mid, ParticipantId, RoomId, Ssrc, TrackId},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// After how long without a packet a track that is not muted counts as inactive. Opus sends at least every 400 ms even in
/// silence (discontinuous transmission).
pub const TRACK_SILENCE: Duration = Duration::from_secs(2);

/// An event of one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// Answers `AddParticipant` and `RestartIce`.
    Transport {
        /// The command that this answers.
        command: CommandId,
        /// The transport's participant.
        participant: ParticipantId,
        /// The server's half of its transport.
        local: LocalTransport,
    },
    /// Answers `Publish`.
    Published {
        /// The command that this answers.
        command: CommandId,
        /// The publisher.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
    },
    /// Packets of a track that is not muted begin to arrive, or have stopped. Sent on change only; after `Publish`, and after
    /// the end of a mute, the first packets are a change, and so is their absence.
    TrackActivity {
        /// The publisher.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// Whether packets arrive; false [`TRACK_SILENCE`] after the last one.
        active: bool,
    },
    /// Answers `AddSlot`.
    SlotAdded {
        /// The command that this answers.
        command: CommandId,
        /// The participant that receives in the slot.
        participant: ParticipantId,
        /// The slot.
        mid: Mid,
        /// SSRC of every packet in it.
        ssrc: Ssrc,
        /// SSRC of its retransmissions, if its codec has any.
        rtx: Option<Ssrc>,
    },
    /// Another layer is sent in a slot, or the reason for the layer has changed. Sent on change only.
    Layer {
        /// The receiver.
        participant: ParticipantId,
        /// The slot.
        mid: Mid,
        /// Height of the layer in lines, 0 if that is unknown; `None` if nothing is sent.
        height: Option<u16>,
        /// Temporal layer, if the publisher's frames tell theirs.
        temporal: Option<u8>,
        /// Why it is this layer.
        reason: LayerReason,
    },
    /// What is known of the path to a receiver has changed. Sent at most once a second, and only about receivers that send
    /// transport feedback.
    Downlink {
        /// The receiver.
        participant: ParticipantId,
        /// What is known.
        state: DownlinkState,
    },
    /// What the receivers of a track want of it has changed. The publisher may stop the rest.
    LayersWanted {
        /// The publisher.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// For each encoding, in the order of the publication, whether a receiver wants it. The lowest one is wanted as long
        /// as a slot has the track.
        active: Vec<bool>,
        /// Greatest height that a receiver wants, in lines.
        height: u16,
    },
    /// A transport's state changed.
    TransportState {
        /// The transport's participant.
        participant: ParticipantId,
        /// The new state.
        state: TransportState,
    },
    /// A command was refused and changed nothing.
    Refused {
        /// The command.
        command: CommandId,
        /// The participant that the command named.
        participant: ParticipantId,
        /// The cause.
        error: CommandError,
    },
    /// The active speakers of a room, loudest first; at most five times a second, and only on change.
    Speakers {
        /// The room.
        room: RoomId,
        /// Participant and level in -dBov (RFC 6464): 0 is loudest, 127 is silence.
        levels: Vec<(ParticipantId, u8)>,
    },
    /// A participant sends more than it may, and the excess is dropped. Sent at most once in the SFU's
    /// `limits::NOTICE_INTERVAL` for datagrams, and once for feedback.
    LimitExceeded {
        /// The sender.
        participant: ParticipantId,
        /// The limit.
        limit: Limit,
    },
    /// A fault ended the room. Its participants are gone; other rooms are unaffected.
    RoomFailed {
        /// The room.
        room: RoomId,
        /// The participants that were in it.
        participants: Vec<ParticipantId>,
    },
}

/// What an event concerns, by which it is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One participant.
    Participant(ParticipantId),
    /// A room as a whole.
    Room(RoomId),
}

impl Event {
    /// What the event concerns.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Transport { participant, .. }
            | Self::Published { participant, .. }
            | Self::TrackActivity { participant, .. }
            | Self::SlotAdded { participant, .. }
            | Self::Layer { participant, .. }
            | Self::Downlink { participant, .. }
            | Self::LayersWanted { participant, .. }
            | Self::TransportState { participant, .. }
            | Self::Refused { participant, .. }
            | Self::LimitExceeded { participant, .. } => Subject::Participant(*participant),
            Self::Speakers { room, .. } | Self::RoomFailed { room, .. } => Subject::Room(*room),
        }
    }
}

/// A limit that a participant can exceed by what it sends. Unauthenticated packets are only counted, because their
/// sender is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Limit {
    /// Packets, bytes, RTCP packets or connectivity checks per second.
    Datagrams,
    /// SSRCs of one transport.
    Ssrcs,
    /// NACKs, key-frame requests and reports in RTCP.
    Feedback,
}
