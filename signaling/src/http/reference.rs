//! `GET /v1/docs`: the document of the API as a page for people, without a script.

use super::{Server, openapi};
use axum::{
    Router,
    http::{
        HeaderName,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    routing::get,
};
use serde_json::Value;
use std::{fmt::Write, sync::LazyLock};

pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/v1/docs", get(async || typed("text/html; charset=utf-8", &PAGE)))
        .route("/v1/docs.css", get(async || typed("text/css; charset=utf-8", STYLE)))
}

fn typed(mime: &'static str, text: &'static str) -> ([(HeaderName, &'static str); 2], &'static str) {
    ([(CONTENT_TYPE, mime), (CACHE_CONTROL, "no-cache")], text)
}

const STYLE: &str = include_str!("reference.css");

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let document = serde_json::from_str(&openapi::DOCUMENT).unwrap_or_default();
    page(&document)
});

/// The page. All text comes from the document, which is part of the program.
fn page(document: &Value) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>HTTP API of tacet</title><link rel=\"stylesheet\" href=\"/v1/docs.css\">\
         <main><h1>HTTP API of tacet</h1>",
    );
    for paragraph in text(&document["info"]["description"]).split("\n\n") {
        let _ = write!(html, "<p>{}</p>", code(paragraph));
    }
    html.push_str("<p>For programs: <a href=\"/v1/openapi.json\">openapi.json</a></p>");
    for (path, methods) in fields(&document["paths"]) {
        for (method, operation) in fields(methods) {
            self::operation(&mut html, path, method, operation);
        }
    }
    html.push_str("<h2>Types</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        let _ = write!(html, "<section id=\"{0}\"><h3>{0}</h3><p>{1}</p>", escaped(name), described(schema));
        self::schema(&mut html, schema);
        html.push_str("</section>");
    }
    html.push_str("</main></html>");
    html
}

fn operation(html: &mut String, path: &str, method: &str, operation: &Value) {
    let summary = text(&operation["summary"]);
    let (method, path) = (method.to_ascii_uppercase(), escaped(path));
    let _ = write!(html, "<section><h2><code>{method} {path}</code> {}</h2>", escaped(summary));
    let description = text(&operation["description"]);
    if !description.is_empty() {
        let _ = write!(html, "<p>{}</p>", code(description));
    }
    let scopes = operation["security"].as_array().into_iter().flatten();
    let scopes: Vec<_> = scopes.flat_map(|one| one["key"].as_array()).flatten().map(text).collect();
    if !scopes.is_empty() {
        let _ = write!(html, "<p>Scope: <code>{}</code></p>", escaped(&scopes.join(", ")));
    }
    html.push_str("<table>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, place) = (escaped(text(&parameter["name"])), escaped(text(&parameter["in"])));
        let _ = write!(html, "<tr><td><code>{name}</code><td>{place}<td>{}", described(parameter));
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ = write!(html, "<tr><td>body<td>JSON<td>{}", kind(body));
    }
    for (status, response) in fields(&operation["responses"]) {
        let body = &response["content"]["application/json"]["schema"];
        let body = if body.is_null() { String::new() } else { kind(body) };
        let _ = write!(html, "<tr><td>{}<td>{body}<td>{}", escaped(status), described(response));
    }
    html.push_str("</table></section>");
}

fn schema(html: &mut String, schema: &Value) {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|value| format!("<code>{}</code>", escaped(text(value)))).collect();
        let _ = write!(html, "<p>One of {}</p>", values.join(", "));
    }
    html.push_str("<table>");
    let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    for part in parts {
        if part["$ref"].is_string() {
            let _ = write!(html, "<tr><td><td>{}<td>and its fields", kind(part));
        }
        let required: Vec<_> = part["required"].as_array().into_iter().flatten().map(text).collect();
        for (name, field) in fields(&part["properties"]) {
            let optional = if required.contains(&name) { "" } else { " (may be missing)" };
            let _ = write!(
                html,
                "<tr><td><code>{}</code><td>{}<td>{}{optional}",
                escaped(name),
                kind(field),
                described(field)
            );
        }
    }
    html.push_str("</table>");
}

/// The type of a schema, linked if it has a name.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escaped(name));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let kinds: Vec<_> = choices.iter().map(kind).filter(|kind| kind != "null").collect();
        return kinds.join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) => escaped(name),
        Value::Array(names) if names.iter().any(|name| name == "array") => {
            format!("list of {}", kind(&schema["items"]))
        }
        Value::Array(names) => {
            names.iter().map(text).filter(|name| *name != "null").map(escaped).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

fn described(value: &Value) -> String {
    code(text(&value["description"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Text in which what stands between backticks is code.
fn code(text: &str) -> String {
    let escaped = escaped(text);
    let mut html = String::with_capacity(escaped.len());
    for (index, piece) in escaped.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{piece}</code>");
        } else {
            html.push_str(piece);
        }
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_names_every_path_and_runs_no_script() {
        for path in ["POST /v1/rooms", "DELETE /v1/keys/{key}", "GET /v1/stats", "rooms:write", "id=\"Problem\""] {
            assert!(PAGE.contains(path), "{path}");
        }
        assert!(!PAGE.contains("<script") && !PAGE.contains("style=") && !PAGE.contains("://"), "{}", *PAGE);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(code("a < `b & c`"), "a &lt; <code>b &amp; c</code>");
    }
}
