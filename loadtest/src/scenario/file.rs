//! Scenarios as TOML: files, which are parsed strictly, and the built-in ones.

use super::{Join, Scenario, ScenarioError};
use serde::{Deserialize, Serialize};
use std::fmt;
use toml::de::{DeTable, DeValue};

/// Why a text is not a scenario.
#[derive(Clone, Debug, PartialEq)]
pub enum FileError {
    /// It is not TOML, or has unknown fields; the text names line and field.
    Toml(toml::de::Error),
    /// A value is invalid.
    Value {
        /// Line of the field, from 1, if it is in the file.
        line: Option<usize>,
        /// The field, and what its value must be.
        error: ScenarioError,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml(error) => write!(f, "{}", error.to_string().trim_end()),
            Self::Value { line: Some(line), error } => write!(f, "line {line}: {error}"),
            Self::Value { line: None, error } => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for FileError {}

/// Reads a scenario and checks it.
///
/// # Errors
/// [`FileError`].
pub fn parse(text: &str) -> Result<Scenario, FileError> {
    let scenario: Scenario = toml::from_str(text).map_err(FileError::Toml)?;
    scenario.check().map_err(|error| FileError::Value { line: line_of(text, error.field), error })?;
    Ok(scenario)
}

/// The line, from 1, of a field such as `video.frames_per_second`.
fn line_of(text: &str, field: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut parts = field.split('.').peekable();
    let mut start = None;
    while let Some(part) = parts.next() {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == part)?;
        start = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ if parts.peek().is_some() => return None,
            _ => {}
        }
    }
    Some(text.get(..start?)?.matches('\n').count() + 1)
}

/// The texts of the scenarios that come with the program, in the order in which they are listed.
const BUILTIN: [&str; 12] = [
    include_str!("../../scenarios/packets.toml"),
    include_str!("../../scenarios/one-to-many.toml"),
    include_str!("../../scenarios/everyone.toml"),
    include_str!("../../scenarios/rooms.toml"),
    include_str!("../../scenarios/webinar.toml"),
    include_str!("../../scenarios/layers.toml"),
    include_str!("../../scenarios/svc.toml"),
    include_str!("../../scenarios/pages.toml"),
    include_str!("../../scenarios/audience.toml"),
    include_str!("../../scenarios/overload.toml"),
    include_str!("../../scenarios/join-storm.toml"),
    include_str!("../../scenarios/churn.toml"),
];

/// Every built-in scenario, with its text.
pub fn builtins() -> impl Iterator<Item = (Scenario, &'static str)> {
    // They are valid: a test reads all.
    BUILTIN.into_iter().filter_map(|text| parse(text).ok().map(|scenario| (scenario, text)))
}

/// The scenario of this name, with its text.
#[must_use]
pub fn builtin(name: &str) -> Option<(Scenario, &'static str)> {
    builtins().find(|(scenario, _)| scenario.name == name)
}

/// [`Join`] as it is written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinTable {
    when: When,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    BeforeMedia,
    WhileMediaFlows,
    Storm,
}

impl TryFrom<JoinTable> for Join {
    type Error = &'static str;

    fn try_from(table: JoinTable) -> Result<Self, Self::Error> {
        match (table.when, table.over_s) {
            (When::Storm, Some(over_s)) => Ok(Self::Storm { over_s }),
            (When::Storm, None) => Err("a storm needs over_s, its length in seconds"),
            (_, Some(_)) => Err("over_s is for when = \"storm\""),
            (When::BeforeMedia, None) => Ok(Self::BeforeMedia),
            (When::WhileMediaFlows, None) => Ok(Self::WhileMediaFlows),
        }
    }
}

impl From<Join> for JoinTable {
    fn from(join: Join) -> Self {
        match join {
            Join::BeforeMedia => Self { when: When::BeforeMedia, over_s: None },
            Join::WhileMediaFlows => Self { when: When::WhileMediaFlows, over_s: None },
            Join::Storm { over_s } => Self { when: When::Storm, over_s: Some(over_s) },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn builtins_round_trip() {
        let names: Vec<String> = BUILTIN.iter().map(|text| parse(text).unwrap().name).collect();
        assert_eq!(
            names,
            [
                "packets",
                "one-to-many",
                "everyone",
                "rooms",
                "webinar",
                "layers",
                "svc",
                "pages",
                "audience",
                "overload",
                "join-storm",
                "churn"
            ]
        );
        for (scenario, _) in builtins() {
            assert!(!scenario.about.is_empty(), "{}", scenario.name);
            assert!(scenario.canaries >= 1, "{}: a bot that shares no code belongs to every run", scenario.name);
            assert_eq!(parse(&toml::to_string(&scenario).unwrap()).as_ref(), Ok(&scenario));
        }
        assert!(builtin("webinar").is_some() && builtin("nothing").is_none());
    }

    #[test]
    fn unknown_field_is_named_with_line() {
        let text = "name = 'x'\npublishers = 1\nsubscribers = 1\n[video]\nframes_per_secnd = 3\n";
        let error = error(text);
        assert!(error.contains("frames_per_secnd") && error.contains("line 5"), "{error}");
    }

    #[test]
    fn invalid_value_is_named_with_line() {
        let text = "name = 'x'\npublishers = 1\nsubscribers = 1\n\n[video]\nframes_per_second = 0\n";
        assert_eq!(error(text), "line 6: video.frames_per_second must be 1 to 240");
        assert_eq!(error("rooms = 0\nname = 'x'"), "line 1: rooms must be at least 1");
        let nowhere = error("name = 'x'\n[audio]\n");
        assert!(nowhere.starts_with("publishers must"), "{nowhere}");
    }

    #[test]
    fn only_storm_has_length() {
        let with = |join: &str| format!("name = 'x'\npublishers = 1\nsubscribers = 1\n[audio]\n[join]\n{join}");
        assert!(error(&with("when = 'storm'")).contains("over_s"));
        assert!(error(&with("when = 'before-media'\nover_s = 1.0")).contains("over_s"));
        assert!(error(&with("when = 'sometime'")).contains("while-media-flows"));
        assert!(error(&with("when = 'storm'\nover_s = 1.0\nother = 1")).contains("other"));
        assert_eq!(parse(&with("when = 'storm'\nover_s = 1")).unwrap().join, Join::Storm { over_s: 1.0 });
    }

    #[test]
    fn parse_is_total() {
        for text in ["", "\0", "name = ", "[video", "name = 3", "seconds = nan\nname='x'", "join = 3", "video = 3"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
