//! Messages from client to server.

use crate::{
    bytes::{Base64, Fixed},
    ids::{RoomId, TrackId},
    media::{ClientIce, Codec, Dtls, Kind, Source},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;

/// One text frame: a message and the number that its answer will repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEnvelope {
    /// Number of the request, chosen by the client; the answer carries it as `re`.
    pub id: Option<u32>,
    /// The message.
    pub message: ClientMessage,
}

/// A message, tagged by `t`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "t", rename_all = "lowercase")]
pub enum ClientMessage {
    /// First message: who asks, for which room.
    Hello(Hello),
    /// Enters the call.
    Join(Join),
    /// Renews the announce of a participant.
    Announce(Join),
    /// The client's transport parameters, once it has built its answer.
    Transport(ClientTransport),
    /// Publishes a track.
    Publish(Publish),
    /// Withdraws a track of one's own.
    Unpublish(TrackRef),
    /// Mutes one of the client's own tracks. The client has already stopped sending.
    Mute(TrackRef),
    /// Unmutes one of the client's own tracks.
    Unmute(TrackRef),
    /// Asks for tracks.
    Subscribe(Subscribe),
    /// Gives tracks back.
    Unsubscribe(Unsubscribe),
    /// The client has applied all slots of this revision and of those before.
    #[serde(rename = "slots.ready")]
    SlotsReady(SlotsReady),
    /// Asks for the whole roster, after a gap in its revisions.
    Resync(Empty),
    /// Asks for `pong`.
    Ping(Ping),
    /// Leaves the call.
    Leave(Empty),
}

/// A message without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(type = "Record<never, never>")]
pub struct Empty {}

/// Body of `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
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
}

/// What entitles a client to enter a room, tagged by `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Credential {
    /// The client has the room's link.
    #[serde(rename = "guest")]
    GuestAccess {
        /// HKDF of the link's invite secret, label "access". It admits to the room and opens no frame.
        #[ts(type = "string")]
        token: Fixed<32>,
    },
}

/// Body of `join` and `announce`: opaque to the server but for its length, which forwards both to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The signed announce of this device, [`crate::binary::ANNOUNCE_BYTES`] bytes.
    pub announce: Base64,
    /// The sealed name, at most [`crate::binary::MAX_DISPLAY_BYTES`] bytes.
    pub display: Base64,
}

/// Body of `transport`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct ClientTransport {
    /// ICE credentials of the client.
    pub ice: ClientIce,
    /// Certificate fingerprint of the client.
    pub dtls: Dtls,
}

/// Body of `publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The client's own name of the track, repeated in `published`.
    pub cid: String,
    /// Sound or picture.
    pub kind: Kind,
    /// Where it comes from.
    pub source: Source,
    /// Codec it is sent with.
    pub codec: Codec,
    /// Sending m-line.
    pub mid: String,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions, video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rtx: Option<u32>,
    /// Whether it starts muted.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub muted: bool,
}

/// Body of messages about one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct TrackRef {
    /// The track.
    pub track: TrackId,
}

/// Body of `subscribe`: either a rule or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Every track of the others, now and later.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub auto: bool,
    /// These tracks, at most 50.
    #[serde(default)]
    #[ts(as = "Option<Vec<TrackId>>", optional)]
    pub tracks: Vec<TrackId>,
}

/// Body of `unsubscribe`. Also ends `auto`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    /// These tracks, at most 50.
    pub tracks: Vec<TrackId>,
}

/// Body of `slots.ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct SlotsReady {
    /// Highest revision of `slots` that has been applied locally.
    pub rev: u32,
}

/// Body of `ping` and `pong`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The sender's clock in milliseconds, repeated in the answer.
    #[ts(type = "number")]
    pub ms: u64,
}

/// Why a text frame is not a client message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or not an object: the connection is closed with 1007.
    #[error("not a JSON object")]
    NotJson,
    /// An object whose `t` is unknown.
    #[error("unknown message type")]
    UnknownType {
        /// Number of the request, to be repeated.
        id: Option<u32>,
    },
    /// A known type with a malformed body. The text names fields, never values.
    #[error("malformed message: {reason}")]
    BadMessage {
        /// Number of the request, to be repeated.
        id: Option<u32>,
        /// What is wrong.
        reason: String,
    },
}

impl ClientMessage {
    /// Every value of `t`.
    pub const TYPES: [&'static str; 14] = [
        "hello",
        "join",
        "announce",
        "transport",
        "publish",
        "unpublish",
        "mute",
        "unmute",
        "subscribe",
        "unsubscribe",
        "slots.ready",
        "resync",
        "ping",
        "leave",
    ];
}

