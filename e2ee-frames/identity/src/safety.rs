//! The safety number of two people: compared once, by QR code or read aloud.
//!
//! ```text
//! HKDF(salt "e2ee-identity/1 safety", sorted { identity32 account name }, info "number", 64)
//! ```
//! The account name is `len2 origin len1 name`. Twelve groups of five digits, each from five bytes modulo 100,000, are
//! read aloud; the first 32 bytes go into the QR code.

use crate::{account::AccountName, keys::IdentityPublic, label};
use alloc::{format, string::String, vec::Vec};
use e2ee_core::{Primitives, Standard};

/// The safety number of two people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyNumber([u8; 64]);

impl SafetyNumber {
    /// The same for both, whichever of them computes it.
    #[must_use]
    pub fn new(one: (&IdentityPublic, &AccountName), other: (&IdentityPublic, &AccountName)) -> Self {
        let person = |(identity, name): (&IdentityPublic, &AccountName)| [&identity.0, name.encoded()].concat();
        let mut people = [person(one), person(other)];
        people.sort_unstable();
        let mut number = [0; 64];
        Standard::derive(label::SAFETY.as_bytes(), &people.concat(), &mut [(&[b"number"], &mut number)]);
        Self(number)
    }

    /// Twelve groups of five digits.
    #[must_use]
    pub fn digits(&self) -> String {
        let groups = self.0.as_chunks::<5>().0.iter().map(|bytes| {
            let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            format!("{:05}", number % 100_000)
        });
        groups.collect::<Vec<_>>().join(" ")
    }

    /// The bytes of the QR code.
    #[must_use]
    pub fn qr_bytes(&self) -> &[u8; 32] {
        e2ee_core::array::split::<32, 32, 64>(&self.0).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safety_number_is_the_same_for_both_and_for_no_one_else() {
        let name = |name| AccountName::new("https://call.example", name).unwrap();
        let (ada, bob, mallory) = (IdentityPublic([1; 32]), IdentityPublic([2; 32]), IdentityPublic([3; 32]));
        let number = SafetyNumber::new((&ada, &name("ada")), (&bob, &name("bob")));
        assert_eq!(number, SafetyNumber::new((&bob, &name("bob")), (&ada, &name("ada"))));
        for other in [
            SafetyNumber::new((&ada, &name("ada")), (&mallory, &name("bob"))),
            SafetyNumber::new((&ada, &name("bob")), (&bob, &name("ada"))),
            SafetyNumber::new((&ada, &name("ada")), (&bob, &name("rob"))),
        ] {
            assert_ne!(number.qr_bytes(), other.qr_bytes());
        }
        let digits = number.digits();
        assert_eq!((digits.len(), digits.split(' ').count()), (71, 12));
    }
}
