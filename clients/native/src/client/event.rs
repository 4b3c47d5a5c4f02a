//! What a client tells its application.

use super::end::{EndReason, Loss};
use crate::audio::Level;
use bytes::Bytes;
use e2ee_frames::Problem;
use tacet_proto::{
    ErrorCode, ParticipantId, TrackId,
    media::{Codec, Source},
};

/// One thing that happened, or one piece of media.
///
/// Names and senders are authenticated by the secret of the room's link, not by the server. What the server alone says
/// is marked so: it can hide or delay, and cannot make one participant's media pass for another's.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// The connection's state has changed.
    Connection(ConnectionState),
    /// A participant has joined, and holds the room's secret.
    ParticipantJoined(Participant),
    /// A participant has another name now.
    ParticipantRenamed(Participant),
    /// A participant has left, or is out of sight while this client reconnects.
    ParticipantLeft(Participant),
    /// How well a participant's media is protected has changed.
    Encryption {
        /// Who.
        participant: ParticipantId,
        /// The new state.
        state: Encryption,
    },
    /// A key of this participant became usable.
    KeyInstalled(ParticipantId),
    /// This client's own key moved on: somebody joined or left, or it was time.
    Generation {
        /// Key generation.
        generation: u32,
        /// Ratchet step in it.
        step: u8,
    },
    /// A message of somebody was refused: altered, made with another link, or by a clock that is off.
    Problem {
        /// Whose; `None` if that is unknown.
        participant: Option<ParticipantId>,
        /// What was wrong with it.
        problem: Problem,
    },
    /// A participant publishes this, as the server says.
    TrackAdded(RemoteTrack),
    /// A participant no longer publishes this, as the server says.
    TrackRemoved(RemoteTrack),
    /// A track was muted or unmuted, as the server says.
    TrackMuted(RemoteTrack),
    /// The first frame of this sound was opened: from here on it is heard.
    AudioReady {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        source: Source,
    },
    /// Who is loud, loudest first, as the server says. Only the newest is kept.
    Speakers(Vec<(ParticipantId, Level)>),
    /// A track of this client is known to the server.
    Published(Source),
    /// The server refuses a track of this client.
    PublicationRefused {
        /// Which.
        source: Source,
        /// Why.
        code: ErrorCode,
    },
    /// A receiver of this track of ours needs a key frame.
    KeyFrameWanted(Source),
    /// 20 ms of everyone ([`super::SoundOutput::Mixed`]).
    Mixed(Mixed),
    /// 20 ms of one participant ([`super::SoundOutput::Separate`]).
    Sound(Sound),
    /// A picture of one participant.
    Video(VideoFrame),
    /// The call is over for this client. Nothing follows.
    Ended(EndReason),
}

/// A participant whose announce was verified with the room's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The server's number of it, a new one each time that it connects.
    pub id: ParticipantId,
    /// The name it gave itself.
    pub name: String,
}

/// State of the connection.
#[derive(Clone, Debug, PartialEq)]
pub enum ConnectionState {
    /// In the call, media to follow.
    Joined,
    /// Media flows.
    Connected,
    /// The media path is silent. It may come back; if not, the connection is made anew.
    Interrupted,
    /// The connection is lost and made anew, with new keys.
    Reconnecting {
        /// Number of the attempt that comes next, from 1.
        attempt: u32,
        /// Why it is not connected.
        cause: Loss,
    },
}

/// How well a participant's media is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// It is who it says, as far as the link tells, and its key has not come yet.
    WaitingForKey,
    /// Its key is here, and its frames open.
    Verified,
    /// Its keys were refused, or its frames do not open: nothing of it is shown.
    Broken,
}

/// A track that a participant publishes, as the server lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteTrack {
    /// Its number.
    pub track: TrackId,
    /// Whose.
    pub participant: ParticipantId,
    /// Which.
    pub source: Source,
    /// Its codec.
    pub codec: Codec,
    /// Whether its owner has paused it.
    pub muted: bool,
}

/// 20 ms of everyone.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// Samples at 48 kHz, interleaved, between −1 and 1.
    pub samples: Vec<f32>,
    /// How loud each participant in it is. Who is silent is left out.
    pub levels: Vec<(ParticipantId, Level)>,
}

/// 20 ms of one participant.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Whose, by the key that opened it.
    pub participant: ParticipantId,
    /// Which.
    pub source: Source,
    /// Samples at 48 kHz, interleaved, between −1 and 1.
    pub samples: Vec<f32>,
    /// How loud it is.
    pub level: Level,
}

/// An encoded picture, as its sender's encoder made it. Pictures of a track come in the order of decoding; after a loss,
/// the next one is a key frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFrame {
    /// Whose, by the key that opened it.
    pub participant: ParticipantId,
    /// Which.
    pub source: Source,
    /// Its codec.
    pub codec: Codec,
    /// Whether it can be decoded alone.
    pub key: bool,
    /// RTP timestamp, 90 kHz, of any start.
    pub timestamp: u32,
    /// The access unit.
    pub data: Bytes,
}
