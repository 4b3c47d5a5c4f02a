//! Events and media that a client delivers to its application.

use super::{
    disconnect::{DisconnectReason, EndReason},
    repair::Recovery,
};
use crate::audio::Level;
use bytes::Bytes;
use e2ee_frames::{CallCode, ChatContent, Problem};
use tacet_proto::{
    Capabilities, ErrorCode, ParticipantId, Role, TrackId,
    layers::LayerReason,
    media::{Codec, Source},
};

/// An event, or a piece of media.
///
/// Names and senders are authenticated by the secret of the room's link, not by the server. Events that rest on the
/// server's word alone say so: the server can hide or delay media, but cannot attribute it to another participant.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The connection's state has changed.
    Connection(ConnectionState),
    /// Everything that was lost is repaired; [`ConnectionState::Connected`] follows.
    Reconnected(Recovery),
    /// This machine's clock differs from the server's by this many seconds; positive if it is ahead. Beyond ten minutes the
    /// others reject this client's messages.
    ClockSkew(i64),
    /// A participant that holds the room's secret has joined.
    ParticipantJoined(Participant),
    /// A participant has changed its name.
    ParticipantRenamed(Participant),
    /// Nothing arrives from a participant, according to the server: it may come back, or leave.
    ParticipantAway(Participant),
    /// A participant that was away is back, according to the server.
    ParticipantBack(Participant),
    /// A participant has left.
    ParticipantLeft(Participant),
    /// A participant says something, to everyone.
    Chat {
        /// The participant whose key opened it.
        participant: Participant,
        /// What it says, without control characters but line feeds and tabs.
        content: ChatContent,
    },
    /// The encryption state of a participant's media has changed.
    Encryption {
        /// The sender.
        participant: ParticipantId,
        /// The new state.
        state: Encryption,
    },
    /// A key of this participant became usable.
    KeyInstalled(ParticipantId),
    /// This client's own key was ratcheted or rotated: a participant joined or left, or the key was old.
    Generation {
        /// Key generation.
        generation: u32,
        /// Ratchet step in it.
        step: u8,
    },
    /// The call code has changed, because a participant joined, left or returned, or this client has a new session. Changes
    /// that follow each other within a fifth of a second are one event.
    ///
    /// The code is equal on all devices with the same roster. People compare it by voice: if it differs, their devices do
    /// not see the same participants, and someone may stand between them.
    CallCode(CallCode),
    /// A message of a participant was rejected: it was altered, made with another link, or its clock is wrong. Or it is shown
    /// other participants than this client, or its key does not come. Repeated at most once a minute.
    Problem {
        /// The participant; `None` if it is unknown.
        participant: Option<ParticipantId>,
        /// What is wrong.
        problem: Problem,
    },
    /// A problem that lasts, [`Problem::RosterDiffers`] or [`Problem::KeyMissing`], is over. A participant that leaves takes
    /// its problems along.
    ProblemSolved {
        /// The participant.
        participant: ParticipantId,
        /// What was wrong.
        problem: Problem,
    },
    /// A participant publishes a track, according to the server.
    TrackAdded(RemoteTrack),
    /// A participant has unpublished a track, according to the server.
    TrackRemoved(RemoteTrack),
    /// A track was muted or unmuted, according to the server.
    TrackMuted(RemoteTrack),
    /// A track that is not muted has stopped, or flows again, according to the server.
    TrackStalled(RemoteTrack),
    /// Another layer of a video is received, according to the server.
    VideoLayer {
        /// The participant that publishes the video.
        participant: ParticipantId,
        /// What it captures.
        source: Source,
        /// Its height in lines; `None` while nothing is received, or if the server does not know it.
        height: Option<u16>,
        /// Why it has changed.
        reason: LayerReason,
    },
    /// The first audio frame of a source was opened: it is audible from now on.
    AudioReady {
        /// The authenticated sender.
        participant: ParticipantId,
        /// What the audio was captured from.
        source: Source,
    },
    /// Active speakers, loudest first, according to the server. Only the newest of these events is kept in the queue.
    ActiveSpeakers(Vec<(ParticipantId, Level)>),
    /// The server has accepted a track of this client.
    Published(Source),
    /// The server refused a track of this client.
    PublicationRefused {
        /// The track's source.
        source: Source,
        /// The server's reason.
        code: ErrorCode,
    },
    /// What this client is in the room has changed, according to the server. Tracks that it may no longer publish are refused
    /// with [`ErrorCode::Forbidden`].
    RoleChanged {
        /// Its role.
        role: Role,
        /// What it may do.
        capabilities: Capabilities,
    },
    /// A moderator asks for this client's microphone to be muted, according to the server. That is up to the application.
    MuteRequested(ParticipantId),
    /// The room was locked or unlocked, according to the server.
    RoomLocked(bool),
    /// A receiver of this client's video track needs a key frame.
    KeyFrameRequested(Source),
    /// 20 ms of all participants, mixed ([`super::AudioOutput::Mixed`]).
    MixedAudio(MixedAudio),
    /// 20 ms of one participant's audio ([`super::AudioOutput::PerParticipant`]).
    ParticipantAudio(ParticipantAudio),
    /// An encoded video frame of one participant.
    Video(VideoFrame),
    /// The call is over for this client. This is the last event.
    Ended(EndReason),
}

