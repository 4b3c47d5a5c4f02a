//! The proof that a session on a new connection is continued by the device that it belongs to.
//!
//! The device signs, under a separate label, which session of which server it continues, with which token, in answer to
//! which challenge:
//!
//! ```text
//! "tacet/1 resume" || operation1 || SHA-256(origin) || room16 || call16 || session16 || participant4
//!                  || SHA-256(token) || nonce32
//! ```
//! Every field has a fixed length, so no two statements have the same bytes. The nonce makes a proof good for one
//! connection only, and the origin for one server only: a server cannot use it to continue the session elsewhere.

use crate::{Domain, Label, Primitives, SigningKey, Standard, array};

/// What the signature of a proof starts with.
pub const LABEL: Label = Domain::new("tacet/1").label("resume");

/// Bytes of a statement.
pub const STATEMENT_BYTES: usize = 149;
/// Bytes of the nonce in a challenge.
pub const NONCE_BYTES: usize = 32;

/// What a proof is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResumeOperation {
    /// Continues a session in the process that has its keys. 2 is reserved.
    Session = 1,
}

/// What a device signs to continue a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeStatement<'a> {
    /// What the proof is for.
    pub operation: ResumeOperation,
    /// The server's origin as the client reached it (RFC 6454, section 6.2): scheme and host, and the port unless it is
    /// the scheme's default; for example `https://call.example`.
    pub origin: &'a str,
    /// The room.
    pub room: [u8; 16],
    /// The call in it.
    pub call: [u8; 16],
    /// The session with the server that is continued.
    pub session: [u8; 16],
    /// The participant whose session it is.
    pub participant: u32,
    /// The token that is shown with the proof.
    pub token: &'a [u8],
    /// The challenge of the new connection.
    pub nonce: [u8; NONCE_BYTES],
}

impl ResumeStatement<'_> {
    /// The bytes that are signed after the [`LABEL`].
    #[must_use]
    pub fn to_bytes(&self) -> [u8; STATEMENT_BYTES] {
        array::concat(&[
            &[self.operation as u8],
            &Standard::digest(self.origin.as_bytes()),
            &self.room,
            &self.call,
            &self.session,
            &self.participant.to_be_bytes(),
            &Standard::digest(self.token),
            &self.nonce,
        ])
    }
}

/// Signs a statement with the device key of a session.
pub fn prove<K: SigningKey>(device: &K, statement: &ResumeStatement<'_>) -> [u8; 64] {
    device.sign(&LABEL, &statement.to_bytes())
}

/// Whether the owner of `device`, an Ed25519 public key, has signed this statement.
#[must_use]
pub fn verify(device: &[u8; 32], statement: &ResumeStatement<'_>, proof: &[u8; 64]) -> bool {
    Standard::verify(device, &LABEL, &statement.to_bytes(), proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENT: ResumeStatement<'_> = ResumeStatement {
        operation: ResumeOperation::Session,
        origin: "https://call.example",
        room: [1; 16],
        call: [2; 16],
        session: [3; 16],
        participant: 0x0405_0607,
        token: b"sealed by the server",
        nonce: [8; NONCE_BYTES],
    };

    fn device(seed: u8) -> <Standard as Primitives>::Signing {
        SigningKey::from_seed(&[seed; 32])
    }

    #[test]
    fn statement_is_its_fields_in_order() {
        let expected = [
            &[1][..],
            &Standard::digest(b"https://call.example"),
            &[1; 16],
            &[2; 16],
            &[3; 16],
            &[4, 5, 6, 7],
            &Standard::digest(b"sealed by the server"),
            &[8; 32],
        ]
        .concat();
        assert_eq!(STATEMENT.to_bytes()[..], expected);
    }

    #[test]
    fn proof_verifies_for_its_device() {
        let proof = prove(&device(9), &STATEMENT);
        assert!(verify(&device(9).public(), &STATEMENT, &proof));
        assert!(!verify(&device(10).public(), &STATEMENT, &proof));
    }

    #[test]
    fn proof_covers_every_field() {
        let proof = prove(&device(9), &STATEMENT);
        let others = [
            ResumeStatement { origin: "https://call.example:8443", ..STATEMENT },
            ResumeStatement { room: [0; 16], ..STATEMENT },
            ResumeStatement { call: [0; 16], ..STATEMENT },
            ResumeStatement { session: [0; 16], ..STATEMENT },
            ResumeStatement { participant: 0, ..STATEMENT },
            ResumeStatement { token: b"another", ..STATEMENT },
            ResumeStatement { nonce: [0; NONCE_BYTES], ..STATEMENT },
        ];
        for other in others {
            assert!(!verify(&device(9).public(), &other, &proof), "{other:?}");
        }
        for bit in 0..proof.len() * 8 {
            let mut flipped = proof;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&device(9).public(), &STATEMENT, &flipped), "bit {bit}");
        }
    }

    #[test]
    fn signature_without_label_is_no_proof() {
        const OTHER: Label = Domain::new("tacet/1").label("other");
        let signed = device(9).sign(&OTHER, &STATEMENT.to_bytes());
        assert!(!verify(&device(9).public(), &STATEMENT, &signed));
    }
}
