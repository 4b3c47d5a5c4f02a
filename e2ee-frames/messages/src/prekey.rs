//! Prekeys: public keys that a device leaves at the server, so that others can write to it while it is away.
//!
//! ```text
//! prekey  ver1 kind1 id4 day4 key sig64     key of 32 bytes (X25519) or 1,184 (ML-KEM-768)         106 or 1,258 bytes
//!         sig by the device over "e2ee-messages/1 KIND" || all before
//! bundle  prekeys in order of kind: signed, one-time?, one-time kem or last-resort kem, sealing
//! ```
//! Each kind is signed under its own label, so that none passes for another. Ids are random: a device that was restored
//! from a copy does not use an id twice.
//!
//! Which prekey is how old is part of what is signed: a server cannot serve one of a device's past for ever.

use crate::{
    agreement::{self, AgreementSecret},
    kem::{self, KemPublic, KemSecret},
    label,
};
use alloc::{boxed::Box, vec::Vec};
use e2ee_core::{Label, Primitives, Reader, SigningKey, Standard};
use e2ee_identity::{AgreementPublic, DeviceKeys, DevicePublic};

/// For how many days others use a prekey.
pub const PREKEY_DAYS: u32 = 21;
/// For how many days clocks may differ.
const DAYS_AHEAD: u32 = 1;
/// Bytes of an X25519 prekey.
pub const CURVE_PREKEY_BYTES: usize = 106;
/// Bytes of an ML-KEM prekey.
pub const KEM_PREKEY_BYTES: usize = 1_258;
/// Version of the format.
const VERSION: u8 = 1;

/// What a prekey is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PrekeyKind {
    /// X25519, used until the next one replaces it. Also the first ratchet key.
    Signed = 1,
    /// X25519, handed out once.
    OneTime = 2,
    /// ML-KEM-768, handed out once.
    OneTimeKem = 3,
    /// ML-KEM-768, when no one-time key is left.
    LastResortKem = 4,
    /// X25519, to which the outers of messages are sealed.
    Sealing = 5,
}

impl PrekeyKind {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Signed, Self::OneTime, Self::OneTimeKem, Self::LastResortKem, Self::Sealing]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    fn label(self) -> &'static Label {
        match self {
            Self::Signed => &label::SIGNED_PREKEY,
            Self::OneTime => &label::ONE_TIME_PREKEY,
            Self::OneTimeKem => &label::ONE_TIME_KEM,
            Self::LastResortKem => &label::LAST_RESORT_KEM,
            Self::Sealing => &label::SEALING_PREKEY,
        }
    }
}

/// Tells prekeys of one kind and device apart. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrekeyId(pub u32);

/// A prekey that its device has signed and that is not too old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prekey<K> {
    pub(crate) kind: PrekeyKind,
    pub(crate) id: PrekeyId,
    pub(crate) day: u32,
    pub(crate) key: K,
}

/// Why bytes are no prekey, or no bundle, to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrekeyError {
    /// Another length, version, kind or order.
    #[error("not prekeys of a device")]
    Malformed,
    /// The device has not signed it as this kind.
    #[error("the device has not signed its prekey")]
    NotSigned,
    /// Older than [`PREKEY_DAYS`]: the device has been away, or the server serves what it kept.
    #[error("a prekey of the device is too old")]
    TooOld,
    /// Dated after tomorrow.
    #[error("a prekey of the device is dated ahead")]
    DatedAhead,
    /// A key with which everyone agrees on the same, or that is no key.
    #[error("a prekey of the device is weak")]
    Weak,
}

/// The private half of a prekey.
pub(crate) trait PrivateHalf {
    /// The public half as in a prekey.
    fn public_bytes(&self) -> Vec<u8>;
}

impl PrivateHalf for AgreementSecret {
    fn public_bytes(&self) -> Vec<u8> {
        self.public().0.to_vec()
    }
}

impl PrivateHalf for KemSecret {
    fn public_bytes(&self) -> Vec<u8> {
        self.public().to_vec()
    }
}

/// The prekey of a private half, signed.
pub(crate) fn sign(keys: &DeviceKeys, kind: PrekeyKind, id: PrekeyId, day: u32, half: &impl PrivateHalf) -> Vec<u8> {
    let head = [VERSION, kind as u8];
    let mut bytes = [&head[..], &id.0.to_be_bytes(), &day.to_be_bytes(), &half.public_bytes()].concat();
    let signature = <Standard as Primitives>::Signing::from_seed(keys.signing_seed()).sign(kind.label(), &bytes);
    bytes.extend_from_slice(&signature);
    bytes
}

