//! The JSON Schema (draft 7) of the text frames, envelopes included.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use tacet_proto::{ClientMessage, ServerMessage};

/// The schema: `#/definitions/ClientMessage` and `#/definitions/ServerMessage` are whole text frames.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft07();
    let client = settings.clone().for_deserialize().into_generator().into_root_schema_for::<ClientMessage>();
    let server = settings.for_serialize().into_generator().into_root_schema_for::<ServerMessage>();
    let mut definitions = Map::new();
    let number = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    let described = |text: &str| {
        let mut number = number.clone();
        number["description"] = json!(text);
        number
    };
    let id = described("Number of the request, chosen by the client. The answer repeats it as `re`.");
    let ext = json!({"description": "For experiments. The server ignores it."});
    add(&mut definitions, "ClientMessage", client.to_value(), &[("id", &id), ("ext", &ext)], &[]);
    let seq = described("Number of the message in its session, text and binary together; 0 if it is not counted.");
    let re = described("Number of the request that this answers.");
    add(&mut definitions, "ServerMessage", server.to_value(), &[("seq", &seq), ("re", &re)], &["seq"]);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Text frames of tacet.v1",
        "definitions": without_line_breaks(Value::Object(definitions)),
    })
}

/// Adds a message type under a name, with the fields of its envelope, and the types that it consists of.
fn add(
    definitions: &mut Map<String, Value>,
    name: &str,
    mut root: Value,
    envelope: &[(&str, &Value)],
    required: &[&str],
) {
    let object = root.as_object_mut().unwrap();
    let Some(Value::Object(mut parts)) = object.remove("definitions") else { panic!("{name} has no parts") };
    let Some(Value::Array(variants)) = object.get_mut("oneOf") else { panic!("{name} is no choice") };
    let mut bodies = Vec::new();
    for variant in variants {
        bodies.extend(take_body(variant, &parts));
        for (field, schema) in envelope {
            variant["properties"][field] = (*schema).clone();
        }
        variant["required"].as_array_mut().unwrap().extend(required.iter().map(|field| json!(field)));
    }
    // A body may also be part of another message.
    let refers = |text: &str, name: &str| text.contains(&format!("\"#/definitions/{name}\""));
    let text = json!([object["oneOf"], parts]).to_string();
    parts.retain(|name, _| !bodies.contains(name) || refers(&text, name));
    for (name, part) in parts {
        let before = definitions.insert(name.clone(), part.clone());
        assert!(before.is_none_or(|before| before == part), "{name} differs by direction");
    }
    let parts = ["description", "oneOf"].map(|part| (part.to_owned(), object.remove(part).unwrap()));
    definitions.insert(name.to_owned(), Value::Object(parts.into_iter().collect()));
}

/// Copies the body of a message, where it is a type to which the message refers, into the message. Returns its name.
fn take_body(variant: &mut Value, parts: &Map<String, Value>) -> Option<String> {
    let variant = variant.as_object_mut().unwrap();
    let reference = variant.remove("allOf")?;
    let name = reference[0]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    let body = &parts[name];
    if let Some(properties) = body["properties"].as_object() {
        variant["properties"].as_object_mut().unwrap().extend(properties.clone());
    }
    variant["required"].as_array_mut().unwrap().extend(body["required"].as_array().into_iter().flatten().cloned());
    Some(name.to_owned())
}

/// Descriptions are doc comments: with the line breaks of the source, and links to items of the crate.
fn without_line_breaks(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(plain(&text)),
        Value::Array(values) => values.into_iter().map(without_line_breaks).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, without_line_breaks(value))).collect(),
        other => other,
    }
}

/// The text of a doc comment for readers of the protocol: a constant is its value, a type its name.
fn plain(text: &str) -> String {
    use tacet_proto::{PROTOCOL, binary, client, encoding, layers, limits};
    let constants = [
        ("crate::binary::ANNOUNCE_BYTES", binary::ANNOUNCE_BYTES.to_string()),
        ("crate::binary::MAX_DISPLAY_BYTES", binary::MAX_DISPLAY_BYTES.to_string()),
        ("crate::limits::MAX_ROOM_TOKEN_BYTES", limits::MAX_ROOM_TOKEN_BYTES.to_string()),
        ("MAX_EXPECTED", client::MAX_EXPECTED.to_string()),
        ("MAX_ENCODINGS", encoding::MAX_ENCODINGS.to_string()),
        ("MAX_TILES", layers::MAX_TILES.to_string()),
        ("crate::PROTOCOL", format!("`{PROTOCOL}`")),
        ("crate::limits::type_rate", "its rate".to_owned()),
        ("Resume::Session", "`resume` of type `session`".to_owned()),
        ("Resume::Reload", "`resume` of type `reload`".to_owned()),
        ("Seat::MAX", tacet_proto::Seat::MAX.0.to_string()),
    ];
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, value) in constants {
        text = text.replace(&format!("[`{name}`]"), &value);
    }
    text
}