/// A participant whose announce was verified with the room's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Participant id, assigned by the server. It stays when the participant reconnects.
    pub id: ParticipantId,
    /// The name that the participant chose.
    pub name: String,
}

/// State of the connection.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionState {
    /// In the call; the media path is not up yet.
    Joined,
    /// The media path is up.
    Connected,
    /// Signaling, the media path or the keys are lost, and the client repairs them. What is not lost goes on: media may
    /// still flow. The participants stay on the roster.
    Reconnecting {
        /// Number of attempts that were made in this outage.
        attempt: u32,
        /// What was lost last, and why.
        cause: DisconnectReason,
    },
}

/// Encryption state of a participant's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// Its announce is authentic; its session key has not arrived yet.
    WaitingForKey,
    /// Its session key is installed, and its frames open.
    Verified,
    /// Its keys were rejected, or its frames do not open: none of its media is delivered.
    Broken,
}

/// A track that a participant publishes, according to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteTrack {
    /// Track id.
    pub track: TrackId,
    /// The participant that publishes it.
    pub participant: ParticipantId,
    /// What it captures.
    pub source: Source,
    /// Codec of its frames.
    pub codec: Codec,
    /// Whether its publisher has muted it.
    pub muted: bool,
    /// Whether no packets of it arrive at the server although it is not muted.
    pub stalled: bool,
}

/// 20 ms of all participants, mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct MixedAudio {
    /// Samples at 48 kHz, interleaved, between −1 and 1.
    pub samples: Vec<f32>,
    /// Level of each participant in the mix; silent participants are left out.
    pub levels: Vec<(ParticipantId, Level)>,
}

/// 20 ms of one participant's audio.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantAudio {
    /// The authenticated sender: the participant whose key opened it.
    pub participant: ParticipantId,
    /// What it was captured from.
    pub source: Source,
    /// Samples at 48 kHz, interleaved, between −1 and 1.
    pub samples: Vec<f32>,
    /// Level of the block.
    pub level: Level,
}

/// An encoded video frame, as the sender's encoder produced it. Frames of a track are delivered in decoding order; after a
/// loss the next one is a key frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFrame {
    /// The authenticated sender: the participant whose key opened it.
    pub participant: ParticipantId,
    /// What it was captured from.
    pub source: Source,
    /// Codec of the access unit.
    pub codec: Codec,
    /// Whether it is a key frame.
    pub key: bool,
    /// RTP timestamp, 90 kHz, from a random start.
    pub timestamp: u32,
    /// The access unit.
    pub data: Bytes,
}
