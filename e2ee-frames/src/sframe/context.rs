//! Contexts of one KID: [`SealContext`] counts and encrypts, [`OpenContext`] checks for replay and decrypts.
//!
//! They are different types, and neither is `Clone`: a copied counter would repeat nonces.
//!
//! ```compile_fail
//! fn clone<T: Clone>() {}
//! clone::<e2ee_frames::Session>();
//! ```

use super::{
    TAG_BYTES,
    header::{Encoded, Header},
    kdf::{FrameKeys, NONCE_BYTES, nonce},
    window::ReplayWindow,
};
use e2ee_core::aead::{self, Aead, Unauthentic};
use zeroize::Zeroizing;

/// Maximum length of the metadata that follows the header in the additional data.
const MAX_METADATA_BYTES: usize = 32;

/// Metadata that fits the additional data of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Metadata<'a>(&'a [u8]);

impl<'a> Metadata<'a> {
    /// No metadata.
    pub(crate) const NONE: Metadata<'static> = Metadata(&[]);

    /// Metadata of fixed size. Too long an array does not compile.
    pub(crate) fn of<const N: usize>(bytes: &'a [u8; N]) -> Self {
        const { assert!(N <= MAX_METADATA_BYTES) };
        Self(bytes)
    }

    /// Metadata of a caller; `None` if it is longer than [`MAX_METADATA_BYTES`].
    #[cfg(any(test, feature = "hazmat"))]
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() <= MAX_METADATA_BYTES).then_some(Self(bytes))
    }
}

/// Frames after which a key is due for replacement.
pub(crate) const ROTATE_AT: u64 = 1 << 31;
/// Frames after which a key refuses to seal.
pub(crate) const EXHAUSTED_AT: u64 = 1 << 32;

/// A frame cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealFailure {
    /// Header, ciphertext and tag need more bytes than the output has.
    Buffer,
    /// The counter has reached [`EXHAUSTED_AT`].
    Exhausted,
}

/// A frame cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenFailure {
    /// The counter was accepted before, or is older than the replay window.
    Replay,
    /// Shorter than header and tag.
    Truncated,
    /// The tag does not authenticate.
    Unauthentic,
}

impl From<Unauthentic> for OpenFailure {
    fn from(_: Unauthentic) -> Self {
        Self::Unauthentic
    }
}

/// Header and metadata, concatenated on the stack (RFC 9605 section 4.4.3).
pub(crate) struct AdditionalData {
    bytes: [u8; super::header::MAX_BYTES + MAX_METADATA_BYTES],
    length: usize,
}

impl AdditionalData {
    fn new(header: &Encoded, Metadata(metadata): Metadata<'_>) -> Self {
        let header = header.as_bytes();
        let mut bytes = [0; super::header::MAX_BYTES + MAX_METADATA_BYTES];
        // Both parts fit by their types.
        let (front, rest) = bytes.split_at_mut(header.len());
        front.copy_from_slice(header);
        rest.split_at_mut(metadata.len()).0.copy_from_slice(metadata);
        Self { bytes, length: header.len().saturating_add(metadata.len()) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.length).0
    }
}

/// The inputs of the cipher besides key and data.
pub(crate) struct CipherInput {
    pub(crate) header: Encoded,
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) additional: AdditionalData,
}

/// Encrypts the frames of one KID, each under its own counter.
pub(crate) struct SealContext<A: Aead = aead::Default> {
    /// Number of this context in its session.
    #[cfg_attr(not(feature = "external-cipher"), allow(dead_code, reason = "names keys for ciphers outside"))]
    pub(crate) number: u32,
    aead: A,
    salt: Zeroizing<[u8; NONCE_BYTES]>,
    kid: u64,
    next: u64,
    #[cfg(test)]
    audit_key: [u8; 32],
}

impl<A: Aead> SealContext<A> {
    /// The context of this KID. The caller guarantees that no other exists for this key. Never `None` for keys of a suite.
    pub(crate) fn new(keys: FrameKeys, kid: u64, number: u32) -> Option<Self> {
        Some(Self {
            number,
            aead: A::new(keys.key())?,
            #[cfg(test)]
            audit_key: keys.key().try_into().unwrap_or([0; 32]),
            salt: keys.salt,
            kid,
            next: 0,
        })
    }

    /// Frames sealed so far.
    pub(crate) fn sealed(&self) -> u64 {
        self.next
    }

    fn header(&self) -> Header {
        Header { kid: self.kid, ctr: self.next }
    }

    /// Length of the next frame once sealed, from its clear length.
    pub(crate) fn sealed_len(&self, frame: usize) -> usize {
        self.header().encoded_len().saturating_add(frame).saturating_add(TAG_BYTES)
    }

    #[cfg(feature = "external-cipher")]
    pub(crate) fn kid(&self) -> u64 {
        self.kid
    }

    /// Bytes of the next frame's header.
    pub(crate) fn header_len(&self) -> usize {
        self.header().encoded_len()
    }

