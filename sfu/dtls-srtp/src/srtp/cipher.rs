//! The three SRTP transforms, on whole packets, keyed once per direction.
//!
//! ```text
//!   GCM (RFC 7714)   RTP   header ‖ ciphertext ‖ tag(16)               RTCP   first 8 ‖ ciphertext ‖ tag(16) ‖ E+index
//!   CM  (RFC 3711)   RTP   header ‖ ciphertext ‖ tag(10)               RTCP   first 8 ‖ ciphertext ‖ E+index ‖ tag(10)
//! ```
//! Both bind the SSRC and the packet's 48-bit index (31 bits for RTCP) into the nonce; neither may see a pair twice.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use super::{
    kdf::{Label, aes_ctr, counter_key, derive},
    profile::{CM_TAG, GCM_TAG, Profile, SrtpError},
};
use aws_lc_rs::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    cipher::EncryptingKey,
    constant_time, hmac,
};

/// Length of the clear part of an SRTCP packet: header and SSRC of the sender.
const RTCP_CLEAR: usize = 8;
const RTCP_WORD: usize = 4;
/// The E bit: the packet is encrypted. Packets without it are neither sent nor accepted.
const ENCRYPTED: u32 = 1 << 31;

/// RTP or RTCP: each has separate session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Rtp,
    Rtcp,
}

/// Transform of one direction for RTP, or for RTCP.
pub(super) enum Cipher {
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    Cm(Box<CounterMode>),
}

/// Expanded keys of AES and HMAC. Boxed, because they are much larger than those of GCM and rarely used.
pub(super) struct CounterMode {
    key: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; 14],
}

