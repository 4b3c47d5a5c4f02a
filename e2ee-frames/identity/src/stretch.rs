//! Stretching a password with Argon2id (RFC 9106), and the two secrets that follow from it.
//!
//! ```text
//! password ─NFKC─► root = Argon2id(SHA-256("e2ee-identity/1 salt" || account name || salt16), 64 MiB, t 3, p 1)
//!                    ├─ HKDF, info "e2ee-identity/1 auth"  || account name → auth32: sent to sign in
//!                    └─ HKDF, info "e2ee-identity/1 vault" || account name → key that opens the vault key: stays
//! ```
//! The account name is `len2 origin len1 name`, so what a person types at one server is worth nothing at another. A guess
//! costs the full stretch, whatever the server sent: weaker parameters are refused.

use crate::{
    account::AccountName,
    label,
    password::Password,
    wrap::{Slot, WrapKey},
};
use alloc::vec::Vec;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use e2ee_core::{Primitives, SecretBytes, Standard};
use zeroize::Zeroize;

/// How costly a guess is: memory and passes of Argon2id with one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    memory_kib: u32,
    passes: u32,
}

/// Why parameters from a server are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// A guess would be cheaper than it must be.
    #[error("the server asks for a weaker password hash than 64 MiB and 3 passes")]
    TooWeak,
    /// More than a device is asked to spend.
    #[error("the server asks for a costlier password hash than 256 MiB and 8 passes")]
    TooCostly,
    /// More lanes than one, which no client computes in parallel and an attacker does.
    #[error("the server asks for a password hash with more than one lane")]
    Lanes,
}

/// Why a password was not stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StretchError {
    /// The memory is unavailable. There is no weaker setting to fall back to.
    #[error("not enough memory to process the password: close other programs and try again")]
    OutOfMemory,
    /// Argon2 refuses its input, which checked parameters exclude.
    #[error("the password hash failed")]
    Failed,
}

impl Parameters {
    /// Least memory, KiB: 64 MiB.
    pub const MIN_MEMORY_KIB: u32 = 64 * 1_024;
    /// Greatest memory, KiB: 256 MiB.
    pub const MAX_MEMORY_KIB: u32 = 256 * 1_024;
    /// Fewest passes.
    pub const MIN_PASSES: u32 = 3;
    /// Most passes.
    pub const MAX_PASSES: u32 = 8;
    /// What a new password is stretched with: the second recommendation of RFC 9106, with one lane.
    pub const RECOMMENDED: Self = Self { memory_kib: Self::MIN_MEMORY_KIB, passes: Self::MIN_PASSES };

    /// Parameters as a server names them: memory in KiB, passes, lanes.
    ///
    /// # Errors
    /// If they are weaker or costlier than clients accept.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, ParametersError> {
        if memory_kib < Self::MIN_MEMORY_KIB || passes < Self::MIN_PASSES || lanes == 0 {
            Err(ParametersError::TooWeak)
        } else if memory_kib > Self::MAX_MEMORY_KIB || passes > Self::MAX_PASSES {
            Err(ParametersError::TooCostly)
        } else if lanes > 1 {
            Err(ParametersError::Lanes)
        } else {
            Ok(Self { memory_kib, passes })
        }
    }

    /// Memory, KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// Number of passes.
    #[must_use]
    pub fn passes(&self) -> u32 {
        self.passes
    }
}

/// A secret that is sent to the server to sign in. The server keeps only a MAC of it.
pub struct AuthSecret(pub(crate) SecretBytes<32>);

impl AuthSecret {
    /// The bytes to be sent, over TLS to the origin that they are derived for.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The keys of a password.
pub struct PasswordKeys {
    /// Signs in.
    pub auth: AuthSecret,
    /// Opens the vault key; never leaves the device.
    pub wrap: WrapKey,
}

impl PasswordKeys {
    /// Stretches a password, which takes 64 MiB and a tenth of a second or more: not on a thread that must answer.
    ///
    /// `salt` is random, drawn with each new password.
    ///
    /// # Errors
    /// If the memory is unavailable.
    pub fn stretch(
        password: &Password,
        account: &AccountName,
        salt: &[u8; 16],
        parameters: Parameters,
    ) -> Result<Self, StretchError> {
        let root = root(password, account, salt, parameters)?;
        Ok(Self::from_root(&root, account, salt))
    }

