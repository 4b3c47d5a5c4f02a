//! Reading the body of a request: JSON that holds no secret of a link.

use super::{Problem, problem};
use axum::{
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Least length of what follows `#` in a link, in characters of base64url: 32 bytes.
const SECRET: usize = 43;

const NOT_JSON: &str = "the body is not a JSON object";

/// The JSON object in a body.
///
/// # Errors
/// The answer: the body is no JSON of this type, or it holds a link. Nothing of the body is repeated.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Box<Response>> {
    let bad = |error: &serde_json::Error| {
        let text = match error.classify() {
            serde_json::error::Category::Data => "a field is missing, unknown or of the wrong form; see /v1/docs",
            _ => NOT_JSON,
        };
        Box::new(problem(StatusCode::BAD_REQUEST, "bad_request", text))
    };
    let value: Value = serde_json::from_slice(body).map_err(|error| bad(&error))?;
    if holds_link(&value) {
        let body = Problem {
            error:
                "the request holds the link of a room, or its secret, which no server may learn: send the access hash. \
                    Regard the link as known, and create another room"
                    .to_owned(),
            code: "link_in_request",
            retry_ms: None,
            scope: None,
        };
        return Err(Box::new((StatusCode::BAD_REQUEST, axum::Json(body)).into_response()));
    }
    // A list would be taken for the fields in their order.
    if !value.is_object() {
        return Err(Box::new(problem(StatusCode::BAD_REQUEST, "bad_request", NOT_JSON)));
    }
    // From the text once more, so that a field which is there twice is an error.
    serde_json::from_slice(body).or_else(|error| match with_whole_numbers(&value) {
        whole if whole == value => Err(bad(&error)),
        whole => serde_json::from_value(whole).map_err(|error| bad(&error)),
    })
}

/// The same with integers for numbers like 30.0, which are integers in JSON Schema (draft 2020-12, section 6.1.1).
fn with_whole_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
            // Larger ones are not exact.
            Some(float) if (0.0..9e15).contains(&float) => Value::from(float as u64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(with_whole_numbers).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), with_whole_numbers(value))).collect(),
        _ => value.clone(),
    }
}

/// Whether a text somewhere in it ends as a link does, or a field is called as its secret.
fn holds_link(value: &Value) -> bool {
    match value {
        Value::String(text) => is_link(text),
        Value::Array(items) => items.iter().any(holds_link),
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            matches!(name.as_str(), "link" | "secret" | "invite" | "invite_secret" | "access_token")
                || is_link(name)
                || holds_link(value)
        }),
        _ => false,
    }
}

fn is_link(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.split('#').skip(1).any(|rest| rest.len() - rest.trim_start_matches(plain).len() >= SECRET)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::HashMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        name: String,
    }

    #[test]
    fn number_is_whole_as_json_schema_has_it() {
        let read = |number: &str| {
            let text = format!(r#"{{"number":{number}}}"#);
            read::<HashMap<String, u32>>(&Bytes::from(text)).map(|read| read["number"]).ok()
        };
        assert_eq!(
            ["1", "2.0", "3e1", "1.5", "-1.0", "1e99"].map(read),
            [Some(1), Some(2), Some(30), None, None, None]
        );
    }

    #[test]
    fn body_with_a_link_is_refused() {
        let read = |text: &str| read::<Named>(&Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(read(r#"{"name":"ticket #4711"}"#).unwrap().name, "ticket #4711");
        let secret = "A".repeat(43);
        for text in [
            format!(r#"{{"name":"https://h/r/x#{secret}"}}"#),
            format!(r#"{{"name":"a","secret":"{secret}"}}"#),
            format!(r##"{{"name":"a","more":[{{"b":"#{secret}~l"}}]}}"##),
            r#"{"link":1}"#.to_owned(),
        ] {
            assert_eq!(read(&text).unwrap_err().status(), 400, "{text}");
        }
        for text in
            ["", "{", "[]", r#"["a"]"#, r#"{"name":"a","name":"b"}"#, r#"{"name":"a","other":1}"#, r#"{"name":1}"#]
        {
            assert_eq!(read(text).unwrap_err().status(), 400, "{text}");
        }
    }
}
