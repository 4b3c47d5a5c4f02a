//! Text frames, in both directions.
//!
//! Asserts that what is accepted reads the same once it is written again, and that a refusal repeats no value of the message.

use crate::genuine::{CLIENT_TEXTS, SERVER_TEXTS};
use tacet_fuzz::Script;
use tacet_proto::{ClientEnvelope, ParseError, ServerEnvelope};

/// A value in a message that no refusal may repeat.
const VALUE: &str = "paWl";

/// Input: a direction, and edits of a genuine frame.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let is_of_client = script.byte().unwrap_or_default().is_multiple_of(2);
    let genuine: &[&str] = if is_of_client { &CLIENT_TEXTS } else { &SERVER_TEXTS };
    let genuine: Vec<_> = genuine.iter().map(|text| text.as_bytes()).collect();
    let frame = script.edit(&genuine);
    let Ok(text) = str::from_utf8(&frame) else { return };
    if is_of_client {
        match ClientEnvelope::parse(text) {
            Ok(envelope) => assert_eq!(ClientEnvelope::parse(&envelope.to_json()), Ok(envelope)),
            Err(error) => check_refusal(&error, text),
        }
    } else if let Ok(envelope) = ServerEnvelope::parse(text) {
        assert_eq!(ServerEnvelope::parse(&envelope.to_json()), Ok(envelope));
    }
}

/// A refusal is short. It names fields, which come from the client, and no value.
fn check_refusal(error: &ParseError, text: &str) {
    let ParseError::BadMessage { reason, .. } = error else { return };
    assert!(reason.len() <= 120, "{reason}");
    let is_a_field = text.contains(&format!("{VALUE}\":")) || text.contains(&format!("{VALUE}\" "));
    assert!(is_a_field || !reason.contains(VALUE), "{reason}");
}
