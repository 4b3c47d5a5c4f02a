//! The proof by which a device shows that a request on its session comes from it, so that stolen tokens are worth nothing.
//!
//! ```text
//! "e2ee-identity/1 proof" || operation1 || SHA-256(origin) || account16 || SHA-256(token) || time8 || nonce32
//! ```
//! Ed25519 by the device key. The origin is the client's own: a server cannot use a proof elsewhere.

use crate::{
    account::{AccountId, AccountName},
    keys::{DeviceKeys, DevicePublic},
    label,
};
use e2ee_core::{Primitives, Standard, array};

/// Bytes of the nonce from the server. A challenge of another length is refused before signing.
pub const NONCE_BYTES: usize = 32;
/// Bytes of a statement.
const STATEMENT_BYTES: usize = 1 + 32 + 16 + 32 + 8 + NONCE_BYTES;

/// What a proof is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ProofOperation {
    /// Signs in: the token is the ticket of the first step.
    SignIn = 1,
    /// Exchanges a refresh token for the next.
    Refresh = 2,
    /// Ends the session: the token is the refresh token.
    SignOut = 3,
    /// Recovers the account by a code: the token is the ticket of the first step.
    Recover = 4,
}

/// What a device signs.
#[derive(Clone, Copy)]
pub struct ProofStatement<'a> {
    /// What the proof is for.
    pub operation: ProofOperation,
    /// The account, at the origin where the client reached the server.
    pub name: &'a AccountName,
    /// The number of the account.
    pub account: AccountId,
    /// The ticket or refresh token that is shown with the proof.
    pub token: &'a [u8],
    /// Milliseconds since 1970, by the device's clock.
    pub time: u64,
    /// The server's nonce.
    pub nonce: [u8; NONCE_BYTES],
}

impl ProofStatement<'_> {
    fn to_bytes(self) -> [u8; STATEMENT_BYTES] {
        array::concat(&[
            &[self.operation as u8],
            &Standard::digest(self.name.origin().as_bytes()),
            &self.account.0,
            &Standard::digest(self.token),
            &self.time.to_be_bytes(),
            &self.nonce,
        ])
    }

    /// Whether `device` has signed this statement.
    #[must_use]
    pub fn verify(self, device: &DevicePublic, proof: &[u8; 64]) -> bool {
        Standard::verify(&device.0, &label::PROOF, &self.to_bytes(), proof)
    }
}

impl DeviceKeys {
    /// Signs a statement.
    #[must_use]
    pub fn prove(&self, statement: ProofStatement<'_>) -> [u8; 64] {
        self.sign_proof(&statement.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_covers_every_field() {
        let device = DeviceKeys::from_seeds(&[1; 32], &[2; 32]);
        let name = AccountName::new("https://call.example", "ada").unwrap();
        let other = AccountName::new("https://other.example", "ada").unwrap();
        let statement = ProofStatement {
            operation: ProofOperation::Refresh,
            name: &name,
            account: AccountId([3; 16]),
            token: b"refresh token",
            time: 1_800_000_000_000,
            nonce: [4; NONCE_BYTES],
        };
        let proof = device.prove(statement);
        assert!(statement.verify(&device.public(), &proof));
        for changed in [
            ProofStatement { operation: ProofOperation::SignOut, ..statement },
            ProofStatement { name: &other, ..statement },
            ProofStatement { account: AccountId([0; 16]), ..statement },
            ProofStatement { token: b"another", ..statement },
            ProofStatement { time: 0, ..statement },
            ProofStatement { nonce: [0; NONCE_BYTES], ..statement },
        ] {
            assert!(!changed.verify(&device.public(), &proof));
        }
        assert!(!statement.verify(&DeviceKeys::from_seeds(&[2; 32], &[2; 32]).public(), &proof));
        for bit in 0..proof.len() * 8 {
            let mut flipped = proof;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!statement.verify(&device.public(), &flipped), "bit {bit}");
        }
        assert!(!statement.verify(&device.public(), &device.sign_certificate(&statement.to_bytes())), "another label");
    }
}
