//! An outer: a slip in an envelope that only the recipient's device can open. Who sent it stands inside.
//!
//! ```text
//! outer  e32 || c1 || c2                                                      e: an X25519 key drawn for this outer
//! c1     AES-256-GCM(k1, dh_A32)
//! c2     AES-256-GCM(k2, account16 || SHA-256(certificate)32 || len1 name || list_seq8 || slip)
//! k1     HKDF("e2ee-messages/1 outer", DH(e, sealing_B), "key" || context)                          key32 nonce12
//! k2     HKDF("e2ee-messages/1 outer", DH(e, sealing_B) || DH(dh_A, sealing_B), "slip" || context || SHA-256(c1))
//! context  e32 sealing_B32 dh_B32 account_B16 device_B32
//! ```
//! `c2` opens only if its sender has the private half of `dh_A`: a certificate is no secret, so a name in `c2` would prove
//! nothing without that. No content is signed: the recipient could have written all of it, and can convince no one else.
//!
//! `sealing_B` is a prekey that is replaced weekly, so that a device that is taken later does not tell who wrote to it before
//! ([`prekeys`](crate::prekeys)). A quantum computer can find the senders in outers that were recorded, but no text.

use crate::{
    agreement::AgreementSecret,
    cipher::{self, CipherError},
    label,
};
use alloc::{string::String, vec::Vec};
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard};
use e2ee_identity::{AccountId, AgreementPublic, DeviceCert, account::MAX_NAME_BYTES};
use zeroize::Zeroizing;

/// Bytes of `e` and `c1`.
const FIRST_BYTES: usize = 32 + C1_BYTES;
const C1_BYTES: usize = 32 + cipher::TAG_BYTES;
/// Maximum length of an outer, bytes.
pub const MAX_OUTER_BYTES: usize = 2_048;

/// Who an outer says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) account: AccountId,
    /// SHA-256 of the device's certificate.
    pub(crate) cert: [u8; 32],
    pub(crate) name: String,
    /// The newest list of the account that the sender knows.
    pub(crate) list_seq: u64,
}

/// To which device, and under which of its keys.
struct Recipient<'a> {
    cert: &'a DeviceCert,
    sealing: AgreementPublic,
}

impl Recipient<'_> {
    fn context(&self, ephemeral: &[u8; 32]) -> Vec<u8> {
        let cert = self.cert;
        [&ephemeral[..], &self.sealing.0, &cert.agreement.0, &cert.account.0, &cert.device.0].concat()
    }
}

type Key = (SecretBytes<{ cipher::KEY_BYTES }>, [u8; cipher::NONCE_BYTES]);

fn derive(secret: &[u8], info: &[&[u8]]) -> Key {
    let mut both = SecretBytes::<44>::zeros();
    Standard::derive(label::OUTER.as_bytes(), secret, &mut [(info, &mut *both)]);
    let (key, nonce) = e2ee_core::array::split::<32, 12, 44>(&both);
    (SecretBytes::copy_of(key), *nonce)
}

fn slip_key(ephemeral: &SecretBytes<32>, sender: &SecretBytes<32>, context: &[u8], c1: &[u8; C1_BYTES]) -> Key {
    let mut secret = SecretBytes::<64>::zeros();
    let (head, tail) = e2ee_core::array::split_mut::<32, 32, 64>(&mut secret);
    head.copy_from_slice(&**ephemeral);
    tail.copy_from_slice(&**sender);
    derive(&*secret, &[b"slip", context, &Standard::digest(c1)])
}

/// Why a slip was not put into an outer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OuterSealError {
    /// The recipient's key contributes nothing.
    Weak,
    Cipher(CipherError),
}