    fn from_root(root: &[u8; 32], account: &AccountName, salt: &[u8; 16]) -> Self {
        let (mut auth, mut wrap) = (SecretBytes::<32>::zeros(), SecretBytes::<32>::zeros());
        Standard::derive(
            label::PASSWORD.as_bytes(),
            root,
            &mut [
                (&[label::AUTH.as_bytes(), account.encoded()], &mut *auth),
                (&[label::VAULT.as_bytes(), account.encoded()], &mut *wrap),
            ],
        );
        Self { auth: AuthSecret(auth), wrap: WrapKey::new(Slot::password(salt), wrap) }
    }
}

/// The salt that Argon2 is given.
pub(crate) fn argon2_salt(account: &AccountName, salt: &[u8; 16]) -> [u8; 32] {
    Standard::hash(&label::SALT, &[account.encoded(), salt])
}

/// Argon2id of a password.
pub(crate) fn root(
    password: &Password,
    account: &AccountName,
    salt: &[u8; 16],
    parameters: Parameters,
) -> Result<SecretBytes<32>, StretchError> {
    let params =
        Params::new(parameters.memory_kib, parameters.passes, 1, Some(32)).map_err(|_| StretchError::Failed)?;
    let mut memory = Memory::new(params.block_count())?;
    let mut root = SecretBytes::zeros();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), &argon2_salt(account, salt), &mut *root, &mut memory.0[..])
        .map_err(|_| StretchError::Failed)?;
    Ok(root)
}

/// Argon2's memory, from which the root can be computed, erased on drop.
struct Memory(Vec<Block>);

impl Memory {
    fn new(blocks: usize) -> Result<Self, StretchError> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| StretchError::OutOfMemory)?;
        memory.resize(blocks, Block::new());
        Ok(Self(memory))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{AssociatedData, ParamsBuilder};
    use data_encoding::HEXLOWER;

    fn account() -> AccountName {
        AccountName::new("https://call.example", "ada").unwrap()
    }

    /// RFC 9106, section 5.3: the library computes the standard's Argon2id.
    #[test]
    fn argon2id_matches_rfc_9106() {
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .output_len(32)
            .build()
            .unwrap();
        let mut blocks = Memory::new(params.block_count()).unwrap();
        let mut tag = [0; 32];
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params)
            .unwrap()
            .hash_password_into_with_memory(&[1; 32], &[2; 16], &mut tag, &mut blocks.0[..])
            .unwrap();
        assert_eq!(HEXLOWER.encode(&tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }

    #[test]
    fn weak_and_costly_parameters_are_refused() {
        let (weak, costly) = (Err(ParametersError::TooWeak), Err(ParametersError::TooCostly));
        for (memory, passes, lanes, expected) in [
            (65_535, 3, 1, weak),
            (65_536, 2, 1, weak),
            (0, 0, 0, weak),
            (65_536, 3, 0, weak),
            (262_145, 3, 1, costly),
            (65_536, 9, 1, costly),
            (u32::MAX, u32::MAX, u32::MAX, costly),
            (65_536, 3, 2, Err(ParametersError::Lanes)),
            (65_536, 3, 1, Ok(Parameters::RECOMMENDED)),
            (262_144, 8, 1, Ok(Parameters { memory_kib: 262_144, passes: 8 })),
        ] {
            assert_eq!(Parameters::new(memory, passes, lanes), expected, "{memory} {passes} {lanes}");
        }
    }

    /// What a person types at one server, or under one name, is worth nothing at another.
    #[test]
    fn salt_and_keys_are_bound_to_origin_and_name() {
        let others =
            [("https://call.example:8443", "ada"), ("http://call.example", "ada"), ("https://call.example", "bob")];
        let mine = PasswordKeys::from_root(&[7; 32], &account(), &[1; 16]);
        assert_ne!(mine.auth.as_bytes(), mine.wrap.key());
        for (origin, name) in others {
            let other = AccountName::new(origin, name).unwrap();
            assert_ne!(argon2_salt(&account(), &[1; 16]), argon2_salt(&other, &[1; 16]));
            let theirs = PasswordKeys::from_root(&[7; 32], &other, &[1; 16]);
            assert_ne!(mine.auth.as_bytes(), theirs.auth.as_bytes());
            assert_ne!(mine.wrap.key(), theirs.wrap.key());
        }
        assert_ne!(argon2_salt(&account(), &[1; 16]), argon2_salt(&account(), &[2; 16]));
    }

    #[test]
    fn unavailable_memory_is_an_error() {
        assert_eq!(Memory::new(usize::MAX / 1_024).err(), Some(StretchError::OutOfMemory));
    }
}
