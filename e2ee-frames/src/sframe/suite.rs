//! The supported cipher suites (RFC 9605 section 4.5): AES-GCM with a full 16-byte tag.
//!
//! The suites with AES-CTR and short tags (1 to 3) are not supported: forging a four-byte tag takes about an hour.

/// An SFrame cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Suite {
    /// 0x0004, for interoperability by `hazmat`; sessions never choose it.
    #[cfg(any(test, feature = "hazmat"))]
    Aes128GcmSha256 = 4,
    /// 0x0005, the suite of every session.
    Aes256GcmSha512 = 5,
}

impl Suite {
    /// The suite's registered number.
    #[must_use]
    pub fn id(self) -> u16 {
        self as u16
    }

    /// Bytes of the AEAD key (Nk).
    #[must_use]
    pub fn key_bytes(self) -> usize {
        match self {
            #[cfg(any(test, feature = "hazmat"))]
            Suite::Aes128GcmSha256 => 16,
            Suite::Aes256GcmSha512 => 32,
        }
    }
}
