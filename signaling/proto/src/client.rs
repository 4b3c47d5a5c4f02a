//! Messages from client to server.

use crate::{
    bytes::{Base64, Fixed},
    ids::{ParticipantId, RoomId, TrackId},
    media::{ClientIce, Codec, Dtls, Kind, Source},
    resume::Expected,
    role::Role,
};
pub use crate::{
    encoding::{Encoding, MAX_ENCODINGS},
    layers::{Layers, MAX_TILES, Tile},
    ping::Ping,
    resume::Resume,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Maximum number of participants that a join names as expected.
pub const MAX_EXPECTED: usize = 300;

/// A message, tagged by `t`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum ClientMessage {
    /// First message: the room, and what entitles the client to enter it.
    Hello(Hello),
    /// Enters the call.
    Join(Join),
    /// Renews the announce of a participant.
    Announce(Announce),
    /// The client's transport parameters, once it has built its answer.
    Transport(ClientTransport),
    /// Publishes a track.
    Publish(Publish),
    /// Withdraws one of the client's own tracks.
    Unpublish(TrackRef),
    /// Mutes one of the client's own tracks. The client has already stopped sending.
    Mute(TrackRef),
    /// Unmutes one of the client's own tracks.
    Unmute(TrackRef),
    /// The participant begins or stops to speak: in place of audio levels in packets, where the table of header extensions has
    /// none.
    Speech(Speech),
    /// Asks for tracks: either for all, or for some.
    Subscribe(Subscribe),
    /// No longer asks for tracks.
    Unsubscribe(Unsubscribe),
    /// What the client shows, and how large.
    Layers(Layers),
    /// The client has applied all slots of this revision and of those before.
    #[serde(rename = "slots.ready")]
    SlotsReady(SlotsReady),
    /// Asks for the whole roster, after a gap in its revisions.
    Resync(Empty),
    /// The client has received all messages up to a number, so the server need not keep them.
    Ack(Ack),
    /// The client is alive. Sent each second in which none of its media leaves, by whatever seals its frames: a frozen page
    /// sends none.
    Heartbeat(Empty),
    /// The page is being unloaded, and may return.
    Away(Empty),
    /// Asks for new ICE credentials of the server, for an ICE restart (RFC 8445 section 2.4); answered by `transport`.
    #[serde(rename = "ice.restart")]
    IceRestart(Empty),
    /// Raises or lowers the participant's own hand.
    Hand(Hand),
    /// Asks a participant to mute itself, which is up to it. No message of anyone unmutes anyone.
    #[serde(rename = "mute.request")]
    MuteRequest(Target),
    /// Removes a participant from the call. It may come back as another one.
    Kick(Target),
    /// Removes a participant, and refuses its device and token from then on. If guests come in by link, the room is locked as well.
    Ban(Target),
    /// Locks the room, or unlocks it: newcomers are not let in, but for those that may moderate.
    Lock(Lock),
    /// Assigns another role to a participant.
    Role(Assign),
    /// Ends the room for all: its link opens nothing any more.
    End(Empty),
    /// Asks for `pong`.
    Ping(Ping),
    /// Leaves the call.
    Leave(Empty),
}

/// A message without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(type = "Record<never, never>")]
pub struct Empty {}

/// Body of `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The room.
    pub room: RoomId,
    /// What entitles the client to enter.
    pub credential: Credential,
    /// Name and version of the client software.
    pub client: String,
    /// Optional parts of the protocol that the client speaks.
    #[serde(default)]
    #[ts(as = "Option<Vec<String>>", optional)]
    pub features: Vec<String>,
    /// The session that the client continues, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub resume: Option<Resume>,
}

/// What entitles a client to enter a room, tagged by `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Credential {
    /// The client has the room's link.
    #[serde(rename = "guest")]
    GuestAccess {
        /// HKDF of the link's invite secret, label "access". It admits to the room and opens no frame.
        #[ts(type = "string")]
        token: Fixed<32>,
    },
    /// The client has a token that this server made for the room. It says in which role, and until when, and replaces the access
    /// token; frames open by the link's secret all the same.
    #[serde(rename = "room")]
    RoomToken {
        /// A JWT, at most [`crate::limits::MAX_ROOM_TOKEN_BYTES`] bytes.
        token: String,
    },
}

/// Body of `join`. The server checks lengths only, and forwards announce and display to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The signed announce of this device, [`crate::binary::ANNOUNCE_BYTES`] bytes.
    pub announce: Base64,
    /// The sealed name, at most [`crate::binary::MAX_DISPLAY_BYTES`] bytes.
    pub display: Base64,
    /// The others that a client which continues its seat still has on its roster, at most [`MAX_EXPECTED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Expected>>", optional)]
    pub expects: Vec<Expected>,
}

/// Body of `announce`: that of `join` without expectations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// The renewed announce, whose number has grown.
    pub announce: Base64,
    /// The sealed name.
    pub display: Base64,
}

/// Body of `ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// Number of the last message that arrived, text or binary.
    pub seq: u32,
}

/// Body of `transport`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct ClientTransport {
    /// ICE credentials of the client.
    pub ice: ClientIce,
    /// Certificate fingerprint of the client.
    pub dtls: Dtls,
}

/// Body of `publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The client's own name for the track, 1 to 64 visible characters, repeated in `published`.
    pub cid: String,
    /// Kind of media.
    pub kind: Kind,
    /// Where the media come from.
    pub source: Source,
    /// Codec of its packets.
    pub codec: Codec,
    /// MID of the sending m-line, 1 to 16 visible characters.
    pub mid: String,
    /// Its encodings, at most [`MAX_ENCODINGS`], the lowest quality first. Audio has one.
    pub encodings: Vec<Encoding>,
    /// Whether it starts muted.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub muted: bool,
}

/// Body of messages about one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct TrackRef {
    /// The track.
    pub track: TrackId,
}

/// Body of `speech`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Speech {
    /// The client's own track of audio.
    pub track: TrackId,
    /// Whether its participant speaks from now on.
    pub speaking: bool,
}

/// Body of `subscribe`: either a rule or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Every track of the others, now and later.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub auto: bool,
    /// These tracks, 1 to 50, if not `auto`.
    #[serde(default)]
    #[ts(as = "Option<Vec<TrackId>>", optional)]
    pub tracks: Vec<TrackId>,
}

/// Body of `unsubscribe`. Also ends `auto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    /// These tracks, at most 50.
    pub tracks: Vec<TrackId>,
}

/// Body of `slots.ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct SlotsReady {
    /// Highest revision of `slots` that has been applied locally.
    pub rev: u32,
}

/// Body of `hand`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Hand {
    /// Whether it is up. The server and all others see that.
    pub raised: bool,
}

/// Body of messages about another participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The participant.
    pub participant: ParticipantId,
}

/// Body of `lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Whether the room is locked from now on.
    pub locked: bool,
}

/// Body of `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The participant.
    pub participant: ParticipantId,
    /// What it is from now on.
    pub role: Role,
}

impl ClientMessage {
    /// Every value of `t`.
    pub const TYPES: [&'static str; 27] = [
        "hello",
        "join",
        "announce",
        "transport",
        "publish",
        "unpublish",
        "mute",
        "unmute",
        "speech",
        "subscribe",
        "unsubscribe",
        "layers",
        "slots.ready",
        "resync",
        "ack",
        "heartbeat",
        "away",
        "ice.restart",
        "hand",
        "mute.request",
        "kick",
        "ban",
        "lock",
        "role",
        "end",
        "ping",
        "leave",
    ];
}
