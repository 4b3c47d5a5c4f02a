//! What a key of the API allows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that a key may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    /// Listing and describing rooms, and who is in them.
    #[serde(rename = "rooms:read")]
    RoomsRead,
    /// Creating, changing and ending rooms.
    #[serde(rename = "rooms:write")]
    RoomsWrite,
    /// Making room tokens, in any role.
    #[serde(rename = "tokens")]
    Tokens,
    /// Adding, listing and removing webhooks, and what they did not receive.
    #[serde(rename = "webhooks")]
    Webhooks,
    /// Numbers of the whole server.
    #[serde(rename = "stats")]
    Stats,
    /// Creating, listing and revoking keys, none of which may have a scope that its maker lacks.
    #[serde(rename = "keys")]
    Keys,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::RoomsRead, Self::RoomsWrite, Self::Tokens, Self::Webhooks, Self::Stats, Self::Keys];

    /// Its name, in requests and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoomsRead => "rooms:read",
            Self::RoomsWrite => "rooms:write",
            Self::Tokens => "tokens",
            Self::Webhooks => "webhooks",
            Self::Stats => "stats",
            Self::Keys => "keys",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(UnknownScope)
    }
}

/// A text names no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a scope is one of {}", Scope::ALL.map(Scope::name).join(", "))]
pub struct UnknownScope;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scope_has_one_name() {
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.name());
        }
        assert!("rooms".parse::<Scope>().unwrap_err().to_string().contains("rooms:read, rooms:write"));
    }
}
