//! What a participant may do: its role in the room, and what its credential allows at most.

use tacet_proto::{Capabilities, Role};

/// Maximum number of tokens by which one participant is known.
pub(super) const MAX_HOLDERS: usize = 32;

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
    /// The tokens of its sessions before, if it shows others now.
    pub earlier: Vec<Holder>,
}

impl Standing {
    /// A guest by link.
    #[must_use]
    pub fn guest(role: Role) -> Self {
        Self { role, at_most: Capabilities::ALL, holder: None, earlier: Vec::new() }
    }

    /// Everything by which bans know the participant.
    pub(super) fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.holder.iter().chain(&self.earlier)
    }

    /// Of a participant that continues with this credential what it had with that standing: it stays as narrow, and known by
    /// its tokens. `None` if those are too many.
    pub(super) fn continuing(self, before: &Self) -> Option<Self> {
        let Self { role, at_most, holder, mut earlier } = self;
        for known in before.holders() {
            if holder.as_ref() != Some(known) && !earlier.contains(known) {
                earlier.push(known.clone());
            }
        }
        (earlier.len() < MAX_HOLDERS).then_some(Self { role, at_most: at_most.and(before.at_most), holder, earlier })
    }

    /// What the participant may do now.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.role.capabilities().and(self.at_most)
    }
}