/// Seals a slip to a device.
pub(crate) fn seal(
    own: &AgreementSecret,
    sender: &Sender,
    to: &DeviceCert,
    sealing: AgreementPublic,
    slip: &[u8],
    random: &mut (impl Random + ?Sized),
) -> Result<Vec<u8>, OuterSealError> {
    let recipient = Recipient { cert: to, sealing };
    let ephemeral = AgreementSecret::draw(random);
    let context = recipient.context(&ephemeral.public().0);
    let fresh = ephemeral.agree(&sealing).ok_or(OuterSealError::Weak)?;
    let (key, nonce) = derive(&*fresh, &[b"key", &context]);
    let mut first = own.public().0;
    let tag = cipher::seal(&key, &nonce, &[], &mut first).map_err(OuterSealError::Cipher)?;
    let c1: [u8; C1_BYTES] = e2ee_core::array::concat(&[&first, &tag]);

    let (key, nonce) = slip_key(&fresh, &own.agree(&sealing).ok_or(OuterSealError::Weak)?, &context, &c1);
    // A name has at most 64 bytes.
    let length = u8::try_from(sender.name.len()).unwrap_or(u8::MAX);
    let mut second = Zeroizing::new(
        [&sender.account.0[..], &sender.cert, &[length], sender.name.as_bytes(), &sender.list_seq.to_be_bytes(), slip]
            .concat(),
    );
    let tag = cipher::seal(&key, &nonce, &[], second.as_mut_slice()).map_err(OuterSealError::Cipher)?;
    Ok([&ephemeral.public().0[..], &c1, &second, &tag].concat())
}

/// An outer that has opened: its sender has the private half of `agreement`.
pub(crate) struct Opened {
    pub(crate) sender: Sender,
    /// To be compared with the certificate that the sender names.
    pub(crate) agreement: AgreementPublic,
    plain: Zeroizing<Vec<u8>>,
    slip_at: usize,
}

impl Opened {
    pub(crate) fn slip(&self) -> &[u8] {
        self.plain.get(self.slip_at..).unwrap_or_default()
    }
}

/// Opens an outer with one of the device's sealing prekeys. `None` if it is for none of them, or altered.
pub(crate) fn open<'a>(
    outer: &[u8],
    own: &DeviceCert,
    sealing: impl Iterator<Item = &'a AgreementSecret>,
) -> Option<Opened> {
    let (first, rest) = outer.split_first_chunk::<FIRST_BYTES>().filter(|_| outer.len() <= MAX_OUTER_BYTES)?;
    let (ephemeral, c1) = e2ee_core::array::split::<32, C1_BYTES, FIRST_BYTES>(first);
    let (masked, tag1) = e2ee_core::array::split::<32, { cipher::TAG_BYTES }, C1_BYTES>(c1);
    let (contents, tag2) = rest.split_last_chunk()?;
    for secret in sealing {
        let context = Recipient { cert: own, sealing: secret.public() }.context(ephemeral);
        let fresh = secret.agree(&AgreementPublic(*ephemeral))?;
        let (key, nonce) = derive(&*fresh, &[b"key", &context]);
        let mut agreement = *masked;
        if cipher::open(&key, &nonce, &[], &mut agreement, tag1).is_none() {
            continue;
        }
        let agreement = AgreementPublic(agreement);
        let (key, nonce) = slip_key(&fresh, &secret.agree(&agreement)?, &context, c1);
        let mut plain = Zeroizing::new(contents.to_vec());
        cipher::open(&key, &nonce, &[], plain.as_mut_slice(), tag2)?;
        let (sender, slip_at) = read_sender(&plain)?;
        return Some(Opened { sender, agreement, plain, slip_at });
    }
    None
}

/// The sender, and where the slip begins.
fn read_sender(plain: &[u8]) -> Option<(Sender, usize)> {
    let mut reader = Reader::new(plain);
    let (account, cert) = (AccountId(reader.array()?), reader.array()?);
    let length = usize::from(reader.u8()?);
    let name = reader.take(length).filter(|name| (1..=MAX_NAME_BYTES).contains(&name.len()))?;
    let name = String::from(core::str::from_utf8(name).ok()?);
    let sender = Sender { account, cert, name, list_seq: reader.u64()? };
    Some((sender, 16 + 32 + 1 + length + 8))
}
