//! Interoperability with the `sframe` crate, another implementation of RFC 9605: both produce identical bytes, open each
//! other's frames, and refuse malformed ones.

#![allow(clippy::unwrap_used)]

use e2ee_frames::{hazmat::FixedKeyContext, sframe::Suite};
use proptest::{collection::vec, prelude::*};
use sframe::{
    CipherSuite,
    error::SframeError,
    frame::{EncryptedFrame, MediaFrame, SingleUseCounter},
    key::{DecryptionKey, EncryptionKey},
};

/// One base key and KID, in both implementations.
#[derive(Clone, Debug)]
struct Key {
    wide: bool,
    base_key: Vec<u8>,
    kid: u64,
}

impl Key {
    fn ours(&self) -> FixedKeyContext {
        let suite = if self.wide { Suite::Aes256GcmSha512 } else { Suite::Aes128GcmSha256 };
        FixedKeyContext::new(suite, &self.base_key, self.kid).unwrap()
    }

    fn suite(&self) -> CipherSuite {
        if self.wide { CipherSuite::AesGcm256Sha512 } else { CipherSuite::AesGcm128Sha256 }
    }

    fn seal_theirs(&self, ctr: u64, metadata: &[u8], frame: &[u8]) -> Vec<u8> {
        let key = EncryptionKey::derive_from(self.suite(), self.kid, &self.base_key).unwrap();
        let frame = MediaFrame::try_with_meta_data(&mut SingleUseCounter::new(ctr), frame, metadata).unwrap();
        frame.encrypt(&key).unwrap().sframe_cipher_text().to_vec()
    }

    fn open_theirs(&self, metadata: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SframeError> {
        let key = DecryptionKey::derive_from(self.suite(), self.kid, &self.base_key).unwrap();
        let frame = EncryptedFrame::try_with_meta_data(sealed, metadata)?.decrypt(&key)?;
        Ok(frame.payload().to_vec())
    }
}

prop_compose! {
    fn key()(wide: bool, base_key in vec(any::<u8>(), 0..80), kid in number()) -> Key {
        Key { wide, base_key, kid }
    }
}

/// Numbers of every length in bytes, which are rare among uniform ones.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift)
}

fn metadata() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=24)
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..2_000)
}

proptest! {
    #[test]
    fn sframe_crate_opens_our_frames(
        key in key(), ctr in number(), metadata in metadata(), frame in frame(),
    ) {
        // A session never counts further.
        let ctr = ctr % (1 << 32);
        let sealed = key.ours().seal(ctr, &metadata, &frame).unwrap();
        prop_assert_eq!(key.open_theirs(&metadata, &sealed).unwrap(), frame.clone());
        prop_assert_eq!(key.seal_theirs(ctr, &metadata, &frame), sealed);
    }

    #[test]
    fn sframe_crate_frames_open(key in key(), ctr in number(), metadata in metadata(), frame in frame()) {
        let sealed = key.seal_theirs(ctr, &metadata, &frame);
        prop_assert_eq!(key.ours().open(&metadata, &sealed).unwrap(), frame);
    }

    #[test]
    fn flipped_bit_is_refused_by_both(
        key in key(), ctr in number(), metadata in metadata(), frame in frame(), position: prop::sample::Index,
    ) {
        let mut sealed = key.seal_theirs(ctr, &metadata, &frame);
        let bit = position.index(sealed.len() * 8);
        sealed.as_mut_slice()[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key.ours().open(&metadata, &sealed).is_err());
        prop_assert!(key.open_theirs(&metadata, &sealed).is_err());
    }

    #[test]
    fn truncated_frame_is_refused_by_both(
        key in key(), ctr in number(), metadata in metadata(), frame in frame(), position: prop::sample::Index,
    ) {
        let sealed = key.seal_theirs(ctr, &metadata, &frame);
        let part = &sealed[..position.index(sealed.len())];
        prop_assert!(key.ours().open(&metadata, part).is_err());
        prop_assert!(key.open_theirs(&metadata, part).is_err());
    }

    #[test]
    fn other_key_or_metadata_is_refused_by_both(
        key in key(), other in key(), ctr in number(), metadata in metadata(), others in metadata(), frame in frame(),
    ) {
        let sealed = key.seal_theirs(ctr, &metadata, &frame);
        let other = Key { kid: key.kid, ..other };
        prop_assume!(metadata != others);
        prop_assert!(key.ours().open(&others, &sealed).is_err());
        prop_assert!(key.open_theirs(&others, &sealed).is_err());
        prop_assume!((other.wide, &other.base_key) != (key.wide, &key.base_key));
        prop_assert!(other.ours().open(&metadata, &sealed).is_err());
        prop_assert!(other.open_theirs(&metadata, &sealed).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_by_both(key in key(), metadata in metadata(), bytes in vec(any::<u8>(), 0..100)) {
        prop_assert!(key.ours().open(&metadata, &bytes).is_err());
        prop_assert!(key.open_theirs(&metadata, &bytes).is_err());
    }
}
