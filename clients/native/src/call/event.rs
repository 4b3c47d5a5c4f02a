//! What a call reports to its program.

use e2ee_frames::{CallCode, ChatContent, Problem, StreamId};
use tacet_proto::{
    ParticipantId, Seat, TrackId,
    layers::{SlotLayer, TrackWant},
    server::{ErrorMessage, RoleChange, ServerTransport, Slots, Speaker, Tracks, TransportState},
};

/// An event of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// The server's whole list of tracks at the time of joining: earlier tracks that it lacks are gone. The tracks follow
    /// in [`CallEvent::Tracks`].
    TrackList(Vec<TrackId>),
    /// The server's transport parameters: those of a new transport, or new ICE credentials after
    /// [`Call::restart_ice`](super::Call::restart_ice).
    Transport(ServerTransport),
    /// State of the transport, as the server sees it.
    TransportState(TransportState),
    /// New slots and what they show; to be confirmed by [`Call::slots_ready`](super::Call::slots_ready).
    Slots(Slots),
    /// Slots whose layer has changed.
    Layers(Vec<SlotLayer>),
    /// Own tracks for which the wanted encodings have changed. To send the others as well only wastes bandwidth.
    Want(Vec<TrackWant>),
    /// The server has assigned an id to a track of this client.
    Published {
        /// The client's own name of the track.
        cid: String,
        /// Track id.
        track: TrackId,
    },
    /// The server's list of tracks has changed.
    Tracks(Tracks),
    /// The announce of a participant was verified with the link's secret.
    Verified {
        /// Participant id.
        participant: ParticipantId,
        /// Its seat, which is part of the KID of its frames.
        seat: Seat,
        /// The name that the participant chose.
        name: String,
    },
    /// A participant says something.
    Chat {
        /// The participant whose key opened it.
        participant: ParticipantId,
        /// What it says.
        content: ChatContent,
    },
    /// Nothing arrives from a participant: it may come back, or leave.
    Away(ParticipantId),
    /// A participant that was away is back.
    Back(ParticipantId),
    /// A participant has left.
    Left(ParticipantId),
    /// The session has a key for a stream of this client: frames can be sealed.
    StreamReady(StreamId),
    /// A key of this sender was installed: retry held frames, request a key frame.
    KeyInstalled(ParticipantId),
    /// This client's own key was ratcheted or rotated: a participant joined or left, or the key was old.
    Generation {
        /// Key generation.
        generation: u32,
        /// Ratchet step within the generation.
        step: u8,
    },
    /// A message of a participant was rejected, or something else is wrong with it.
    Problem {
        /// The participant; `None` if it is unknown.
        participant: Option<ParticipantId>,
        /// What is wrong.
        problem: Problem,
    },
    /// A problem that lasts, [`Problem::RosterDiffers`] or [`Problem::KeyMissing`], is over.
    ProblemSolved {
        /// The participant.
        participant: ParticipantId,
        /// What was wrong.
        problem: Problem,
    },
    /// The code that participants compare is this one from now on.
    CallCode(CallCode),
    /// Active speakers, loudest first.
    Speakers(Vec<Speaker>),
    /// What this client is in the room has changed. The tracks that it may no longer publish are withdrawn.
    Role(RoleChange),
    /// A moderator asks this client to mute its microphone.
    MuteRequested(ParticipantId),
    /// The room was locked, or unlocked.
    Locked(bool),
    /// The server refused a request.
    Refused {
        /// Number of the request.
        re: Option<u32>,
        /// Error code and text.
        error: ErrorMessage,
    },
}