impl Cipher {
    /// Derives the session keys from a master key and salt of the profile's lengths.
    pub(super) fn new(profile: Profile, stream: Stream, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(SrtpError::Key);
        }
        let mut padded = [0; 14];
        padded.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
        let (cipher_label, auth_label, salt_label) = match stream {
            Stream::Rtp => (Label::RtpCipher, Label::RtpAuth, Label::RtpSalt),
            Stream::Rtcp => (Label::RtcpCipher, Label::RtcpAuth, Label::RtcpSalt),
        };
        let mut session = [0; 32];
        let session = session.get_mut(..profile.key_len()).ok_or(SrtpError::Key)?;
        derive(key, padded, cipher_label, session)?;
        let mut session_salt = [0; 14];
        // The GCM profiles use only the first 12 bytes of the salt, and counter mode derives these regardless of length.
        derive(key, padded, salt_label, &mut session_salt)?;
        let mut auth = [0; 20];
        if profile == Profile::Aes128CmSha1 {
            derive(key, padded, auth_label, &mut auth)?;
        }
        Self::from_session(profile, session, session_salt, &auth)
    }

    /// Builds the transform from session keys, as in the test vectors of the RFCs.
    pub(super) fn from_session(
        profile: Profile,
        key: &[u8],
        salt: [u8; 14],
        auth: &[u8; 20],
    ) -> Result<Self, SrtpError> {
        let algorithm = match profile {
            Profile::Aes256Gcm => &AES_256_GCM,
            Profile::Aes128Gcm => &AES_128_GCM,
            Profile::Aes128CmSha1 => {
                let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
                return Ok(Self::Cm(Box::new(CounterMode { key: counter_key(key)?, auth, salt })));
            }
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| SrtpError::Key)?);
        let [salt @ .., _, _] = salt;
        Ok(Self::Gcm { key, salt })
    }

    /// Seals the RTP packet that is `out[start..]`, whose header ends at `body`.
    pub(super) fn seal_rtp(
        &self,
        out: &mut Vec<u8>,
        start: usize,
        body: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        let packet = out.get_mut(start..).ok_or(SrtpError::Malformed)?;
        let (header, payload) =
            body.checked_sub(start).and_then(|at| packet.split_at_mut_checked(at)).ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_nonce(*salt, ssrc, index);
                let tag =
                    key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload).map_err(|_| SrtpError::Key)?;
                out.extend_from_slice(tag.as_ref());
            }
            Self::Cm(mode) => {
                let CounterMode { key, auth, salt } = &**mode;
                aes_ctr(key, cm_iv(*salt, ssrc, index), payload)?;
                let tag = cm_tag(auth, packet, &rollover(index).to_be_bytes());
                out.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// Opens an RTP packet whose header has `body` bytes; returns the length of the clear packet.
    pub(super) fn open_rtp(&self, packet: &mut [u8], body: usize, ssrc: u32, index: u64) -> Result<usize, SrtpError> {
        let clear = packet.len().checked_sub(self.tag_len()).ok_or(SrtpError::Malformed)?;
        let (packet, tag) = packet.split_at_mut_checked(clear).ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut_checked(body).ok_or(SrtpError::Malformed)?;
                let nonce = gcm_nonce(*salt, ssrc, index);
                key.open_in_place_separate_tag(nonce, Aad::from(&*header), tag, payload)
                    .map_err(|_| SrtpError::Authentication)?;
            }
            Self::Cm(mode) => {
                let CounterMode { key, auth, salt } = &**mode;
                let expected = cm_tag(auth, packet, &rollover(index).to_be_bytes());
                constant_time::verify_slices_are_equal(&expected, tag).map_err(|_| SrtpError::Authentication)?;
                let payload = packet.get_mut(body..).ok_or(SrtpError::Malformed)?;
                aes_ctr(key, cm_iv(*salt, ssrc, index), payload)?;
            }
        }
        Ok(clear)
    }

    /// Seals the RTCP packet that is `out[start..]`.
    pub(super) fn seal_rtcp(&self, out: &mut Vec<u8>, start: usize, ssrc: u32, index: u32) -> Result<(), SrtpError> {
        let word = (index | ENCRYPTED).to_be_bytes();
        let packet = out.get_mut(start..).ok_or(SrtpError::Malformed)?;
        let (header, payload) = packet.split_at_mut_checked(RTCP_CLEAR).ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let nonce = gcm_nonce(*salt, ssrc, index.into());
                let aad = rtcp_aad(header, word)?;
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), payload).map_err(|_| SrtpError::Key)?;
                out.extend_from_slice(tag.as_ref());
                out.extend_from_slice(&word);
            }
            Self::Cm(mode) => {
                let CounterMode { key, auth, salt } = &**mode;
                aes_ctr(key, cm_iv(*salt, ssrc, index.into()), payload)?;
                let tag = cm_tag(auth, packet, &word);
                out.extend_from_slice(&word);
                out.extend_from_slice(&tag);
            }
        }
        Ok(())
    }

    /// The index that an SRTCP packet claims, not yet authenticated.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        let after = match self {
            Self::Gcm { .. } => 0,
            Self::Cm(_) => CM_TAG,
        };
        let end = packet.len().checked_sub(after).ok_or(SrtpError::Malformed)?;
        let word = packet.get(..end).and_then(<[u8]>::last_chunk).ok_or(SrtpError::Malformed)?;
        let word = u32::from_be_bytes(*word);
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::Malformed);
        }
        Ok(word & !ENCRYPTED)
    }

    /// Opens an RTCP packet; returns the length of the clear packet.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let overhead = self.tag_len().saturating_add(RTCP_WORD);
        let clear = packet.len().checked_sub(overhead).ok_or(SrtpError::Malformed)?;
        if clear < RTCP_CLEAR {
            return Err(SrtpError::Malformed);
        }
        let (packet, trailer) = packet.split_at_mut_checked(clear).ok_or(SrtpError::Malformed)?;
        match self {
            Self::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut_checked(RTCP_CLEAR).ok_or(SrtpError::Malformed)?;
                let (tag, word) = trailer.split_first_chunk::<GCM_TAG>().ok_or(SrtpError::Malformed)?;
                let aad = rtcp_aad(header, word.try_into().map_err(|_| SrtpError::Malformed)?)?;
                let nonce = gcm_nonce(*salt, ssrc, index.into());
                key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, payload)
                    .map_err(|_| SrtpError::Authentication)?;
            }
            Self::Cm(mode) => {
                let CounterMode { key, auth, salt } = &**mode;
                let (word, tag) = trailer.split_first_chunk::<RTCP_WORD>().ok_or(SrtpError::Malformed)?;
                let expected = cm_tag(auth, packet, word);
                constant_time::verify_slices_are_equal(&expected, tag).map_err(|_| SrtpError::Authentication)?;
                let payload = packet.get_mut(RTCP_CLEAR..).ok_or(SrtpError::Malformed)?;
                aes_ctr(key, cm_iv(*salt, ssrc, index.into()), payload)?;
            }
        }
        Ok(clear)
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG,
            Self::Cm(_) => CM_TAG,
        }
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cipher").finish_non_exhaustive()
    }
}

