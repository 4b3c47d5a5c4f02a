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
