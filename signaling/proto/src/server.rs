//! Messages from server to client.

use crate::{
    bytes::Fixed,
    error::ErrorCode,
    ids::{CallId, ParticipantId, Seat, SessionId, TrackId},
    layers::{Downlink, Layer, Want},
    media::{CodecParameters, Dtls, HeaderExtension, ServerIce, Slot, SlotSource, Track},
    resume::{Continues, Tokens},
    role::{Capabilities, Role},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A message, tagged by `t`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum ServerMessage {
    /// First message of the server.
    Challenge(Challenge),
    /// Answer to `hello`.
    Welcome(Welcome),
    /// Answer to `join`.
    Joined(Joined),
    /// Participants that joined, left, went away or are back.
    Roster(Roster),
    /// The server's transport parameters: after `join`, and as the answer to `ice.restart`. If it comes again without answering
    /// a request, it replaces a transport that has ended, with all its tracks and slots: the client sets up another one.
    Transport(ServerTransport),
    /// Answer to `publish`.
    Published(Published),
    /// Tracks that were published, withdrawn, muted and unmuted.
    Tracks(Tracks),
    /// Receiving m-lines to add, and their contents.
    Slots(Slots),
    /// What the client's slots receive has changed.
    Layer(Layer),
    /// Which encodings of the client's own tracks are wanted has changed.
    Want(Want),
    /// What is known of the path to the client has changed.
    Downlink(Downlink),
    /// The media path was connected or lost.
    #[serde(rename = "transport.state")]
    TransportState(TransportStateChange),
    /// The active speakers: a hint for layout. Whose frame it is, the authenticated KID says.
    Speakers(Speakers),
    /// What the client is in the room, and may do, has changed.
    Role(RoleChange),
    /// A moderator asks the client to mute its microphone. Whether it does is up to its user.
    #[serde(rename = "mute.request")]
    MuteRequest(MuteRequest),
    /// Who may come in has changed.
    Policy(Policy),
    /// Answer to a request without a specific answer.
    Ok(Ok),
    /// Answer to `ping`.
    Pong(Pong),
    /// The server ends the connection.
    Bye(Bye),
    /// A refused request.
    Error(ErrorMessage),
}

/// Body of `challenge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Challenge {
    /// Protocol name, [`crate::PROTOCOL`].
    pub protocol: String,
    /// Optional parts of the protocol that the server speaks.
    pub features: Vec<String>,
    /// To be signed by a client that continues a session.
    #[ts(type = "string")]
    pub nonce: Fixed<32>,
}

/// Body of `welcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Welcome {
    /// The client's participant id.
    pub participant: ParticipantId,
    /// The call.
    pub call: CallId,
    /// The client's session.
    pub session: SessionId,
    /// What the client still has of the session that it asked to continue.
    pub continues: Continues,
    /// What the client is in the room.
    pub role: Role,
    /// What it may do there: that of its role, or less if its token says so.
    pub capabilities: Capabilities,
    /// How to continue this session. Those of a client that has not joined yet are good while the server runs; it gets
    /// better ones with `joined`.
    pub tokens: Tokens,
    /// The server's wall clock, milliseconds since 1970.
    #[ts(type = "number")]
    pub time: u64,
    /// Limits of this connection.
    pub limits: Limits,
    /// Payload types.
    pub codecs: Vec<CodecParameters>,
    /// Header extensions.
    pub hdrext: Vec<HeaderExtension>,
    /// Optional parts of the protocol that both sides speak.
    pub features: Vec<String>,
}

/// Limits of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Limits {
    /// Maximum number of messages in any second.
    pub rate: u32,
    /// Largest message in bytes.
    pub bytes: u32,
}

/// Body of `joined`. The announces of those present follow as binary messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Joined {
    /// The client's own seat.
    pub seat: Seat,
    /// Revision of the roster that follows.
    pub rev: u32,
    /// The other participants.
    pub roster: Vec<RosterEntry>,
    /// Their tracks.
    pub tracks: Vec<Track>,
    /// Who may come in.
    pub policy: Policy,
    /// The server has restarted, and more participants of this call are expected back: those that the client knows have not
    /// left until a `full` roster says so, or for 40 seconds.
    pub gathering: bool,
    /// How to continue the session, also on a server that has restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tokens: Option<Tokens>,
}

