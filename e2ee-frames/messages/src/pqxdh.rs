//! PQXDH: two devices agree on the first root key of a session while one of them is away.
//!
//! ```text
//!   initiator A                                              responder B
//!   dh_A ──────────────── DH ──────────────────────────────► signed prekey
//!   e    ──────────────── DH ──────────────────────────────► dh_B
//!   e    ──────────────── DH ──────────────────────────────► signed prekey
//!   e    ──────────────── DH ──────────────────────────────► one-time prekey, if there is one
//!        ──────────────── ML-KEM-768 ──────────────────────► one-time, else last-resort kem prekey
//!
//!   session id = SHA-256("e2ee-messages/1 transcript" || len2 origin || A || B || e
//!                        || signed: id4 key32 || one-time: id4 key32, or zeros || kem: kind1 id4 key1184 || ciphertext1088)
//!   A, B       = account16 identity32 device32 dh32
//!   root       = HKDF("e2ee-messages/1 pqxdh", ff×32 || the four DHs in this order || kem secret, session id)
//! ```
//! The session id is all that both sides have to agree on; it is the info of the root key and the AAD of every slip. So no
//! prekey can be exchanged for another, and no one can present a session as their own.
//!
//! The first two agreements authenticate, the others and the KEM are fresh. Breaking X25519 alone does not yield the root
//! key, and neither does breaking the KEM. Signatures and DHs do not resist a quantum computer that exists at the time: it
//! can impersonate, but not read what was recorded before.

use crate::{
    agreement::AgreementSecret,
    kem::{self, CIPHERTEXT_BYTES, KemCiphertext},
    label,
    prekey::{Bundle, PrekeyId, PrekeyKind},
    prekeys::Prekeys,
};
use alloc::{boxed::Box, vec::Vec};
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard};
use e2ee_identity::{AgreementPublic, DeviceCert};
use zeroize::Zeroizing;

/// Bytes of [`Opening`].
pub(crate) const OPENING_BYTES: usize = 32 + 4 + 4 + 1 + 4 + CIPHERTEXT_BYTES;

/// What the initiator sends before its first slips, until an answer shows that the responder has it.
#[derive(Clone)]
pub(crate) struct Opening {
    pub(crate) ephemeral: AgreementPublic,
    pub(crate) signed: PrekeyId,
    pub(crate) one_time: Option<PrekeyId>,
    pub(crate) kem: (PrekeyKind, PrekeyId),
    ciphertext: KemCiphertext,
}

/// What both sides have agreed on.
pub(crate) struct Agreed {
    pub(crate) session: [u8; 32],
    pub(crate) root: SecretBytes<32>,
}

/// A device, as one side of a session: its secret and its certificate.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) secret: &'a AgreementSecret,
    pub(crate) cert: &'a DeviceCert,
    pub(crate) origin: &'a str,
}

impl Opening {
    pub(crate) fn has_one_time_keys(&self) -> bool {
        self.one_time.is_some() && self.kem.0 == PrekeyKind::OneTimeKem
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let one_time = self.one_time.map_or(0, |id| id.0);
        let ids = [&self.signed.0.to_be_bytes()[..], &one_time.to_be_bytes()].concat();
        let kem = [&[self.kem.0 as u8], &self.kem.1.0.to_be_bytes()[..]].concat();
        [&self.ephemeral.0[..], &ids, &kem, &*self.ciphertext].concat()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let ephemeral = AgreementPublic(reader.array()?);
        let (signed, one_time) = (PrekeyId(reader.u32()?), Some(PrekeyId(reader.u32()?)).filter(|id| id.0 > 0));
        let kem = (PrekeyKind::from_byte(reader.u8()?)?, PrekeyId(reader.u32()?));
        Some(Self { ephemeral, signed, one_time, kem, ciphertext: Box::new(reader.array()?) })
    }
}

/// Agrees on a session with the owner of a bundle. `None` if a key of it contributes nothing or is no key.
pub(crate) fn initiate(
    own: Own<'_>,
    peer: &DeviceCert,
    bundle: &Bundle,
    random: &mut (impl Random + ?Sized),
) -> Option<(Agreed, Opening)> {
    let ephemeral = AgreementSecret::draw(random);
    let (ciphertext, shared) = kem::encapsulate(&bundle.kem.key, random)?;
    let opening = Opening {
        ephemeral: ephemeral.public(),
        signed: bundle.signed.id,
        one_time: bundle.one_time.as_ref().map(|prekey| prekey.id),
        kem: (bundle.kem.kind, bundle.kem.id),
        ciphertext,
    };
    let mut secrets = Secrets::new();
    secrets.add(own.secret.agree(&bundle.signed.key)?);
    secrets.add(ephemeral.agree(&peer.agreement)?);
    secrets.add(ephemeral.agree(&bundle.signed.key)?);
    if let Some(prekey) = &bundle.one_time {
        secrets.add(ephemeral.agree(&prekey.key)?);
    }
    secrets.add(shared);
    let one_time = bundle.one_time.as_ref().map(|prekey| prekey.key);
    let session = transcript(own.origin, [own.cert, peer], &opening, (&bundle.signed.key, one_time, &bundle.kem.key));
    Some((secrets.agreed(session), opening))
}

