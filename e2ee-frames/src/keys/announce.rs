//! The announce: the public keys of a device, signed by it and authenticated by the invite secret.
//!
//! ```text
//! ver1 auth1 room16 call16 device_pk32 incarnation16 eph_pk32 bundle_hash32 display_hash32
//! profiles4 seq4 not_before8 not_after8 | sig64 (Ed25519, device key) | mac32 (HMAC-SHA-256, invite)     298 bytes
//! ```
//! The signature covers the label `"e2ee-frames/1 announce"` and everything before it, the MAC everything before it. Only
//! a checked announce becomes a [`Verified`], and only a [`Verified`] is admitted to the roster.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{
    display,
    identity::{Call, Identity, JoinId},
    invite::InviteKeys,
};
use crate::{clock::WallTime, label};
use alloc::string::String;
use core::time::Duration;
use e2ee_core::{AgreementKey, Primitives, Reader, array};
pub(crate) use media_types::key_exchange::ANNOUNCE_BYTES;

/// Bytes that the signature covers.
const SIGNED_BYTES: usize = 202;
/// Bytes that the MAC covers.
const MACED_BYTES: usize = 266;

const VERSION: u8 = 1;
/// Authenticated by the invite secret; 2 means a directory, 3 both.
const AUTH_INVITE: u8 = 1;
const AUTH_BOTH: u8 = 3;
/// Bit 0: the constant envelopes.
const PROFILES: u32 = 1;

/// Maximum validity.
pub(crate) const MAX_VALIDITY: Duration = Duration::from_secs(15 * 60);
/// Maximum difference between two devices' clocks.
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(10 * 60);

/// Why an announce is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnnounceError {
    #[error("not an announce of this version")]
    Malformed,
    #[error("for another room or call")]
    WrongCall,
    #[error("not authenticated by the invite secret")]
    WrongInvite,
    #[error("not signed by its device")]
    WrongSignature,
    #[error("valid for longer than allowed")]
    Validity,
    #[error("{minutes} minutes away from this clock")]
    ClockSkew { minutes: u64 },
    #[error("ephemeral key of low order")]
    LowOrder,
    #[error("name not authentic for this device")]
    Display,
}

/// The contents of an announce after every check.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) join_id: JoinId,
    pub(crate) seq: u32,
    pub(crate) ephemeral: [u8; 32],
    /// SHA-256 of the whole announce.
    pub(crate) hash: [u8; 32],
    pub(crate) not_before: WallTime,
    pub(crate) not_after: WallTime,
    /// As its owner chose it: see [`crate::names`].
    pub(crate) name: String,
}

/// The fields that change with every renewal of this device's announce.
pub(crate) struct Renewal<'a> {
    pub(crate) ephemeral: &'a [u8; 32],
    pub(crate) seq: u32,
    pub(crate) wall: WallTime,
    pub(crate) validity: Duration,
    pub(crate) display: &'a [u8],
}

/// Writes and signs this device's announce.
pub(crate) fn write<P: Primitives>(
    call: &Call,
    identity: &Identity<P>,
    invite: &InviteKeys,
    renewal: &Renewal<'_>,
) -> [u8; ANNOUNCE_BYTES] {
    let signed: [u8; SIGNED_BYTES] = array::concat(&[
        &[VERSION, AUTH_INVITE],
        &call.room,
        &call.call,
        &identity.device,
        &identity.incarnation,
        renewal.ephemeral,
        &[0; 32],
        &P::digest(renewal.display),
        &PROFILES.to_be_bytes(),
        &renewal.seq.to_be_bytes(),
        &renewal.wall.as_millis().to_be_bytes(),
        &renewal.wall.saturating_add(renewal.validity).as_millis().to_be_bytes(),
    ]);
    let maced: [u8; MACED_BYTES] = array::concat(&[&signed, &identity.sign(&label::ANNOUNCE, &signed)]);
    array::concat(&[&maced, &invite.mac::<P>(&maced)])
}

/// Hash of an announce, by which key batches refer to it.
pub(crate) fn hash<P: Primitives>(announce: &[u8; ANNOUNCE_BYTES]) -> [u8; 32] {
    P::digest(announce)
}