/// A participant. Names and keys travel in its announce, not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RosterEntry {
    /// Its id.
    pub participant: ParticipantId,
    /// Its seat.
    pub seat: Seat,
    /// Whether neither the participant nor its media has been heard of for some seconds; it may return.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub away: bool,
    /// What it is in the room; a speaker if absent.
    #[serde(default = "speaker", skip_serializing_if = "is_speaker")]
    #[ts(as = "Option<Role>", optional)]
    pub role: Role,
    /// Whether its hand is up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub hand: bool,
}

/// Most participants are speakers.
const fn speaker() -> Role {
    Role::Speaker
}

// As serde calls it.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_speaker(role: &Role) -> bool {
    matches!(role, Role::Speaker)
}

/// Body of `roster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Roster {
    /// Revision after this change; a client that misses one sends `resync`.
    pub rev: u32,
    /// Whether `add` is the whole roster: as the answer to `resync`, and at the end of gathering.
    pub full: bool,
    /// Participants that joined.
    pub add: Vec<RosterEntry>,
    /// Participants that left.
    pub del: Vec<ParticipantId>,
    /// Participants that went away or are back, have another role, or raised or lowered their hand: in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<RosterEntry>>", optional)]
    pub upd: Vec<RosterEntry>,
}

/// Body of `transport`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ServerTransport {
    /// ICE parameters; the server is lite and sends no checks.
    pub ice: ServerIce,
    /// Certificate fingerprint of the server.
    pub dtls: Dtls,
}

/// Body of `published`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Published {
    /// The client's own name for the track.
    pub cid: String,
    /// Its id.
    pub track: TrackId,
}

/// Body of `tracks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Tracks {
    /// New tracks.
    pub add: Vec<Track>,
    /// Withdrawn tracks.
    pub del: Vec<TrackId>,
    /// Tracks that were muted or unmuted, or whose media stopped or came back, in full.
    pub upd: Vec<Track>,
}

/// Body of `slots`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Slots {
    /// Revision, to be confirmed by `slots.ready` once applied; only then does media flow in new slots.
    pub rev: u32,
    /// New m-lines, in the order of appending.
    pub add: Vec<Slot>,
    /// New contents.
    pub set: Vec<SlotSource>,
}

/// Body of `transport.state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TransportStateChange {
    /// The new state.
    pub state: TransportState,
}

/// State of the media path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum TransportState {
    /// SRTP keys are in use.
    Connected,
    /// No connectivity check has arrived for a while; the path may recover.
    Disconnected,
    /// The handshake failed: wrong fingerprint, no common SRTP profile.
    Failed,
}

/// Body of `speakers`, loudest first, at most five times a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Speakers {
    /// Participants and their levels.
    pub speakers: Vec<Speaker>,
}

/// An active speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Speaker {
    /// The participant.
    pub participant: ParticipantId,
    /// Level in -dBov (RFC 6464): 0 is loudest, 127 is silence.
    pub level: u8,
}

/// Body of `role`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RoleChange {
    /// What it is from now on.
    pub role: Role,
    /// What it may do.
    pub capabilities: Capabilities,
    /// Its own tracks that it may no longer publish. The server forwards nothing of them any more; the client stops sending them.
    pub withdrawn: Vec<TrackId>,
}

/// Body of `mute.request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MuteRequest {
    /// Who asks, according to the server.
    pub by: ParticipantId,
}

/// Who may come in. Body of `policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Policy {
    /// Whether the room is locked.
    pub locked: bool,
}

/// Body of `ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(type = "Record<never, never>")]
pub struct Ok {}

/// Body of `bye`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Bye {
    /// The cause.
    pub reason: ByeReason,
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum ByeReason {
    /// The client asked to leave.
    Left,
    /// The server is stopping and may start again: the session can be continued there.
    Restart,
}

/// Body of `pong`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Pong {
    /// The clock of the `ping`.
    #[ts(type = "number")]
    pub ms: u64,
    /// New tokens of a client that has joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tokens: Option<Tokens>,
}

/// Body of `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ErrorMessage {
    /// The cause.
    pub code: ErrorCode,
    /// After how many milliseconds the request may be repeated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub retry_ms: Option<u32>,
    /// For people. Repeats nothing that another client sent.
    pub detail: String,
}