/// Agrees on the session that a peer has opened. `None` if a private half is gone or a key contributes nothing.
pub(crate) fn respond(own: Own<'_>, peer: &DeviceCert, opening: &Opening, prekeys: &Prekeys) -> Option<Agreed> {
    let signed = prekeys.signed(opening.signed)?;
    let kem = prekeys.kem(opening.kem.0, opening.kem.1)?;
    let mut secrets = Secrets::new();
    secrets.add(signed.agree(&peer.agreement)?);
    secrets.add(own.secret.agree(&opening.ephemeral)?);
    secrets.add(signed.agree(&opening.ephemeral)?);
    let mut one_time = None;
    if let Some(id) = opening.one_time {
        let half = prekeys.one_time(id)?;
        secrets.add(half.agree(&opening.ephemeral)?);
        one_time = Some(half.public());
    }
    secrets.add(kem.decapsulate(&opening.ciphertext));
    let session = transcript(own.origin, [peer, own.cert], opening, (&signed.public(), one_time, &kem.public()));
    Some(secrets.agreed(session))
}

type PublicKeys<'a> = (&'a AgreementPublic, Option<AgreementPublic>, &'a [u8; kem::PUBLIC_BYTES]);

/// The session id. Initiator first.
fn transcript(origin: &str, sides: [&DeviceCert; 2], opening: &Opening, keys: PublicKeys<'_>) -> [u8; 32] {
    let party = |cert: &DeviceCert| [&cert.account.0[..], &cert.identity.0, &cert.device.0, &cert.agreement.0].concat();
    // An origin has at most 267 bytes.
    let length = u16::try_from(origin.len()).unwrap_or(u16::MAX).to_be_bytes();
    let (signed, one_time, kem) = keys;
    let parts: [&[u8]; 13] = [
        &length,
        origin.as_bytes(),
        &party(sides[0]),
        &party(sides[1]),
        &opening.ephemeral.0,
        &opening.signed.0.to_be_bytes(),
        &signed.0,
        &opening.one_time.map_or(0, |id| id.0).to_be_bytes(),
        &one_time.map_or([0; 32], |key| key.0),
        &[opening.kem.0 as u8],
        &opening.kem.1.0.to_be_bytes(),
        kem,
        &*opening.ciphertext,
    ];
    Standard::hash(&label::TRANSCRIPT, &parts)
}

/// The input of the key derivation, in memory that is erased.
struct Secrets(Zeroizing<Vec<u8>>);

impl Secrets {
    fn new() -> Self {
        // Never grows: a prefix, four agreements, the secret of the KEM.
        let mut bytes = Zeroizing::new(Vec::with_capacity(32 * 6));
        bytes.extend_from_slice(&[0xff; 32]);
        Self(bytes)
    }

    fn add(&mut self, secret: SecretBytes<32>) {
        self.0.extend_from_slice(&*secret);
    }

    fn agreed(self, session: [u8; 32]) -> Agreed {
        let mut root = SecretBytes::zeros();
        Standard::derive(label::PQXDH.as_bytes(), &self.0, &mut [(&[&session], &mut *root)]);
        Agreed { session, root }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prekeys::Stock;
    use e2ee_identity::{AccountId, DeviceKeys, DeviceKind, IdentityPublic};
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{RngCore, SeedableRng},
    };

    const TODAY: u32 = 20_000;
    const ORIGIN: &str = "https://call.example";

    fn random(seed: u64) -> impl FnMut(&mut [u8]) + Send {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        move |bytes: &mut [u8]| rng.fill_bytes(bytes)
    }

    fn keys(person: u8) -> DeviceKeys {
        DeviceKeys::from_seeds(&[person; 32], &[person + 100; 32])
    }

    fn cert(person: u8, account: u8, identity: u8) -> DeviceCert {
        let (account, identity) = (AccountId([account; 16]), IdentityPublic([identity; 32]));
        DeviceCert::parse(&keys(person).certify(&account, &identity, TODAY, DeviceKind::NATIVE, &[0; 32])).unwrap()
    }