/// Checks an announce and its sealed name, cheapest and least revealing checks first. `secret` is any X25519 key of this
/// device, to check that the announced key contributes.
pub(crate) fn verify<P: Primitives>(
    announce: &[u8; ANNOUNCE_BYTES],
    sealed_name: &[u8],
    call: &Call,
    invite: &InviteKeys,
    secret: &P::Agreement,
    wall: WallTime,
) -> Result<Verified, AnnounceError> {
    let fields = Fields::read(announce).ok_or(AnnounceError::Malformed)?;
    if fields.room != call.room || fields.call != call.call {
        return Err(AnnounceError::WrongCall);
    }
    let (maced, mac) = array::split::<MACED_BYTES, 32, ANNOUNCE_BYTES>(announce);
    if !invite.verify::<P>(maced, mac) {
        return Err(AnnounceError::WrongInvite);
    }
    let (signed, signature) = array::split::<SIGNED_BYTES, 64, MACED_BYTES>(maced);
    if !P::verify(&fields.device, &label::ANNOUNCE, signed, signature) {
        return Err(AnnounceError::WrongSignature);
    }
    let validity = fields.not_after.saturating_duration_since(fields.not_before);
    if validity.is_zero() || validity > MAX_VALIDITY {
        return Err(AnnounceError::Validity);
    }
    let away = fields.not_before.saturating_duration_since(wall).max(wall.saturating_duration_since(fields.not_after));
    if away > MAX_SKEW {
        return Err(AnnounceError::ClockSkew { minutes: away.as_secs() / 60 });
    }
    if !secret.contributes(&fields.ephemeral) {
        return Err(AnnounceError::LowOrder);
    }
    let join_id = call.join_id::<P>(&fields.device, &fields.incarnation);
    if P::digest(sealed_name) != fields.display_hash {
        return Err(AnnounceError::Display);
    }
    let name = display::open::<P>(&invite.display, &join_id, sealed_name).ok_or(AnnounceError::Display)?;
    let hash = hash::<P>(announce);
    let Fields { seq, ephemeral, not_before, not_after, .. } = fields;
    Ok(Verified { join_id, seq, ephemeral, hash, not_before, not_after, name })
}

/// The fields of an announce, unchecked.
struct Fields {
    room: [u8; 16],
    call: [u8; 16],
    device: [u8; 32],
    incarnation: [u8; 16],
    ephemeral: [u8; 32],
    display_hash: [u8; 32],
    seq: u32,
    not_before: WallTime,
    not_after: WallTime,
}

