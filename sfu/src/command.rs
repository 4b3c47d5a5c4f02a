//! What whoever drives the SFU tells it. Commands can be carried over a bus: they hold no reference and no handle.
//!
//! ```
//! use sfu::{Command, Mid, ParticipantId, Ssrc, TrackId, command::Publication, media::Codec};
//!
//! /// What makes a camera of one participant appear at another.
//! fn show(camera: TrackId, of: ParticipantId, to: ParticipantId) -> Option<[Command; 3]> {
//!     let (sending, receiving) = (Mid::new("camera")?, Mid::new("v0")?);
//!     let publication = Publication { codec: Codec::Vp8, mid: sending, ssrc: Ssrc(1), rtx: Some(Ssrc(2)) };
//!     Some([
//!         Command::Publish { participant: of, track: camera, publication },
//!         Command::AddSlot { participant: to, mid: receiving, codec: Codec::Vp8 },
//!         // And `ActivateSlot`, when the client has applied the slot.
//!         Command::SetSlot { participant: to, mid: receiving, track: Some(camera) },
//!     ])
//! }
//! # assert!(show(TrackId(1), ParticipantId(1), ParticipantId(2)).is_some());
//! ```

use crate::{
    event::Event,
    ids::{Mid, ParticipantId, RoomId, Ssrc, TrackId},
    media::Codec,
};

/// A command to one worker. Each names a participant, and belongs to the worker that has that participant's room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes a participant and its half of a transport; answered by [`Event::Transport`].
    /// The room is made with its first participant.
    AddParticipant {
        /// The room.
        room: RoomId,
        /// The new participant.
        participant: ParticipantId,
    },
    /// The client's half of the transport.
    Connect {
        /// Whose.
        participant: ParticipantId,
        /// Its parameters.
        remote: RemoteTransport,
    },
    /// The participant sends a track.
    Publish {
        /// Who sends.
        participant: ParticipantId,
        /// The new track.
        track: TrackId,
        /// Its parameters.
        publication: Publication,
    },
    /// The participant sends the track no longer.
    Unpublish {
        /// Who sent.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
    },
    /// The track is muted, or no longer: a hint that keeps muted tracks out of the speakers.
    SetMuted {
        /// Who sends.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// The new state.
        muted: bool,
    },
    /// Makes a receiving slot; answered by [`Event::SlotAdded`]. It forwards nothing before
    /// it is activated.
    AddSlot {
        /// Who receives.
        participant: ParticipantId,
        /// Name of the slot.
        mid: Mid,
        /// Its class, which never changes.
        codec: Codec,
    },
    /// The client has applied the slot's m-line: media may flow in it.
    ActivateSlot {
        /// Who receives.
        participant: ParticipantId,
        /// The slot.
        mid: Mid,
    },
    /// Puts a track into a slot, or empties the slot. The stream in the slot stays continuous.
    SetSlot {
        /// Who receives.
        participant: ParticipantId,
        /// The slot.
        mid: Mid,
        /// The track, of the slot's codec and the same room.
        track: Option<TrackId>,
    },
    /// Drops a participant, its tracks and its transport. The room goes with its last participant.
    RemoveParticipant {
        /// Who.
        participant: ParticipantId,
    },
}

impl Command {
    /// Whom it concerns, and which track and slot.
    pub(crate) fn subject(&self) -> (ParticipantId, Option<TrackId>, Option<Mid>) {
        match self {
            Self::AddParticipant { participant, .. }
            | Self::Connect { participant, .. }
            | Self::RemoveParticipant { participant } => (*participant, None, None),
            Self::Publish { participant, track, .. }
            | Self::Unpublish { participant, track }
            | Self::SetMuted { participant, track, .. } => (*participant, Some(*track), None),
            Self::AddSlot { participant, mid, .. } | Self::ActivateSlot { participant, mid } => {
                (*participant, None, Some(*mid))
            }
            Self::SetSlot { participant, mid, track } => (*participant, *track, Some(*mid)),
        }
    }

    /// The event that says that this command was refused, for those who answer where [`Sfu::command`](crate::Sfu::command)
    /// has refused it.
    #[must_use]
    pub fn refused(&self, error: CommandError) -> Event {
        let (participant, track, mid) = self.subject();
        Event::Refused { participant, track, mid, error }
    }
}

/// Transport parameters of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteTransport {
    /// ICE username fragment (RFC 8445 section 5.3).
    pub ufrag: String,
    /// ICE password.
    pub pwd: String,
    /// SHA-256 of the certificate that the client will show, in DER form.
    pub fingerprint: [u8; 32],
}

impl std::fmt::Debug for RemoteTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteTransport").finish_non_exhaustive()
    }
}

/// A track as its publisher sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its codec.
    pub codec: Codec,
    /// Sending m-line.
    pub mid: Mid,
    /// SSRC of its packets.
    pub ssrc: Ssrc,
    /// SSRC of its retransmissions.
    pub rtx: Option<Ssrc>,
}

/// Why a command was refused. The state is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such participant here.
    #[error("no such participant")]
    NoParticipant,
    /// No such track in the room, or it is somebody else's.
    #[error("no such track")]
    NoTrack,
    /// No such slot.
    #[error("no such slot")]
    NoSlot,
    /// The participant, track, slot or SSRC exists already.
    #[error("exists already")]
    Exists,
    /// The track's codec is not the slot's.
    #[error("the slot is for another codec")]
    CodecMismatch,
    /// As many participants, tracks or slots as there may be.
    #[error("limit reached")]
    Limit,
    /// Parameters that cannot be: an ICE password that is empty or very long, an SSRC of two roles.
    #[error("invalid parameters")]
    Invalid,
    /// The machine gave no random numbers, or there is no such worker.
    #[error("unavailable")]
    Unavailable,
    /// As many commands wait for the worker as may: try again later.
    #[error("overloaded")]
    Overloaded,
}