impl ClientEnvelope {
    /// Reads one text frame.
    ///
    /// Fields that the protocol does not know are refused, except under `ext`.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut object: Map<String, Value> = serde_json::from_str(text).map_err(|_| ParseError::NotJson)?;
        let id =
            match object.remove("id") {
                None => None,
                Some(value) => Some(value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| {
                    ParseError::BadMessage { id: None, reason: "id: not a 32-bit number".to_owned() }
                })?),
            };
        object.remove("ext");
        match object.get("t").and_then(Value::as_str) {
            Some(t) if ClientMessage::TYPES.contains(&t) => {}
            Some(_) => return Err(ParseError::UnknownType { id }),
            None => return Err(ParseError::BadMessage { id, reason: "t: missing or not text".to_owned() }),
        }
        match serde_json::from_value(Value::Object(object)) {
            Ok(message) => Ok(Self { id, message }),
            Err(error) => Err(ParseError::BadMessage { id, reason: describe(&error) }),
        }
    }

    /// Writes one text frame.
    ///
    /// # Panics
    /// Never: the message types hold nothing that JSON cannot.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::server::tagged_json(&self.message, self.id.map(|id| ("id", Value::from(id))))
    }
}

/// A description that names fields but repeats no value a client sent.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_a_field =
        ["missing field", "unknown field", "not ", "duplicate field"].iter().any(|p| text.starts_with(p));
    if names_a_field && text.len() <= 120 { text } else { "a field has the wrong type or value".to_owned() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    fn sample_messages() -> Vec<ClientMessage> {
        let track = TrackRef { track: TrackId(7) };
        let join = Join { announce: Base64(vec![1; 298]), display: Base64(vec![2; 40]) };
        vec![
            ClientMessage::Hello(Hello {
                room: RoomId(Fixed([3; 16])),
                credential: Credential::GuestAccess { token: Fixed([4; 32]) },
                client: "test".to_owned(),
                features: vec![],
            }),
            ClientMessage::Join(join.clone()),
            ClientMessage::Announce(join),
            ClientMessage::Transport(ClientTransport {
                ice: ClientIce { ufrag: "u".to_owned(), pwd: "p".to_owned() },
                dtls: Dtls { fingerprint: Fixed([5; 32]) },
            }),
            ClientMessage::Publish(Publish {
                cid: "camera".to_owned(),
                kind: Kind::Video,
                source: Source::Camera,
                codec: Codec::Vp8,
                mid: "sv".to_owned(),
                ssrc: 1,
                rtx: Some(2),
                muted: false,
            }),
            ClientMessage::Unpublish(track),
            ClientMessage::Mute(track),
            ClientMessage::Unmute(track),
            ClientMessage::Subscribe(Subscribe { auto: true, tracks: vec![] }),
            ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![TrackId(1)] }),
            ClientMessage::SlotsReady(SlotsReady { rev: 1 }),
            ClientMessage::Resync(Empty {}),
            ClientMessage::Ping(Ping { ms: 5 }),
            ClientMessage::Leave(Empty {}),
        ]
    }

    #[test]
    fn every_message_survives_the_wire_and_is_listed() {
        let messages = sample_messages();
        assert_eq!(messages.len(), ClientMessage::TYPES.len());
        for (message, t) in messages.into_iter().zip(ClientMessage::TYPES) {
            let envelope = ClientEnvelope { id: Some(9), message };
            let text = envelope.to_json();
            assert!(text.contains(&format!("\"t\":\"{t}\"")), "{text}");
            assert_eq!(ClientEnvelope::parse(&text), Ok(envelope));
        }
    }

    #[test]
    fn unknown_fields_are_refused_except_under_ext() {
        assert!(ClientEnvelope::parse(r#"{"t":"ping","ms":1,"ext":{"a":1}}"#).is_ok());
        let refused = ClientEnvelope::parse(r#"{"t":"ping","id":3,"ms":1,"extra":1}"#);
        assert!(matches!(refused, Err(ParseError::BadMessage { id: Some(3), .. })), "{refused:?}");
        let refused = ClientEnvelope::parse(r#"{"t":"leave","extra":1}"#);
        assert!(matches!(refused, Err(ParseError::BadMessage { .. })), "{refused:?}");
    }

    #[test]
    fn unknown_types_are_told_from_malformed_ones() {
        assert_eq!(ClientEnvelope::parse(r#"{"t":"dance","id":1}"#), Err(ParseError::UnknownType { id: Some(1) }));
        assert_eq!(ClientEnvelope::parse("[1]"), Err(ParseError::NotJson));
        assert_eq!(ClientEnvelope::parse("{"), Err(ParseError::NotJson));
        assert!(matches!(ClientEnvelope::parse("{}"), Err(ParseError::BadMessage { .. })));
        assert!(matches!(ClientEnvelope::parse(r#"{"t":"ping","id":-1}"#), Err(ParseError::BadMessage { .. })));
    }

    #[test]
    fn descriptions_repeat_no_value() {
        let Err(ParseError::BadMessage { reason, .. }) = ClientEnvelope::parse(r#"{"t":"ping","ms":"s3cret"}"#) else {
            panic!("accepted a text where a number belongs");
        };
        assert!(!reason.contains("s3cret"), "{reason}");
    }
}
