//! Who may come in: bans, and the lock.
//!
//! A lock keeps out newcomers alone. Those who were in the call and prove it return; those that may moderate come in, to unlock.
//! It is looked at when a client enters, and again when it joins, since the room may have been locked in between.

use super::{Guest, Holder, Refusal, Room, Standing, refusal};
use std::collections::BTreeSet;
use tacet_proto::{Capability, ErrorCode, Role};

/// Maximum number of bans of a room.
pub(super) const MAX_BANS: usize = 1_024;

/// What a room refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ban {
    /// The device of this public key.
    Device([u8; 32]),
    /// Holders of this token.
    Token([u8; 16]),
    /// Holders of tokens for this identity.
    Identity(String),
}

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomPolicy {
    /// What guests by link are; without, they do not come in.
    pub guests: Option<Role>,
    /// Whether newcomers are kept out.
    pub locked: bool,
}

impl Default for RoomPolicy {
    fn default() -> Self {
        Self { guests: Some(Role::Speaker), locked: false }
    }
}

/// Who may come in, as the room's record says it.
#[derive(Clone, Debug, Default)]
pub struct Admittance {
    /// The policy.
    pub policy: RoomPolicy,
    /// What it refuses.
    pub bans: BTreeSet<Ban>,
}

/// Why a newcomer is kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeptOut {
    Locked,
    Banned,
}

impl Holder {
    /// What keeps out the holder.
    pub(super) fn bans(&self) -> impl Iterator<Item = Ban> + use<> {
        let identity = self.identity.clone().map(Ban::Identity);
        [Some(Ban::Token(self.token)), identity].into_iter().flatten()
    }
}

impl Admittance {
    /// Whether someone may come in who shows that they were here.
    pub(super) fn is_banned(&self, standing: &Standing) -> bool {
        standing.holders().flat_map(Holder::bans).any(|ban| self.bans.contains(&ban))
    }

    /// Whether a newcomer may come in.
    pub(super) fn check(&self, standing: &Standing) -> Result<(), KeptOut> {
        if self.is_banned(standing) {
            return Err(KeptOut::Banned);
        }
        if self.policy.locked && !standing.capabilities().has(Capability::Moderate) {
            return Err(KeptOut::Locked);
        }
        Ok(())
    }
}

impl Room {
    /// Whether someone that has entered may still join.
    pub(super) fn check_admitted(&self, guest: &Guest) -> Result<(), Refusal> {
        let (admittance, standing) = (&self.admittance, &guest.standing);
        if admittance.is_banned(standing) {
            return Err(refusal(ErrorCode::Banned, "a moderator has banned you"));
        }
        if !guest.is_newcomer() {
            return Ok(());
        }
        if standing.holder.is_none() && admittance.policy.guests.is_none() {
            return Err(refusal(ErrorCode::Forbidden, "this room admits with a room token only"));
        }
        admittance.check(standing).map_err(|kept_out| match kept_out {
            KeptOut::Locked => refusal(ErrorCode::RoomLocked, "the room is locked"),
            KeptOut::Banned => refusal(ErrorCode::Banned, "a moderator has banned you"),
        })
    }

    /// Whether a device is banned.
    pub(super) fn is_device_banned(&self, device: &[u8; 32]) -> bool {
        self.admittance.bans.contains(&Ban::Device(*device))
    }

    /// The bans that keep out a participant, as far as the room can know it again.
    pub(super) fn bans_of(&self, participant: tacet_proto::ParticipantId) -> Vec<Ban> {
        let device = self.members.get(&participant).map(|member| Ban::Device(*member.identity.device()));
        let guest = self.guests.get(&participant);
        let known = guest.into_iter().flat_map(|guest| guest.standing.holders()).flat_map(Holder::bans);
        let bans: BTreeSet<_> = device.into_iter().chain(known).collect();
        bans.into_iter().collect()
    }
}
