//! What a participant may do: its role in the room, and what its credential allows at most.

use tacet_proto::{Capabilities, Role};

/// Whose token a participant has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Names the token.
    pub token: [u8; 16],
    /// Names the holder, if who asked for the token did.
    pub identity: Option<String>,
}

/// What a participant may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its role.
    pub role: Role,
    /// What it may do at most, whatever its role becomes.
    pub at_most: Capabilities,
    /// Its token; `None` for a guest by link.
    pub holder: Option<Holder>,
}

impl Standing {
    /// A guest by link.
    #[must_use]
    pub fn guest(role: Role) -> Self {
        Self { role, at_most: Capabilities::ALL, holder: None }
    }

    /// What the participant may do now.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.role.capabilities().and(self.at_most)
    }
}