impl Fields {
    fn read(announce: &[u8; ANNOUNCE_BYTES]) -> Option<Self> {
        let mut reader = Reader::new(announce);
        if reader.u8()? != VERSION || !matches!(reader.u8()?, AUTH_INVITE | AUTH_BOTH) {
            return None;
        }
        let (room, call, device) = (reader.array()?, reader.array()?, reader.array()?);
        let (incarnation, ephemeral) = (reader.array()?, reader.array()?);
        let _bundle_hash: [u8; 32] = reader.array()?;
        let display_hash = reader.array()?;
        let _profiles = reader.u32()?;
        let seq = reader.u32()?;
        let (not_before, not_after) = (WallTime::from_millis(reader.u64()?), WallTime::from_millis(reader.u64()?));
        Some(Self { room, call, device, incarnation, ephemeral, display_hash, seq, not_before, not_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use e2ee_core::Standard;
    use proptest::prelude::*;
    use x25519_dalek::{PublicKey, StaticSecret};

    const CALL: Call = Call { room: [1; 16], call: [2; 16] };
    const WALL: WallTime = WallTime::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const MILLISECOND: Duration = Duration::from_millis(1);

    struct Maker {
        identity: Identity<Standard>,
        invite: InviteKeys,
        ephemeral: [u8; 32],
        validity: Duration,
        wall: WallTime,
    }

    fn counting() -> impl FnMut(&mut [u8]) + Send {
        let mut next = 0u8;
        move |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_add(1);
                *byte = next;
            }
        }
    }

    impl Maker {
        fn new() -> Self {
            let secret = StaticSecret::from([5; 32]);
            Self {
                identity: Identity::generate(&CALL, &mut counting()),
                invite: InviteKeys::new::<Standard>(&[7; 32]),
                ephemeral: PublicKey::from(&secret).to_bytes(),
                validity: MAX_VALIDITY,
                wall: WALL,
            }
        }

        fn make(&self, call: &Call) -> ([u8; ANNOUNCE_BYTES], Vec<u8>) {
            let display =
                display::seal::<Standard>(&self.invite.display, &self.identity.join_id, "Ada", &mut counting())
                    .unwrap();
            let renewal = Renewal {
                ephemeral: &self.ephemeral,
                seq: 1,
                wall: self.wall,
                validity: self.validity,
                display: &display,
            };
            (write(call, &self.identity, &self.invite, &renewal), display)
        }
    }

    fn check(announce: &[u8; ANNOUNCE_BYTES], display: &[u8]) -> Result<Verified, AnnounceError> {
        verify::<Standard>(
            announce,
            display,
            &CALL,
            &InviteKeys::new::<Standard>(&[7; 32]),
            &StaticSecret::from([6; 32]),
            WALL,
        )
    }

    #[test]
    fn fresh_announce_verifies() {
        let (announce, display) = Maker::new().make(&CALL);
        let verified = check(&announce, &display).unwrap();
        assert_eq!((verified.name.as_str(), verified.seq), ("Ada", 1));
        assert_eq!((verified.not_before, verified.not_after), (WALL, WALL.saturating_add(MAX_VALIDITY)));
    }

    fn before(duration: Duration) -> WallTime {
        WallTime::from_millis(WALL.as_millis() - duration.as_millis() as u64)
    }

    #[test]
    fn announce_matrix() {
        let maker = Maker::new();
        let refused = |maker: &Maker, call| {
            let (announce, display) = maker.make(call);
            check(&announce, &display).unwrap_err()
        };
        assert_eq!(refused(&maker, &Call { room: [9; 16], ..CALL }), AnnounceError::WrongCall);
        assert_eq!(refused(&maker, &Call { call: [9; 16], ..CALL }), AnnounceError::WrongCall);
        let stranger = Maker { invite: InviteKeys::new::<Standard>(&[8; 32]), ..Maker::new() };
        assert_eq!(refused(&stranger, &CALL), AnnounceError::WrongInvite);
        let long = Maker { validity: MAX_VALIDITY + MILLISECOND, ..Maker::new() };
        assert_eq!(refused(&long, &CALL), AnnounceError::Validity);
        let never = Maker { validity: Duration::ZERO, ..Maker::new() };
        assert_eq!(refused(&never, &CALL), AnnounceError::Validity);
        let early = Maker { wall: WALL.saturating_add(MAX_SKEW + MINUTE), ..Maker::new() };
        assert_eq!(refused(&early, &CALL), AnnounceError::ClockSkew { minutes: 11 });
        let expired = Maker { wall: before(MAX_VALIDITY + MAX_SKEW + MILLISECOND), ..Maker::new() };
        assert_eq!(refused(&expired, &CALL), AnnounceError::ClockSkew { minutes: 10 });
        let (announce, display) = maker.make(&CALL);
        let mut newer = announce;
        newer[0] = VERSION + 1;
        assert_eq!(check(&newer, &display).unwrap_err(), AnnounceError::Malformed);
        assert_eq!(check(&announce, &display[1..]).unwrap_err(), AnnounceError::Display);
    }

    #[test]
    fn signature_of_other_device_is_refused() {
        let maker = Maker::new();
        let (mut announce, display) = maker.make(&CALL);
        announce[SIGNED_BYTES + 3] ^= 1;
        let mac = maker.invite.mac::<Standard>(&announce[..MACED_BYTES]);
        announce[MACED_BYTES..].copy_from_slice(&mac);
        assert_eq!(check(&announce, &display).unwrap_err(), AnnounceError::WrongSignature);
    }

    #[test]
    fn display_bound_to_device() {
        let maker = Maker::new();
        let mut other = Maker::new();
        other.identity = Identity::generate(&CALL, &mut |bytes: &mut [u8]| bytes.fill(0x42));
        let (announce, display) = maker.make(&CALL);
        let (_, of_other) = other.make(&CALL);
        assert_eq!(check(&announce, &of_other).unwrap_err(), AnnounceError::Display);
        assert_eq!(display::open::<Standard>(&maker.invite.display, &other.identity.join_id, &display), None);
        let mut edited = display.clone();
        *edited.last_mut().unwrap() ^= 1;
        assert_eq!(check(&announce, &edited).unwrap_err(), AnnounceError::Display);
    }

    #[test]
    fn low_order_ephemeral_is_refused() {
        // The points of order 1, 2, 4 and 8 on curve and twist, and their non-canonical forms.
        let p = |low: u8| {
            let mut bytes = [0xff; 32];
            bytes[0] = low;
            bytes[31] = 0x7f;
            bytes
        };
        let order_8 = [
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        ]
        .map(|hex| <[u8; 32]>::try_from(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap());
        let one = core::array::from_fn(|index| u8::from(index == 0));
        for ephemeral in [[0; 32], one, order_8[0], order_8[1], p(0xec), p(0xed), p(0xee)] {
            let maker = Maker { ephemeral, ..Maker::new() };
            let (announce, display) = maker.make(&CALL);
            assert_eq!(check(&announce, &display).unwrap_err(), AnnounceError::LowOrder);
        }
    }

    #[test]
    fn flipped_announce_bit_is_refused() {
        let (announce, display) = Maker::new().make(&CALL);
        for bit in 0..announce.len() * 8 {
            let mut flipped = announce;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&flipped, &display).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_announce_is_refused(
            bytes in proptest::collection::vec(any::<u8>(), ANNOUNCE_BYTES),
            display in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            prop_assert!(check(&bytes.try_into().unwrap(), &display).is_err());
        }
    }
}
