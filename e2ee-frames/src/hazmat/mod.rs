//! Contexts with keys of the caller, only for published test vectors and interoperability peers.
//!
//! Nothing here prevents two contexts from counting under one key. A product that seals with this has no security.

#[cfg(feature = "interop-ctr")]
mod aes_ctr_hmac;

use crate::{
    codec::{self, Codec, EnvelopeError, FrameKind},
    sframe::{
        Suite,
        context::{Metadata, OpenContext, SealContext},
        header,
        kdf::frame_keys,
    },
};
#[cfg(feature = "interop-ctr")]
pub use aes_ctr_hmac::{AesCtrHmac, CtrContext, CtrSuite};
use alloc::vec::Vec;
#[cfg(feature = "aws-lc")]
pub use e2ee_core::aead::AwsLc;
use e2ee_core::aead::Default;
pub use e2ee_core::aead::{Aead, RustCrypto, Unauthentic};

/// Seals and opens under one fixed base key and KID, by one of the backends.
pub struct FixedKeyContext<A: Aead = Default> {
    seal: SealContext<A>,
    open: OpenContext<A>,
}

/// A frame cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed or not authentic")]
pub struct HazmatError;

impl FixedKeyContext {
    /// Derives the context of a base key and a KID (RFC 9605 section 4.4.2), for the backend that sessions use.
    ///
    /// # Errors
    /// Never for the suites there are.
    pub fn new(suite: Suite, base_key: &[u8], kid: u64) -> Result<Self, HazmatError> {
        Self::with_backend(suite, base_key, kid)
    }
}

impl<A: Aead> FixedKeyContext<A> {
    /// The same for a backend of choice.
    ///
    /// # Errors
    /// Never for the suites there are.
    pub fn with_backend(suite: Suite, base_key: &[u8], kid: u64) -> Result<Self, HazmatError> {
        Ok(Self {
            seal: SealContext::new(frame_keys(suite, base_key, kid), kid, 0).ok_or(HazmatError)?,
            open: OpenContext::new(frame_keys(suite, base_key, kid), 0).ok_or(HazmatError)?,
        })
    }

    /// Seals a frame under the next counter into `out`; returns its length. Allocates nothing.
    ///
    /// # Errors
    /// If the output is too small, or the metadata longer than 32 bytes.
    pub fn seal_into(&mut self, metadata: &[u8], frame: &[u8], out: &mut [u8]) -> Result<usize, HazmatError> {
        let metadata = Metadata::new(metadata).ok_or(HazmatError)?;
        self.seal.seal(metadata, frame, out).map_err(|_| HazmatError)
    }

    /// Seals a frame under this counter: SFrame header, ciphertext, tag.
    ///
    /// # Errors
    /// If the counter is beyond what a session would count to, or the metadata longer than 32 bytes.
    pub fn seal(&mut self, ctr: u64, metadata: &[u8], frame: &[u8]) -> Result<Vec<u8>, HazmatError> {
        let metadata = Metadata::new(metadata).ok_or(HazmatError)?;
        self.seal.set_counter(ctr);
        let mut out = alloc::vec![0; self.seal.sealed_len(frame.len())];
        self.seal.seal(metadata, frame, &mut out).map_err(|_| HazmatError)?;
        Ok(out)
    }

    /// Opens an SFrame ciphertext; each counter once.
    ///
    /// # Errors
    /// If it is malformed, replayed or not authentic.
    pub fn open(&mut self, metadata: &[u8], sealed: &[u8]) -> Result<Vec<u8>, HazmatError> {
        let metadata = Metadata::new(metadata).ok_or(HazmatError)?;
        let (header, length) = header::parse(sealed).map_err(|_| HazmatError)?;
        let mut body = sealed.get(length..).ok_or(HazmatError)?.to_vec();
        let length = self.open.open(&header.encode(), header.ctr, metadata, &mut body).map_err(|_| HazmatError)?;
        body.truncate(length);
        Ok(body)
    }
}

/// Puts the envelope of a codec around any bytes, as around an SFrame ciphertext: for fuzzing what finds them again.
///
/// # Errors
/// If the content is too large for the codec's envelope.
pub fn wrap(codec: Codec, kind: FrameKind, content: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let mut out = alloc::vec![0; codec::max_sealed_bytes(codec, content.len())];
    let start = codec::open_envelope(codec, kind, content.len(), &mut out)?;
    let end = start.saturating_add(content.len());
    out.get_mut(start..end).ok_or(EnvelopeError)?.copy_from_slice(content);
    let length = codec::close_envelope(codec, start, end, &mut out)?;
    out.truncate(length);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_key_round_trip() {
        for suite in [Suite::Aes128GcmSha256, Suite::Aes256GcmSha512] {
            let mut context = FixedKeyContext::new(suite, b"a base key of any length", 291).unwrap();
            let sealed = context.seal(17_767, b"metadata", b"frame").unwrap();
            assert_eq!(context.open(b"other", &sealed), Err(HazmatError));
            assert_eq!(context.open(b"metadata", &sealed).unwrap(), b"frame");
            assert_eq!(context.open(b"metadata", &sealed), Err(HazmatError), "replayed");
            assert_eq!(context.seal(0, &[0; 33], b"frame"), Err(HazmatError));
        }
    }
}
