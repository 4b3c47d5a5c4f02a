//! The key schedule: from a sender's random 256-bit key to base keys, commitments and the next ratchet step.
//!
//! ```text
//! PRK      = HKDF-Extract(salt = "e2ee-frames/1", K)                               (HKDF-SHA-512)
//! ctx_key  = SHA-256("e2ee-frames/1 ctx" || suite2 || policy1 || room16 || call16 || join_id32 || gen4 || step1)
//! commit   = HKDF-Expand(PRK, "key commitment" || ctx_key, 32)
//! base_key = HKDF-Expand(PRK, "sframe base key" || ctx_key || join_id32, 64)
//! next K   = HKDF-Expand(PRK, "ratchet" || ctx_key, 32)
//! ```
//! `ctx_key` contains only fields that every holder agrees on. The sender's join id is among them, so that two devices
//! never share a base key, whatever seats the server assigns.

use super::identity::{Call, JoinId};
use crate::{
    label,
    sframe::{Suite, kid::STEPS},
};
use core::fmt;
use e2ee_core::{Primitives, SecretBytes};
use subtle::ConstantTimeEq;

/// The suite of every session.
pub(crate) const SUITE: Suite = Suite::Aes256GcmSha512;
/// Sender keys. Other policies, a shared room key and MLS, are reserved and rejected.
pub(crate) const POLICY: u8 = 0;

/// Generation and ratchet step of a sender's key. Later keys are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch {
    pub(crate) generation: u32,
    pub(crate) step: u8,
}

/// A sender's key K at one epoch, with the context it is bound to.
pub(crate) struct SessionKey {
    secret: SecretBytes<32>,
    epoch: Epoch,
    /// The sender.
    join_id: JoinId,
    call: Call,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl SessionKey {
    pub(crate) fn new(secret: SecretBytes<32>, epoch: Epoch, join_id: JoinId, call: Call) -> Self {
        Self { secret, epoch, join_id, call }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// K itself, to be sealed to recipients.
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    pub(crate) fn context<P: Primitives>(&self) -> [u8; 32] {
        let Call { room, call } = &self.call;
        let Epoch { generation, step } = self.epoch;
        let (suite, generation) = (SUITE.id().to_be_bytes(), generation.to_be_bytes());
        P::hash(&label::KEY_CONTEXT, &[&suite, &[POLICY], room, call, &self.join_id.0, &generation, &[step]])
    }

    fn expand<P: Primitives, const N: usize>(&self, info: &[&[u8]]) -> SecretBytes<N> {
        let mut out = SecretBytes::zeros();
        P::derive(label::KEY_SCHEDULE.as_bytes(), &*self.secret, &mut [(info, &mut *out)]);
        out
    }

    /// The commitment in the clear header of a key batch.
    pub(crate) fn commitment<P: Primitives>(&self) -> [u8; 32] {
        *self.expand::<P, 32>(&[b"key commitment", &self.context::<P>()])
    }

    /// Whether a commitment is to this key, in constant time.
    pub(crate) fn commits_to<P: Primitives>(&self, commitment: &[u8; 32]) -> bool {
        self.commitment::<P>().ct_eq(commitment).into()
    }

    /// RFC 9605 base key of this epoch.
    pub(crate) fn base_key<P: Primitives>(&self) -> SecretBytes<64> {
        self.expand::<P, 64>(&[b"sframe base key", &self.context::<P>(), &self.join_id.0])
    }

    /// The key one ratchet step further, from which this one cannot be computed; `None` behind the last step.
    pub(crate) fn next_step<P: Primitives>(&self) -> Option<Self> {
        let step = self.epoch.step.checked_add(1).filter(|step| *step < STEPS)?;
        let epoch = Epoch { step, ..self.epoch };
        Some(Self { secret: self.expand::<P, 32>(&[b"ratchet", &self.context::<P>()]), epoch, ..*self })
    }

    /// The key at a later step of the same generation; `None` for an earlier step or the same.
    pub(crate) fn at_step<P: Primitives>(&self, step: u8) -> Option<Self> {
        let mut key = self.next_step::<P>()?;
        while key.epoch.step < step {
            key = key.next_step::<P>()?;
        }
        (key.epoch.step == step).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use e2ee_core::Standard;

    const CALL: Call = Call { room: [1; 16], call: [2; 16] };

    fn key(secret: u8, epoch: Epoch, join_id: u8) -> SessionKey {
        SessionKey::new(SecretBytes::copy_of(&[secret; 32]), epoch, JoinId([join_id; 32]), CALL)
    }

    const FIRST: Epoch = Epoch { generation: 0, step: 0 };

    #[test]
    fn same_seat_same_k_distinct_keys() {
        assert_ne!(*key(9, FIRST, 1).base_key::<Standard>(), *key(9, FIRST, 2).base_key::<Standard>());
    }

    #[test]
    fn every_context_field_changes_base_key() {
        let base = key(9, FIRST, 1);
        let mut others = alloc::vec![
            key(8, FIRST, 1),
            key(9, Epoch { generation: 1, step: 0 }, 1),
            key(9, Epoch { generation: 0, step: 1 }, 1),
        ];
        for call in [Call { room: [3; 16], ..CALL }, Call { call: [3; 16], ..CALL }] {
            others.push(SessionKey::new(SecretBytes::copy_of(&[9; 32]), FIRST, JoinId([1; 32]), call));
        }
        for other in others {
            assert_ne!(*base.base_key::<Standard>(), *other.base_key::<Standard>());
            assert!(!base.commits_to::<Standard>(&other.commitment::<Standard>()));
        }
        assert!(base.commits_to::<Standard>(&key(9, FIRST, 1).commitment::<Standard>()));
    }

    #[test]
    fn ratchet_agrees_from_any_step() {
        let first = key(9, FIRST, 1);
        let third =
            first.next_step::<Standard>().unwrap().next_step::<Standard>().unwrap().next_step::<Standard>().unwrap();
        assert_eq!(first.at_step::<Standard>(3).unwrap().secret(), third.secret());
        assert_eq!(first.at_step::<Standard>(7).unwrap().secret(), third.at_step::<Standard>(7).unwrap().secret());
        assert!(
            third.at_step::<Standard>(3).is_none()
                && third.at_step::<Standard>(2).is_none()
                && first.at_step::<Standard>(8).is_none()
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = alloc::format!("{:?}", key(0xab, FIRST, 1));
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab"), "{text}");
    }
}
