//! Commands from the embedding application to a worker.
//!
//! ```
//! use sfu_api::{Command, Mid, ParticipantId, Publication, SlotSource, Ssrc, TrackId, media::Codec};
//!
//! /// The commands that show one participant's camera to another.
//! fn show(camera: TrackId, of: ParticipantId, to: ParticipantId) -> Option<[Command; 3]> {
//!     let (sending, receiving) = (Mid::new("camera")?, Mid::new("v0")?);
//!     let publication = Publication::single(Codec::Vp8, sending, Ssrc(1), Some(Ssrc(2)));
//!     Some([
//!         Command::Publish { participant: of, track: camera, publication },
//!         Command::AddSlot { participant: to, mid: receiving, codec: Codec::Vp8 },
//!         // Followed by `ActivateSlot` once the client has applied the slot.
//!         Command::SetSlot { participant: to, mid: receiving, source: Some(SlotSource::Track(camera)) },
//!     ])
//! }
//! # assert!(show(TrackId(1), ParticipantId(1), ParticipantId(2)).is_some());
//! ```

pub use crate::{
    error::CommandError,
    publication::{EncodingParams, MAX_ENCODINGS, Publication},
    slot::{SlotSource, Wish},
    transport::RemoteTransport,
};
use crate::{
    ids::{CommandId, Mid, ParticipantId, RoomId, TrackId},
    media::Codec,
};
use serde::{Deserialize, Serialize};

/// A command with the id that its answer or refusal repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the sender.
    pub id: CommandId,
    /// The command.
    pub command: Command,
}

/// A command whose answer is not correlated ([`CommandId::UNTRACKED`]).
impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self { id: CommandId::UNTRACKED, command }
    }
}

/// A command to one worker. It names a participant, and goes to the worker that has that participant's room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Command {
    /// Creates a participant and the server's half of its transport; answered by [`Event::Transport`]. The first
    /// participant creates the room.
    ///
    /// [`Event::Transport`]: crate::Event::Transport
    AddParticipant {
        /// The room.
        room: RoomId,
        /// The new participant.
        participant: ParticipantId,
    },
    /// Sets the client's half of a transport.
    Connect {
        /// The transport's participant.
        participant: ParticipantId,
        /// Credentials and certificate of the client.
        remote: RemoteTransport,
    },
    /// Draws new ICE credentials for the server's half of a transport: an ICE restart (RFC 8445 section 2.4); answered by
    /// [`Event::Transport`]. Those before stay valid until the client uses the new ones. `Connect` with the client's new
    /// credentials and the same fingerprint follows.
    ///
    /// [`Event::Transport`]: crate::Event::Transport
    RestartIce {
        /// The transport's participant.
        participant: ParticipantId,
    },
    /// The participant starts to send a track; answered by [`Event::Published`].
    ///
    /// [`Event::Published`]: crate::Event::Published
    Publish {
        /// The publisher.
        participant: ParticipantId,
        /// The new track.
        track: TrackId,
        /// How the publisher sends it.
        publication: Publication,
    },
    /// The participant stops sending a track, and the room forgets it.
    Unpublish {
        /// The publisher.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
    },
    /// A track was muted or unmuted: a hint that keeps muted tracks out of active speakers.
    SetMuted {
        /// The publisher.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// Whether the track is muted now.
        muted: bool,
    },
    /// The participant begins or stops to speak, as its client says in a call whose packets carry no audio levels. From then
    /// on that decides for this track, and levels in its packets are ignored.
    SetSpeaking {
        /// The publisher.
        participant: ParticipantId,
        /// The track, of audio.
        track: TrackId,
        /// Whether it speaks now.
        speaking: bool,
    },
    /// Creates a receiving slot; answered by [`Event::SlotAdded`]. It forwards nothing before it is activated.
    ///
    /// [`Event::SlotAdded`]: crate::Event::SlotAdded
    AddSlot {
        /// The receiver.
        participant: ParticipantId,
        /// Name of the slot.
        mid: Mid,
        /// The slot's codec, which never changes.
        codec: Codec,
    },
    /// The client has applied the slot's m-line: media may flow in it.
    ActivateSlot {
        /// The receiver.
        participant: ParticipantId,
        /// The slot.
        mid: Mid,
    },
    /// Puts a source into a slot, or empties the slot. The stream in the slot stays continuous.
    SetSlot {
        /// The receiver.
        participant: ParticipantId,
        /// The slot.
        mid: Mid,
        /// The source, of the slot's codec and in the same room.
        source: Option<SlotSource>,
    },
    /// Sets how the receiver shows some of its slots of video; the others keep their wishes. A slot without a wish gets the
    /// highest layer that the receiver's bitrate holds. A wish for a slot of audio changes nothing.
    SetWishes {
        /// The receiver.
        participant: ParticipantId,
        /// One wish for each slot.
        wishes: Vec<Wish>,
    },
    /// Removes a participant, its tracks and its transport. The last participant removes the room.
    RemoveParticipant {
        /// The participant.
        participant: ParticipantId,
    },
}

impl Command {
    /// The participant that the command names.
    #[must_use]
    pub fn participant(&self) -> ParticipantId {
        match self {
            Self::AddParticipant { participant, .. }
            | Self::Connect { participant, .. }
            | Self::RestartIce { participant }
            | Self::Publish { participant, .. }
            | Self::Unpublish { participant, .. }
            | Self::SetMuted { participant, .. }
            | Self::SetSpeaking { participant, .. }
            | Self::AddSlot { participant, .. }
            | Self::ActivateSlot { participant, .. }
            | Self::SetSlot { participant, .. }
            | Self::SetWishes { participant, .. }
            | Self::RemoveParticipant { participant } => *participant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, LocalTransport};

    #[test]
    fn requests_and_events_survive_serialisation() -> serde_json::Result<()> {
        let participant = ParticipantId(7);
        let remote = RemoteTransport { ufrag: "u".to_owned(), pwd: "p".to_owned(), fingerprint: [1; 32] };
        let request = Request { id: CommandId(9), command: Command::Connect { participant, remote } };
        assert_eq!(serde_json::from_str::<Request>(&serde_json::to_string(&request)?)?, request);
        let local = LocalTransport {
            ufrag: "u".to_owned(),
            pwd: "p".to_owned(),
            fingerprint: [2; 32],
            candidates: vec![([192, 0, 2, 1], 9).into()],
        };
        let event = Event::Transport { command: request.id, participant, local };
        assert_eq!(serde_json::from_str::<Event>(&serde_json::to_string(&event)?)?, event);
        Ok(())
    }

    #[test]
    fn debug_shows_no_credentials() {
        let remote = RemoteTransport { ufrag: "user".to_owned(), pwd: "s3cret".to_owned(), fingerprint: [1; 32] };
        let text = format!("{:?}", Command::Connect { participant: ParticipantId(1), remote });
        assert!(!text.contains("s3cret") && !text.contains("user"), "{text}");
    }
}
