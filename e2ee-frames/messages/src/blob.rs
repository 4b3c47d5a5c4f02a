//! The content of a message, sealed once for all devices of an account.
//!
//! ```text
//! blob   AES-256-GCM(key32 drawn for it, nonce zeros12, id16 len4 body zeros, AAD "e2ee-messages/1 blob")
//!        padded to 256 · 2ᵏ bytes, k ≤ 5; then tag16                                               at most 8,208 bytes
//! ```
//! Each account gets a blob under another key: the server cannot tell that a message and the copy for the sender's own
//! devices are one.

use crate::{cipher, cipher::CipherError, label};
use alloc::vec::Vec;
use e2ee_core::{Primitives, Random, Reader, SecretBytes, Standard};
use zeroize::Zeroizing;

/// Least number of bytes that are sealed.
const SMALLEST: usize = 256;
/// Maximum number of bytes that are sealed.
const LARGEST: usize = 8_192;
/// Bytes before the body.
const HEAD_BYTES: usize = 20;
/// Maximum length of a message's body, bytes.
pub const MAX_BODY_BYTES: usize = LARGEST - HEAD_BYTES;
/// Maximum length of a blob, bytes.
pub const MAX_BLOB_BYTES: usize = LARGEST + cipher::TAG_BYTES;
const NONCE: [u8; cipher::NONCE_BYTES] = [0; cipher::NONCE_BYTES];

/// Tells messages apart. Drawn at random by the sender, the same for all devices that receive the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

/// Why a blob was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlobSealError {
    TooLong,
    Cipher(CipherError),
}

/// A sealed content, with what opens it.
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: SecretBytes<32>,
    pub(crate) hash: [u8; 32],
}

/// What is inside.
pub(crate) struct Content {
    pub(crate) id: MessageId,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Seals a content under a key that is drawn for it.
pub(crate) fn seal(id: MessageId, body: &[u8], random: &mut (impl Random + ?Sized)) -> Result<Blob, BlobSealError> {
    let length = body.len().saturating_add(HEAD_BYTES);
    let padded = (0..).map(|k| SMALLEST << k).take_while(|size| *size <= LARGEST).find(|size| length <= *size);
    let padded = padded.ok_or(BlobSealError::TooLong)?;
    // At most 8,192.
    let body_length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut data = Zeroizing::new(Vec::with_capacity(padded));
    data.extend_from_slice(&id.0);
    data.extend_from_slice(&body_length);
    data.extend_from_slice(body);
    data.resize(padded, 0);
    let mut key = SecretBytes::zeros();
    random.fill(&mut *key);
    let tag = cipher::seal(&key, &NONCE, label::BLOB.as_bytes(), data.as_mut_slice()).map_err(BlobSealError::Cipher)?;
    let bytes = [&data[..], &tag].concat();
    let hash = Standard::digest(&bytes);
    Ok(Blob { bytes, key, hash })
}

/// Opens a blob that has the hash that its slip names. `None` if it is not what the sender sealed.
pub(crate) fn open(blob: &[u8], key: &[u8; 32]) -> Option<Content> {
    let (contents, tag) = blob.split_last_chunk().filter(|_| blob.len() <= MAX_BLOB_BYTES)?;
    let mut data = Zeroizing::new(contents.to_vec());
    cipher::open(key, &NONCE, label::BLOB.as_bytes(), data.as_mut_slice(), tag)?;
    let size = data.len();
    (size.is_power_of_two() && (SMALLEST..=LARGEST).contains(&size)).then_some(())?;
    let mut reader = Reader::new(&data);
    let (id, length) = (MessageId(reader.array()?), usize::try_from(reader.u32()?).ok()?);
    let body = Zeroizing::new(reader.take(length)?.to_vec());
    let padding = reader.take(size.checked_sub(HEAD_BYTES + length)?)?;
    padding.iter().all(|byte| *byte == 0).then_some(Content { id, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const ID: MessageId = MessageId([7; 16]);

    fn random(bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }

    #[test]
    fn lengths_are_six() {
        for (body, padded) in [(0, 256), (236, 256), (237, 512), (4_076, 4_096), (4_077, 8_192), (8_172, 8_192)] {
            assert_eq!(seal(ID, &vec![1; body], &mut random).unwrap().bytes.len(), padded + 16, "{body}");
        }
        assert_eq!(seal(ID, &vec![1; MAX_BODY_BYTES + 1], &mut random).err(), Some(BlobSealError::TooLong));
    }

    #[test]
    fn other_padding_is_refused() {
        // An honest length, then a byte in the padding, a length beyond the end, a size of none of the six.
        let sealed = |edit: &dyn Fn(&mut Vec<u8>)| {
            let mut data = [&ID.0[..], &[0, 0, 0, 1, b'a'], &[0; 235]].concat();
            edit(&mut data);
            let tag = cipher::seal(&[1; 32], &NONCE, label::BLOB.as_bytes(), &mut data).unwrap();
            open(&[&data[..], &tag].concat(), &[1; 32]).is_some()
        };
        assert!(sealed(&|_| ()));
        assert!(!sealed(&|data| data[255] = 1));
        assert!(!sealed(&|data| data[18] = 1));
        assert!(!sealed(&|data| data.truncate(128)));
        assert!(!sealed(&|data| data.extend_from_slice(&[0; 128])));
    }

    proptest! {
        #[test]
        fn blob_round_trips_and_no_bit_may_flip(body in proptest::collection::vec(any::<u8>(), 0..600), bit: usize, cut: usize) {
            let Blob { mut bytes, key, .. } = seal(ID, &body, &mut random).unwrap();
            let content = open(&bytes, &key).unwrap();
            prop_assert_eq!((content.id, &*content.body), (ID, &body));
            prop_assert!(open(&bytes[..cut % bytes.len()], &key).is_none());
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&bytes, &key).is_none());
        }
    }
}