    /// Uses up a counter. The result may seal one frame; a failure does not return the counter.
    pub(crate) fn take_counter(&mut self, metadata: Metadata<'_>) -> Result<CipherInput, SealFailure> {
        if self.next >= EXHAUSTED_AT {
            return Err(SealFailure::Exhausted);
        }
        let header = self.header().encode();
        let nonce = nonce(&self.salt, self.next);
        #[cfg(test)]
        super::audit::record(&self.audit_key, &nonce);
        self.next = self.next.saturating_add(1);
        Ok(CipherInput { header, nonce, additional: AdditionalData::new(&header, metadata) })
    }

    /// Writes header, ciphertext and tag of a frame to the front of `out`; returns their length.
    #[inline(never)]
    pub(crate) fn seal(&mut self, metadata: Metadata<'_>, frame: &[u8], out: &mut [u8]) -> Result<usize, SealFailure> {
        let length = self.sealed_len(frame.len());
        let out = out.get_mut(..length).ok_or(SealFailure::Buffer)?;
        let (head, rest) = out.split_at_mut_checked(self.header_len()).ok_or(SealFailure::Buffer)?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_BYTES>().ok_or(SealFailure::Buffer)?;
        let input = self.take_counter(metadata)?;
        head.copy_from_slice(input.header.as_bytes());
        match self.aead.seal_into(&input.nonce, input.additional.as_bytes(), frame, body) {
            Ok(sealed) => *tag = sealed,
            Err(Unauthentic) => {
                body.fill(0);
                return Err(SealFailure::Buffer);
            }
        }
        Ok(length)
    }

    #[cfg(any(test, feature = "hazmat"))]
    pub(crate) fn set_counter(&mut self, ctr: u64) {
        self.next = ctr;
    }
}

/// Decrypts the frames of one KID, each counter once.
pub(crate) struct OpenContext<A: Aead = aead::Default> {
    /// Number of this context in its session.
    pub(crate) number: u32,
    aead: A,
    salt: Zeroizing<[u8; NONCE_BYTES]>,
    window: ReplayWindow,
}

impl<A: Aead> OpenContext<A> {
    /// The context of a key. Never `None` for keys of a suite.
    pub(crate) fn new(keys: FrameKeys, number: u32) -> Option<Self> {
        Some(Self { number, aead: A::new(keys.key())?, salt: keys.salt, window: ReplayWindow::new() })
    }

    /// The cipher's inputs to open a frame, if its counter is neither seen nor too old.
    #[cfg(feature = "external-cipher")]
    pub(crate) fn screen(
        &self,
        header: &Encoded,
        ctr: u64,
        metadata: Metadata<'_>,
    ) -> Result<CipherInput, OpenFailure> {
        if !self.window.screen(ctr) {
            return Err(OpenFailure::Replay);
        }
        let additional = AdditionalData::new(header, metadata);
        Ok(CipherInput { header: *header, nonce: nonce(&self.salt, ctr), additional })
    }

    /// Records the counter of a frame whose tag was valid, unless it was recorded meanwhile.
    #[cfg(feature = "external-cipher")]
    pub(crate) fn accept(&mut self, ctr: u64) -> Result<(), OpenFailure> {
        if !self.window.screen(ctr) {
            return Err(OpenFailure::Replay);
        }
        self.window.record(ctr);
        Ok(())
    }

