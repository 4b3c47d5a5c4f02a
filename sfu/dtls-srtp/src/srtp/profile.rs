//! Protection profiles of SRTP, and its errors.

/// Tag length of the GCM profiles in bytes.
pub(super) const GCM_TAG: usize = 16;
/// Tag length of the counter mode profile in bytes.
pub(super) const CM_TAG: usize = 10;

/// An SRTP protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `AEAD_AES_256_GCM`.
    Aes256Gcm,
    /// `AEAD_AES_128_GCM`.
    Aes128Gcm,
    /// `AES128_CM_HMAC_SHA1_80`.
    Aes128CmSha1,
}

impl Profile {
    /// Length of the master key in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes256Gcm => 32,
            Self::Aes128Gcm | Self::Aes128CmSha1 => 16,
        }
    }

    /// Length of the master salt in bytes.
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => 12,
            Self::Aes128CmSha1 => 14,
        }
    }

    /// Bytes that sealing adds to an RTP packet.
    #[must_use]
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::Aes128Gcm => GCM_TAG,
            Self::Aes128CmSha1 => CM_TAG,
        }
    }
}

/// The name in the RFCs.
impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes128CmSha1 => "AES128_CM_HMAC_SHA1_80",
        })
    }
}

/// Why a packet was not opened or sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// Not an RTP or RTCP packet, too short, or SRTCP without encryption.
    #[error("not an SRTP packet")]
    Malformed,
    /// The tag is wrong: the packet is forged, damaged, or sealed under another key.
    #[error("authentication failed")]
    Authentication,
    /// The index was used before, or is older than the replay window.
    #[error("replayed")]
    Replay,
    /// [`MAX_SSRCS`](super::MAX_SSRCS) are in use.
    #[error("too many SSRCs")]
    TooManySsrcs,
    /// The key has protected the maximum number of packets (RFC 3711 section 9.2).
    #[error("key exhausted")]
    KeyExhausted,
    /// Key or salt has the wrong length, or the cipher refuses it.
    #[error("unusable key")]
    Key,
}
