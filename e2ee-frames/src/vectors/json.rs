//! JSON whose fields keep the order in which they were written, so that the published file reads from top to bottom and
//! its text is the same on every machine.

use alloc::{format, string::String, vec::Vec};
use data_encoding::HEXLOWER;

/// A JSON value.
pub(super) enum Json {
    Number(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: impl AsRef<[u8]>) -> Json {
    Json::Text(HEXLOWER.encode(bytes.as_ref()))
}

pub(super) fn text(text: &str) -> Json {
    Json::Text(String::from(text))
}

pub(super) fn number(number: impl Into<u64>) -> Json {
    let number = number.into();
    assert!(number < 1 << 53, "JavaScript must read it exactly");
    Json::Number(number)
}

impl Json {
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        self.write_at("\n", &mut out);
        out.push('\n');
        out
    }

    fn write_at(&self, line: &str, out: &mut String) {
        let inner = format!("{line}  ");
        match self {
            Json::Number(number) => *out += &format!("{number}"),
            Json::Text(text) => *out += &format!("{}", serde_json::Value::from(text.as_str())),
            Json::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    *out += if index == 0 { "[" } else { "," };
                    *out += &inner;
                    item.write_at(&inner, out);
                }
                *out += if items.is_empty() { "[" } else { line };
                out.push(']');
            }
            Json::Object(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    *out += if index == 0 { "{" } else { "," };
                    *out += &format!("{inner}\"{name}\": ");
                    value.write_at(&inner, out);
                }
                *out += if fields.is_empty() { "{" } else { line };
                out.push('}');
            }
        }
    }
}