/// RFC 7714 sections 8.1, 9.1: `0000 ‖ SSRC ‖ index(48)`, XORed with the salt.
fn gcm_nonce(salt: [u8; 12], ssrc: u32, index: u64) -> Nonce {
    let [a, b, c, d] = ssrc.to_be_bytes();
    let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
    let mut nonce = [0, 0, a, b, c, d, i0, i1, i2, i3, i4, i5];
    nonce.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 3711 section 4.1.1: `salt·2^16 XOR SSRC·2^64 XOR index·2^16`.
fn cm_iv(salt: [u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let [a, b, c, d] = ssrc.to_be_bytes();
    let [_, _, i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
    let mut iv = [0, 0, 0, 0, a, b, c, d, i0, i1, i2, i3, i4, i5, 0, 0];
    iv.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
    iv
}

/// RFC 3711 section 4.2: over the packet and the rollover counter (RTP) or index word (RTCP), cut to 80 bits.
fn cm_tag(auth: &hmac::Key, packet: &[u8], trailer: &[u8; 4]) -> [u8; CM_TAG] {
    let mut context = hmac::Context::with_key(auth);
    context.update(packet);
    context.update(trailer);
    let mut mac = [0; 20];
    // Panics on another length, which SHA-1 does not have: zeros must never pass for a tag.
    mac.copy_from_slice(context.sign().as_ref());
    let [tag @ .., _, _, _, _, _, _, _, _, _, _] = mac;
    tag
}

fn rtcp_aad(header: &[u8], word: [u8; RTCP_WORD]) -> Result<[u8; RTCP_CLEAR + RTCP_WORD], SrtpError> {
    let [a, b, c, d, e, f, g, h]: [u8; RTCP_CLEAR] = header.try_into().map_err(|_| SrtpError::Malformed)?;
    let [i, j, k, l] = word;
    Ok([a, b, c, d, e, f, g, h, i, j, k, l])
}

#[expect(clippy::cast_possible_truncation, reason = "an index has 48 bits")]
fn rollover(index: u64) -> u32 {
    (index >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    const RTP: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
                       61727465 73207472 6573";
    const RTCP: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef
                        deadbeef deadbeef deadbeef";

    /// Key and salt ("Quid pro quo") of RFC 7714 sections 16 and 17.
    fn vector_cipher(profile: Profile) -> Cipher {
        let key: Vec<u8> = (0..32).take(profile.key_len()).collect();
        let mut salt = [0; 14];
        salt[..12].copy_from_slice(b"Quid pro quo");
        Cipher::from_session(profile, &key, salt, &[0; 20]).unwrap()
    }

    fn check_rtp(profile: Profile, sealed: &str) {
        let cipher = vector_cipher(profile);
        let mut out = hex(RTP);
        cipher.seal_rtp(&mut out, 0, 12, 0x5501_a0b2, 0xf17b).unwrap();
        assert_eq!(out, hex(sealed));
        let clear = cipher.open_rtp(&mut out, 12, 0x5501_a0b2, 0xf17b).unwrap();
        assert_eq!(out[..clear], hex(RTP));
    }

    fn check_rtcp(profile: Profile, sealed: &str) {
        let cipher = vector_cipher(profile);
        let mut out = hex(RTCP);
        cipher.seal_rtcp(&mut out, 0, 0x4d61_7273, 0x5d4).unwrap();
        assert_eq!(out, hex(sealed));
        assert_eq!(cipher.rtcp_index(&out), Ok(0x5d4));
        let clear = cipher.open_rtcp(&mut out, 0x4d61_7273, 0x5d4).unwrap();
        assert_eq!(out[..clear], hex(RTCP));
    }

    /// RFC 7714 section 16.1.
    #[test]
    fn srtp_matches_rfc_7714_aes_128() {
        check_rtp(
            Profile::Aes128Gcm,
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
             36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
        );
    }

    /// RFC 7714 section 16.2.
    #[test]
    fn srtp_matches_rfc_7714_aes_256() {
        check_rtp(
            Profile::Aes256Gcm,
            "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f
             1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
        );
    }

    /// RFC 7714 section 17.1.
    #[test]
    fn srtcp_matches_rfc_7714_aes_128() {
        check_rtcp(
            Profile::Aes128Gcm,
            "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46
             86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
        );
    }

    /// RFC 7714 section 17.3.
    #[test]
    fn srtcp_matches_rfc_7714_aes_256() {
        check_rtcp(
            Profile::Aes256Gcm,
            "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658
             c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
        );
    }

    /// RFC 3711 appendix B.2: the first blocks of the key stream.
    #[test]
    fn counter_mode_key_stream_matches_rfc_3711() {
        let key = counter_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
        let salt: [u8; 14] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut stream = [0; 48];
        aes_ctr(&key, cm_iv(salt, 0, 0), &mut stream).unwrap();
        let expected =
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream.as_slice(), hex(expected));
    }
}
