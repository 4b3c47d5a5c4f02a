//! Envelopes of text frames: what surrounds a message on the wire, in both directions.

use crate::{client::ClientMessage, server::ServerMessage};
use serde::Serialize;
use serde_json::{Map, Value};

/// One text frame: a message and the number that its answer will repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEnvelope {
    /// Number of the request, chosen by the client; the answer carries it as `re`.
    pub id: Option<u32>,
    /// The message.
    pub message: ClientMessage,
}

/// One text frame: a message, its running number, and the request it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEnvelope {
    /// Running number of the messages of this session, JSON and binary together, from 1. A message with 0 is not counted and
    /// not sent again on another connection: `challenge`, `welcome`, `pong`, `bye`, `speakers`, and errors of the connection.
    pub seq: u32,
    /// Number of the request that this answers.
    pub re: Option<u32>,
    /// The message.
    pub message: ServerMessage,
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
        /// Number of the request, which the answer repeats.
        id: Option<u32>,
    },
    /// A known type with a malformed body. The text names fields, never values.
    #[error("malformed message: {reason}")]
    BadMessage {
        /// Number of the request, which the answer repeats.
        id: Option<u32>,
        /// What is wrong.
        reason: String,
    },
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
    #[must_use]
    pub fn to_json(&self) -> String {
        tagged_json(&self.message, self.id.map(|id| ("id", Value::from(id))))
    }
}

impl ServerEnvelope {
    /// Reads one text frame. A client ignores [`ParseError::UnknownType`], and fields it does not know.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut object: Map<String, Value> = serde_json::from_str(text).map_err(|_| ParseError::NotJson)?;
        let mut number =
            |field: &str| object.remove(field).and_then(|v| v.as_u64()).and_then(|n| u32::try_from(n).ok());
        let (seq, re) = (number("seq"), number("re"));
        let bad = |reason: String| ParseError::BadMessage { id: re, reason };
        let seq = seq.ok_or_else(|| bad("seq: missing".to_owned()))?;
        let message = serde_json::from_value(Value::Object(object)).map_err(|error| match error.to_string() {
            text if text.starts_with("unknown variant") => ParseError::UnknownType { id: re },
            text => bad(text),
        })?;
        Ok(Self { seq, re, message })
    }

    /// Writes one text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        let numbers = [Some(("seq", Value::from(self.seq))), self.re.map(|re| ("re", Value::from(re)))];
        tagged_json(&self.message, numbers.into_iter().flatten())
    }
}

/// A description that names fields but repeats no value a client sent.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_a_field =
        ["missing field", "unknown field", "not ", "duplicate field"].iter().any(|p| text.starts_with(p));
    if names_a_field && text.len() <= 120 { text } else { "a field has the wrong type or value".to_owned() }
}

/// Writes a message as one JSON object, with the envelope's numbers behind its own fields.
fn tagged_json<M: Serialize>(message: &M, numbers: impl IntoIterator<Item = (&'static str, Value)>) -> String {
    let mut value = serde_json::to_value(message).unwrap_or(Value::Null);
    debug_assert!(value.is_object(), "a message is an object");
    if let Some(object) = value.as_object_mut() {
        for (name, number) in numbers {
            object.insert(name.to_owned(), number);
        }
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused_except_under_ext() {
        assert!(ClientEnvelope::parse(r#"{"t":"ping","ms":1,"ext":{"a":1}}"#).is_ok());
        let refused = ClientEnvelope::parse(r#"{"t":"ping","id":3,"ms":1,"extra":1}"#);
        assert!(matches!(refused, Err(ParseError::BadMessage { id: Some(3), .. })), "{refused:?}");
        let refused = ClientEnvelope::parse(r#"{"t":"leave","extra":1}"#);
        assert!(matches!(refused, Err(ParseError::BadMessage { .. })), "{refused:?}");
    }

    #[test]
    fn unknown_type_differs_from_malformed_message() {
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