/// Reads one prekey with a key of `N` bytes, and verifies signature and date.
fn read<const N: usize>(
    reader: &mut Reader<'_>,
    device: &DevicePublic,
    today: u32,
) -> Result<Prekey<Box<[u8; N]>>, PrekeyError> {
    // Ten bytes before the key.
    let (signed, signature) =
        reader.take(10 + N).and_then(|signed| Some((signed, reader.chunk()?))).ok_or(PrekeyError::Malformed)?;
    let prekey = fields(signed).ok_or(PrekeyError::Malformed)?;
    if !Standard::verify(&device.0, prekey.kind.label(), signed, signature) {
        return Err(PrekeyError::NotSigned);
    }
    if prekey.day > today.saturating_add(DAYS_AHEAD) {
        return Err(PrekeyError::DatedAhead);
    }
    if is_too_old(prekey.day, today) {
        return Err(PrekeyError::TooOld);
    }
    Ok(prekey)
}

fn fields<const N: usize>(signed: &[u8]) -> Option<Prekey<Box<[u8; N]>>> {
    let mut reader = Reader::new(signed);
    (reader.u8()? == VERSION).then_some(())?;
    let kind = PrekeyKind::from_byte(reader.u8()?)?;
    let (id, day) = (PrekeyId(reader.u32()?), reader.u32()?);
    (id.0 > 0).then_some(())?;
    Some(Prekey { kind, id, day, key: Box::new(reader.array()?) })
}

fn read_curve(
    reader: &mut Reader<'_>,
    device: &DevicePublic,
    today: u32,
) -> Result<Prekey<AgreementPublic>, PrekeyError> {
    let Prekey { kind, id, day, key } = read::<32>(reader, device, today)?;
    let key = AgreementPublic(*key);
    if !agreement::contributes(&key) {
        return Err(PrekeyError::Weak);
    }
    Ok(Prekey { kind, id, day, key })
}

/// Whether a prekey of this day is not to be used any more.
pub(crate) fn is_too_old(day: u32, today: u32) -> bool {
    today.saturating_sub(day) > PREKEY_DAYS
}

/// Reads a sealing prekey that came alone.
pub(crate) fn read_sealing(
    bytes: &[u8; CURVE_PREKEY_BYTES],
    device: &DevicePublic,
    today: u32,
) -> Result<Prekey<AgreementPublic>, PrekeyError> {
    let prekey = read_curve(&mut Reader::new(bytes), device, today)?;
    if prekey.kind == PrekeyKind::Sealing { Ok(prekey) } else { Err(PrekeyError::Malformed) }
}

/// The prekeys of one device with which another starts a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    pub(crate) signed: Prekey<AgreementPublic>,
    pub(crate) one_time: Option<Prekey<AgreementPublic>>,
    pub(crate) kem: Prekey<KemPublic>,
    pub(crate) sealing: Prekey<AgreementPublic>,
}

impl Bundle {
    /// Reads what the server handed out for a device, and verifies each signature and date.
    ///
    /// # Errors
    /// If a prekey is missing, in another order, not signed as its kind, weak, too old or dated ahead.
    pub fn parse(bytes: &[u8], device: &DevicePublic, today: u32) -> Result<Self, PrekeyError> {
        let mut reader = Reader::new(bytes);
        let signed = read_curve(&mut reader, device, today)?;
        let has_one_time = reader.clone().take(2).is_some_and(|head| head.last() == Some(&(PrekeyKind::OneTime as u8)));
        let one_time = has_one_time.then(|| read_curve(&mut reader, device, today)).transpose()?;
        let kem = read::<{ kem::PUBLIC_BYTES }>(&mut reader, device, today)?;
        if !kem::is_public(&kem.key) {
            return Err(PrekeyError::Weak);
        }
        let sealing = read_curve(&mut reader, device, today)?;
        let kinds = signed.kind == PrekeyKind::Signed
            && one_time.as_ref().is_none_or(|prekey| prekey.kind == PrekeyKind::OneTime)
            && matches!(kem.kind, PrekeyKind::OneTimeKem | PrekeyKind::LastResortKem)
            && sealing.kind == PrekeyKind::Sealing;
        if !kinds || reader.end().is_none() {
            return Err(PrekeyError::Malformed);
        }
        Ok(Self { signed, one_time, kem, sealing })
    }

    /// Whether a session with these prekeys stays closed to who takes the device's other prekeys later.
    #[must_use]
    pub fn has_one_time_keys(&self) -> bool {
        self.one_time.is_some() && self.kem.kind == PrekeyKind::OneTimeKem
    }
}
