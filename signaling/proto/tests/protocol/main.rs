//! `docs/protocol.md` and `docs/protocol.schema.json` are generated from the wire messages, with an example of each.
//!
//! `make types` writes them; without `UPDATE=1` the tests fail when one is stale.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod document;
mod examples;
mod schema;

use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};
use tacet_proto::{ClientEnvelope, ClientMessage, ServerEnvelope};

fn docs(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Compares a file of the documentation with what it should be, or writes it.
fn assert_current(name: &str, wanted: &str) {
    let path = docs(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, wanted).expect("write the document");
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == wanted, "{} is stale: run `make types`", path.display());
}

#[test]
fn schema_is_current() {
    let text = serde_json::to_string_pretty(&schema::schema()).unwrap();
    assert_current("protocol.schema.json", &format!("{text}\n"));
}

#[test]
fn document_is_current() {
    let text = fs::read_to_string(docs("protocol.md")).unwrap();
    assert_current("protocol.md", &document::filled(&text));
}

/// The value of `t` of each message in the schema.
fn types(direction: &str) -> Vec<String> {
    let schema = schema::schema();
    let variants = schema["definitions"][direction]["oneOf"].as_array().unwrap().clone();
    variants.iter().map(|variant| variant["properties"]["t"]["const"].as_str().unwrap().to_owned()).collect()
}

/// The value of `t` of a message.
fn type_of(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap()["t"].as_str().unwrap().to_owned()
}

#[test]
fn client_messages_round_trip_and_are_listed() {
    let messages = examples::of_client();
    for envelope in &messages {
        assert_eq!(ClientEnvelope::parse(&envelope.to_json()).as_ref(), Ok(envelope));
    }
    let shown: Vec<_> = messages.iter().map(|envelope| type_of(&envelope.to_json())).collect();
    assert_eq!(shown, types("ClientMessage"));
    assert_eq!(shown, ClientMessage::TYPES);
}

#[test]
fn server_messages_round_trip_and_are_listed() {
    let messages = examples::of_server();
    for envelope in &messages {
        assert_eq!(ServerEnvelope::parse(&envelope.to_json()).as_ref(), Ok(envelope));
    }
    let shown: Vec<_> = messages.iter().map(|envelope| type_of(&envelope.to_json())).collect();
    assert_eq!(shown, types("ServerMessage"));
}

#[test]
fn fields_of_examples_are_in_the_schema() {
    let schema = schema::schema();
    let examples = examples::of_client().into_iter().map(|envelope| ("ClientMessage", envelope.to_json()));
    for (direction, text) in examples.chain(examples::of_server().into_iter().map(|e| ("ServerMessage", e.to_json()))) {
        let message: Value = serde_json::from_str(&text).unwrap();
        let variants = schema["definitions"][direction]["oneOf"].as_array().unwrap();
        let variant = variants.iter().find(|variant| variant["properties"]["t"]["const"] == message["t"]).unwrap();
        let known: BTreeSet<_> = variant["properties"].as_object().unwrap().keys().collect();
        let shown: BTreeSet<_> = message.as_object().unwrap().keys().collect();
        assert!(shown.is_subset(&known), "{text}");
        let required = variant["required"].as_array().unwrap().iter().map(|field| field.as_str().unwrap());
        assert!(required.into_iter().all(|field| message.get(field).is_some()), "{text}");
    }
}
