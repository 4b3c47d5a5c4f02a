//! Who may do what in a room: capabilities, and the roles that bundle them.

use crate::media::Source;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;
use ts_rs::TS;

/// One thing that a participant may do in a room, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Publish a microphone.
    PublishMicrophone,
    /// Publish a camera.
    PublishCamera,
    /// Publish a screen and its audio.
    PublishScreen,
    /// Receive the tracks of others.
    Subscribe,
    /// Send chat messages and reactions.
    Chat,
    /// Ask others to mute themselves, remove and ban them, lock the room, admit those who wait, and make participants
    /// speakers or listeners.
    Moderate,
    /// End the room for all, and make participants hosts and moderators.
    Manage,
}

impl Capability {
    /// Every capability, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::PublishMicrophone,
        Self::PublishCamera,
        Self::PublishScreen,
        Self::Subscribe,
        Self::Chat,
        Self::Moderate,
        Self::Manage,
    ];

    /// What publishing from this source needs.
    #[must_use]
    pub const fn to_publish(source: Source) -> Self {
        match source {
            Source::Microphone => Self::PublishMicrophone,
            Source::Camera => Self::PublishCamera,
            Source::Screen | Source::ScreenAudio => Self::PublishScreen,
        }
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of capabilities: a list without repetitions in JSON.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, TS)]
#[ts(type = "Capability[]")]
pub struct Capabilities(u16);

impl Capabilities {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Everything.
    pub const ALL: Self = Self(0b111_1111);

    /// The set of these.
    #[must_use]
    pub const fn of(capabilities: &[Capability]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < capabilities.len() {
            bits |= capabilities[index].bit();
            index += 1;
        }
        Self(bits)
    }

    /// Whether one is in it.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Those in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its members, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |capability| self.has(*capability))
    }
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<Capability>::deserialize(deserializer)?;
        let set = Self::of(&list);
        if set.iter().count() != list.len() {
            return Err(D::Error::custom("a capability is named twice"));
        }
        Ok(set)
    }
}

impl JsonSchema for Capabilities {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Capabilities".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<Capability>>::json_schema(generator)
    }
}

/// What a participant is in a room. A later role has all capabilities of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Receives, and writes.
    Listener,
    /// Publishes as well.
    Speaker,
    /// Moderates as well.
    Moderator,
    /// Manages the room as well.
    Host,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: &[Self] = &[Self::Listener, Self::Speaker, Self::Moderator, Self::Host];

    /// What it may do.
    #[must_use]
    pub const fn capabilities(self) -> Capabilities {
        use Capability::{Chat, Manage, Moderate, PublishCamera, PublishMicrophone, PublishScreen, Subscribe};
        Capabilities::of(match self {
            Self::Listener => &[Subscribe, Chat],
            Self::Speaker => &[Subscribe, Chat, PublishMicrophone, PublishCamera, PublishScreen],
            Self::Moderator => &[Subscribe, Chat, PublishMicrophone, PublishCamera, PublishScreen, Moderate],
            Self::Host => &[Subscribe, Chat, PublishMicrophone, PublishCamera, PublishScreen, Moderate, Manage],
        })
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Speaker => "speaker",
            Self::Moderator => "moderator",
            Self::Host => "host",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A text is not the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is host, moderator, speaker or listener")]
pub struct UnknownRole;

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.iter().copied().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_what_the_one_before_has_and_more() {
        for pair in Role::ALL.windows(2) {
            let [less, more] = [pair[0], pair[1]].map(Role::capabilities);
            assert!(pair[0] < pair[1] && less.and(more) == less && less != more, "{pair:?}");
        }
        assert_eq!(Role::Host.capabilities(), Capabilities::ALL);
        assert_eq!(Capabilities::of(Capability::ALL), Capabilities::ALL);
    }

    #[test]
    fn role_has_one_name() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
            assert_eq!(role.name().parse(), Ok(*role));
        }
        assert_eq!("owner".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn set_is_a_list_without_repetitions() {
        let set = Capabilities::of(&[Capability::Chat, Capability::PublishMicrophone]);
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, r#"["publish_microphone","chat"]"#);
        assert_eq!(serde_json::from_str::<Capabilities>(&text).unwrap(), set);
        assert!(serde_json::from_str::<Capabilities>(r#"["chat","chat"]"#).is_err());
        assert!(serde_json::from_str::<Capabilities>(r#"["fly"]"#).is_err());
    }
}