    /// Opens a frame in place. `body` is what follows the header: ciphertext and tag. Returns the length of the
    /// plaintext at the front of `body`. The window moves only if the tag is valid.
    #[inline(never)]
    pub(crate) fn open(
        &mut self,
        header: &Encoded,
        ctr: u64,
        metadata: Metadata<'_>,
        body: &mut [u8],
    ) -> Result<usize, OpenFailure> {
        if !self.window.screen(ctr) {
            return Err(OpenFailure::Replay);
        }
        let (data, tag) = body.split_last_chunk_mut::<TAG_BYTES>().ok_or(OpenFailure::Truncated)?;
        let additional = AdditionalData::new(header, metadata);
        self.aead.open(&nonce(&self.salt, ctr), additional.as_bytes(), data, tag)?;
        self.window.record(ctr);
        Ok(data.len())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sframe::{header, kdf::frame_keys, suite::Suite};
    use alloc::{string::String, vec, vec::Vec};
    use data_encoding::HEXLOWER;

    pub(crate) struct Vector {
        pub(crate) suite: Suite,
        pub(crate) kid: u64,
        pub(crate) ctr: u64,
        pub(crate) base_key: Vec<u8>,
        pub(crate) sframe_key: Vec<u8>,
        pub(crate) sframe_salt: Vec<u8>,
        pub(crate) nonce: Vec<u8>,
        pub(crate) metadata: Vec<u8>,
        pub(crate) pt: Vec<u8>,
        pub(crate) ct: Vec<u8>,
    }

    /// RFC 9605 Appendix C.3, suites 4 and 5.
    pub(crate) fn vectors() -> Vec<Vector> {
        let json: serde_json::Value = serde_json::from_str(include_str!("../../vectors/rfc9605.json")).unwrap();
        let bytes = |value: &serde_json::Value| HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap();
        json["sframe"]
            .as_array()
            .unwrap()
            .iter()
            .map(|vector| Vector {
                suite: match vector["cipher_suite"].as_u64() {
                    Some(4) => Suite::Aes128GcmSha256,
                    Some(5) => Suite::Aes256GcmSha512,
                    other => panic!("{}", String::from("suite ") + &alloc::format!("{other:?}")),
                },
                kid: vector["kid"].as_u64().unwrap(),
                ctr: vector["ctr"].as_u64().unwrap(),
                base_key: bytes(&vector["base_key"]),
                sframe_key: bytes(&vector["sframe_key"]),
                sframe_salt: bytes(&vector["sframe_salt"]),
                nonce: bytes(&vector["nonce"]),
                metadata: bytes(&vector["metadata"]),
                pt: bytes(&vector["pt"]),
                ct: bytes(&vector["ct"]),
            })
            .collect()
    }

    fn vectors_with<A: Aead>() {
        for vector in vectors() {
            let mut seal =
                SealContext::<A>::new(frame_keys(vector.suite, &vector.base_key, vector.kid), vector.kid, 0).unwrap();
            seal.set_counter(vector.ctr);
            let mut out = vec![0; 100];
            let length = seal.seal(Metadata::new(&vector.metadata).unwrap(), &vector.pt, &mut out).unwrap();
            assert_eq!(out[..length], vector.ct);

            let mut open = OpenContext::<A>::new(frame_keys(vector.suite, &vector.base_key, vector.kid), 0).unwrap();
            let (header, start) = header::parse(&vector.ct).unwrap();
            let mut body = vector.ct[start..].to_vec();
            let length =
                open.open(&header.encode(), header.ctr, Metadata::new(&vector.metadata).unwrap(), &mut body).unwrap();
            assert_eq!(body[..length], vector.pt);
        }
    }

    #[test]
    fn rfc_9605_appendix_c_frames_with_rust_crypto() {
        assert_eq!(vectors().len(), 2);
        vectors_with::<aead::RustCrypto>();
    }

    #[cfg(feature = "aws-lc")]
    #[test]
    fn rfc_9605_appendix_c_frames_with_aws_lc() {
        vectors_with::<aead::AwsLc>();
    }

    fn pair() -> (SealContext, OpenContext) {
        let keys = || frame_keys(Suite::Aes256GcmSha512, &[3; 64], 77);
        (SealContext::new(keys(), 77, 0).unwrap(), OpenContext::new(keys(), 0).unwrap())
    }

    fn open(context: &mut OpenContext, frame: &[u8], metadata: &[u8]) -> Result<Vec<u8>, OpenFailure> {
        let (header, start) = header::parse(frame).unwrap();
        let mut body = frame[start..].to_vec();
        let length = context.open(&header.encode(), header.ctr, Metadata::new(metadata).unwrap(), &mut body)?;
        body.truncate(length);
        Ok(body)
    }

    #[test]
    fn forged_far_ctr_does_not_move_window() {
        let (mut seal, mut receiver) = pair();
        let mut frame = [0; 64];
        let length = seal.seal(Metadata::of(b"m"), b"one", &mut frame).unwrap();
        let forged = [Header { kid: 77, ctr: u64::MAX }.encode().as_bytes(), &[0; 32]].concat();
        assert_eq!(open(&mut receiver, &forged, b"m"), Err(OpenFailure::Unauthentic));
        assert_eq!(open(&mut receiver, &frame[..length], b"m").unwrap(), b"one");
        assert_eq!(open(&mut receiver, &frame[..length], b"m"), Err(OpenFailure::Replay));
    }

    #[test]
    fn forged_copy_does_not_block_frame() {
        let (mut seal, mut receiver) = pair();
        let mut frame = [0; 64];
        let length = seal.seal(Metadata::of(b"m"), b"one", &mut frame).unwrap();
        let mut forged = frame;
        forged[length - 1] ^= 1;
        assert_eq!(open(&mut receiver, &forged[..length], b"m"), Err(OpenFailure::Unauthentic));
        assert_eq!(open(&mut receiver, &frame[..length], b"m").unwrap(), b"one");
    }

    #[test]
    fn exhausted_counter_refuses_to_seal() {
        let (mut seal, _) = pair();
        seal.set_counter(EXHAUSTED_AT);
        assert_eq!(seal.seal(Metadata::NONE, b"x", &mut [0; 64]), Err(SealFailure::Exhausted));
    }

    #[test]
    fn short_output_uses_no_counter() {
        let (mut seal, _) = pair();
        for length in 0..seal.sealed_len(3) {
            assert_eq!(seal.seal(Metadata::NONE, b"abc", &mut vec![0; length]), Err(SealFailure::Buffer));
        }
        assert_eq!(seal.sealed(), 0);
    }
}
