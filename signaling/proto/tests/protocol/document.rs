//! The generated parts of `docs/protocol.md`, between `<!-- generated: NAME -->` and `<!-- end -->`.

use crate::{examples, schema::schema};
use serde_json::Value;
use std::fmt::Write as _;
use tacet_proto::{ClientEnvelope, CloseCode, MessageType, ServerEnvelope, limits};

const END: &str = "<!-- end -->";

/// The document with its generated parts as they should be.
pub(crate) fn filled(text: &str) -> String {
    let schema = schema();
    let mut parts = text.split("<!-- generated: ");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->").expect("the name of a generated part");
        let (_, behind) = rest.split_once(END).expect("the end of a generated part");
        let generated = match name {
            "client messages" => {
                let examples = examples::of_client().iter().map(ClientEnvelope::to_json).collect();
                messages(&schema["definitions"]["ClientMessage"], &["t", "id", "ext"], examples)
            }
            "server messages" => {
                let examples = examples::of_server().iter().map(ServerEnvelope::to_json).collect();
                messages(&schema["definitions"]["ServerMessage"], &["t", "seq", "re"], examples)
            }
            "objects" => objects(&schema),
            "errors" => values(&schema["definitions"]["ErrorCode"]),
            "close codes" => close_codes(),
            "rates" => rates(),
            other => panic!("{other} is not generated"),
        };
        let _ = write!(filled, "<!-- generated: {name} -->\n\n{}\n\n{END}{behind}", generated.trim_end());
    }
    filled
}

/// A section for each message: what it is for, its fields but for those of the envelope, and an example.
fn messages(definition: &Value, envelope: &[&str], examples: Vec<String>) -> String {
    let mut text = String::new();
    for (variant, example) in variants(definition).iter().zip(examples) {
        let t = variant["properties"]["t"]["const"].as_str().expect("the type of a message");
        let _ = writeln!(text, "### `{t}`\n\n{}\n", description(variant));
        text.push_str(&fields(variant, envelope));
        let _ = writeln!(text, "```json\n{example}\n```\n");
    }
    text
}

/// A section for each type that messages consist of; base64 is explained elsewhere.
fn objects(schema: &Value) -> String {
    let mut text = String::new();
    let definitions = schema["definitions"].as_object().expect("definitions");
    for (name, definition) in definitions {
        let is_message = name.ends_with("Message") && definition["oneOf"].is_array();
        // What is a part of one message alone is in its section.
        if is_message || definition["pattern"].is_string() || name == "ErrorCode" || !is_used(definitions, name) {
            continue;
        }
        let _ = writeln!(text, "### {name}\n\n{}\n", description(definition));
        if definition["properties"].is_object() {
            text.push_str(&fields(definition, &[]));
        } else if variants(definition).iter().any(|variant| variant["const"].is_string()) {
            let _ = writeln!(text, "{}", values(definition));
        } else if !variants(definition).is_empty() {
            for variant in variants(definition) {
                let tag = variant["properties"]["type"]["const"].as_str();
                let name = tag.map_or_else(|| kind(variant), |tag| format!("`type: \"{tag}\"`"));
                let _ = writeln!(text, "{name}: {}\n", description(variant));
                text.push_str(&fields(variant, &["type"]));
            }
        } else {
            let _ = writeln!(text, "On the wire: {}.\n", kind(definition));
        }
    }
    text
}

/// Whether a field of a message, or of another type, has this type: bodies of messages do not count.
fn is_used(definitions: &serde_json::Map<String, Value>, name: &str) -> bool {
    let reference = format!("\"$ref\":\"#/definitions/{name}\"");
    definitions.values().any(|definition| definition.to_string().contains(&reference))
}

/// A table of fields, those with these names left out; nothing if there are no others.
fn fields(object: &Value, left_out: &[&str]) -> String {
    let Some(properties) = object["properties"].as_object() else { return String::new() };
    let required: Vec<_> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut shown = properties.iter().filter(|(name, _)| !left_out.contains(&name.as_str())).peekable();
    if shown.peek().is_none() {
        return String::new();
    }
    let mut text = String::from("| field | type | |\n|---|---|---|\n");
    for (name, field) in shown {
        let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
        let _ = writeln!(text, "| `{name}` | {}{optional} | {} |", kind(field), description(field));
    }
    text.push('\n');
    text
}

/// A table of the values of an enumeration.
fn values(definition: &Value) -> String {
    let mut text = String::from("| value | |\n|---|---|\n");
    for variant in variants(definition) {
        let value = variant["const"].as_str().expect("a value");
        let _ = writeln!(text, "| `{value}` | {} |", description(variant));
    }
    text
}

fn close_codes() -> String {
    let schema = schemars::schema_for!(CloseCode).to_value();
    let mut text = String::from("| code | |\n|---|---|\n");
    for (code, variant) in CloseCode::ALL.iter().zip(variants(&schema)) {
        assert_eq!(variant["const"].as_str(), Some(format!("{code:?}").as_str()), "in the order of declaration");
        let _ = writeln!(text, "| {} | {} |", code.code(), description(variant));
    }
    text
}

fn rates() -> String {
    let mut text = String::from("| type | at once | then one each |\n|---|---|---|\n");
    for kind in MessageType::ALL {
        let limits::TypeRate { burst, every_ms } = limits::type_rate(*kind);
        let _ = writeln!(text, "| `{}` | {burst} | {every_ms} ms |", kind.name());
    }
    text
}

fn variants(definition: &Value) -> &[Value] {
    let choice = definition["oneOf"].as_array().or_else(|| definition["anyOf"].as_array());
    choice.map_or(&[], Vec::as_slice)
}

fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    assert!(!text.contains("[`"), "a link that readers of the protocol cannot follow: {text}");
    text.replace('|', "\\|")
}

/// The type of a value in words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return named(reference);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.first().map(kind).expect("a part");
    }
    let mut choices = variants(schema).iter().filter(|choice| choice["type"] != "null");
    if let (Some(only), None) = (choices.next(), choices.next()) {
        return kind(only);
    }
    match schema["type"].as_str().or_else(|| schema["type"][0].as_str()) {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("integer") => number(schema),
        Some("boolean") => "boolean".to_owned(),
        Some("string") => "text".to_owned(),
        _ => "any".to_owned(),
    }
}

/// A number, with its size.
fn number(schema: &Value) -> String {
    let format = schema["format"].as_str().unwrap_or("uint32");
    format!("number, {} bits", format.trim_start_matches("uint"))
}

/// The name of a type, with a link to its section; base64 by its length.
fn named(reference: &str) -> String {
    let name = reference.rsplit('/').next().unwrap_or_default();
    if name == "Base64" {
        return "base64".to_owned();
    }
    if let Some(bytes) = name.strip_prefix("Bytes") {
        return format!("base64 of {bytes} bytes");
    }
    if name == "ErrorCode" {
        return "[error code](#errors)".to_owned();
    }
    format!("[{name}](#{})", name.to_lowercase())
}