    /// Ben's private halves and his bundle, with or without one-time prekeys.
    fn ben(one_time: bool) -> (Prekeys, Bundle) {
        let mut prekeys = Prekeys::default();
        let mut uploaded = prekeys.renew(&keys(2), Stock::default(), TODAY, &mut random(1)).prekeys;
        uploaded.sort_by_key(|prekey| prekey[1]);
        uploaded.dedup_by_key(|prekey| prekey[1]);
        uploaded.retain(|prekey| if one_time { prekey[1] != 4 } else { ![2, 3].contains(&prekey[1]) });
        let bundle = Bundle::parse(&uploaded.concat(), &keys(2).public(), TODAY).unwrap();
        (prekeys, bundle)
    }

    struct Side<'a> {
        secret: AgreementSecret,
        cert: &'a DeviceCert,
        origin: &'a str,
    }

    impl Side<'_> {
        fn own(&self) -> Own<'_> {
            Own { secret: &self.secret, cert: self.cert, origin: self.origin }
        }
    }

    fn side<'a>(person: u8, cert: &'a DeviceCert, origin: &'a str) -> Side<'a> {
        Side { secret: AgreementSecret::from_seed(keys(person).agreement_seed()), cert, origin }
    }

    #[test]
    fn both_sides_agree() {
        let (ada, ben_cert) = (cert(1, 1, 11), cert(2, 2, 12));
        for one_time in [true, false] {
            let (prekeys, bundle) = ben(one_time);
            let (ours, opening) = initiate(side(1, &ada, ORIGIN).own(), &ben_cert, &bundle, &mut random(2)).unwrap();
            assert_eq!(opening.has_one_time_keys(), one_time);
            let bytes = opening.to_bytes();
            assert_eq!(bytes.len(), OPENING_BYTES);
            let opening = Opening::read(&mut Reader::new(&bytes)).unwrap();
            let theirs = respond(side(2, &ben_cert, ORIGIN).own(), &ada, &opening, &prekeys).unwrap();
            assert_eq!((ours.session, *ours.root), (theirs.session, *theirs.root));
            // Another first message is another session.
            let (other, _) = initiate(side(1, &ada, ORIGIN).own(), &ben_cert, &bundle, &mut random(3)).unwrap();
            assert!(other.session != ours.session && *other.root != *ours.root);
        }
    }

    /// Each side must have the same view of who both are, where, and of each key. An opening presented as that of another
    /// account, a device that changed its identity, a server under another origin: no common root.
    #[test]
    fn sides_that_see_anything_else_do_not_agree() {
        let (ada, ben_cert) = (cert(1, 1, 11), cert(2, 2, 12));
        let (prekeys, bundle) = ben(true);
        let (ours, opening) = initiate(side(1, &ada, ORIGIN).own(), &ben_cert, &bundle, &mut random(2)).unwrap();
        let root = |peer: &DeviceCert, own: &DeviceCert, origin: &str, opening: &Opening| {
            respond(side(2, own, origin).own(), peer, opening, &prekeys).map(|agreed| *agreed.root)
        };
        assert_eq!(root(&ada, &ben_cert, ORIGIN, &opening), Some(*ours.root));
        for other in [
            root(&cert(1, 3, 11), &ben_cert, ORIGIN, &opening),
            root(&cert(1, 1, 13), &ben_cert, ORIGIN, &opening),
            root(&cert(3, 1, 11), &ben_cert, ORIGIN, &opening),
            root(&ada, &cert(2, 3, 12), ORIGIN, &opening),
            root(&ada, &cert(2, 2, 13), ORIGIN, &opening),
            root(&ada, &ben_cert, "https://other.example", &opening),
        ] {
            assert!(other.is_some_and(|root| root != *ours.root));
        }
        // Without the one-time prekey, with a ciphertext that was altered, with prekeys that Ben does not have.
        let edit = |edit: &dyn Fn(&mut Opening)| {
            let mut opening = opening.clone();
            edit(&mut opening);
            root(&ada, &ben_cert, ORIGIN, &opening)
        };
        assert!(edit(&|opening| opening.one_time = None).is_some_and(|root| root != *ours.root));
        assert!(edit(&|opening| opening.ciphertext[9] ^= 1).is_some_and(|root| root != *ours.root));
        for missing in [
            edit(&|opening| opening.signed.0 ^= 2),
            edit(&|opening| opening.one_time = Some(PrekeyId(1))),
            edit(&|opening| opening.kem.1.0 ^= 2),
            edit(&|opening| opening.kem.0 = PrekeyKind::LastResortKem),
            edit(&|opening| opening.kem.0 = PrekeyKind::Signed),
            edit(&|opening| opening.ephemeral = AgreementPublic([0; 32])),
        ] {
            assert_eq!(missing, None);
        }
    }
}
