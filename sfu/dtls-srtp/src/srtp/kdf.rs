//! SRTP key derivation (RFC 3711 section 4.3, RFC 7714 section 11), without re-keying: the key derivation rate is zero.

use super::profile::SrtpError;
use aws_lc_rs::{
    cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey},
    iv::FixedLength,
};

/// Purpose of a session key: the label of RFC 3711 sections 4.3.1 and 4.3.2.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Label {
    RtpCipher = 0,
    RtpAuth = 1,
    RtpSalt = 2,
    RtcpCipher = 3,
    RtcpAuth = 4,
    RtcpSalt = 5,
}

/// Fills `out` with the session key of `label`: AES in counter mode under the master key, started at `label XOR salt`.
///
/// `salt` has 14 bytes; the 12 bytes of the GCM profiles are padded on the right (RFC 7714 section 11).
pub(super) fn derive(master: &[u8], salt: [u8; 14], label: Label, out: &mut [u8]) -> Result<(), SrtpError> {
    let mut iv = [0; 16];
    for (byte, salt) in iv.iter_mut().zip(salt) {
        *byte = salt;
    }
    // The key id is `label || r` with the 48-bit index divided by the rate, r, at zero; it is right-aligned in the 14.
    iv[7] ^= label as u8;
    out.fill(0);
    aes_ctr(&counter_key(master)?, iv, out)
}

/// An AES key for counter mode, by the length of `key`.
pub(super) fn counter_key(key: &[u8]) -> Result<EncryptingKey, SrtpError> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).map_err(|_| SrtpError::Key)?;
    EncryptingKey::ctr(key).map_err(|_| SrtpError::Key)
}

/// XORs `data` with the key stream that starts at `iv`.
pub(super) fn aes_ctr(key: &EncryptingKey, iv: [u8; 16], data: &mut [u8]) -> Result<(), SrtpError> {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(data, context).map(|_| ()).map_err(|_| SrtpError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    /// RFC 3711 appendix B.3.
    #[test]
    fn derived_keys_match_rfc_3711() {
        let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt: [u8; 14] = hex("0EC675AD498AFEEBB6960B3AABE6").try_into().unwrap();
        let mut cipher = [0; 16];
        derive(&master, salt, Label::RtpCipher, &mut cipher).unwrap();
        assert_eq!(cipher.as_slice(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        let mut session_salt = [0; 14];
        derive(&master, salt, Label::RtpSalt, &mut session_salt).unwrap();
        assert_eq!(session_salt.as_slice(), hex("30CBBC08863D8C85D49DB34A9AE1"));
        let mut auth = [0; 94];
        derive(&master, salt, Label::RtpAuth, &mut auth).unwrap();
        let expected = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098\
                        6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2";
        assert_eq!(auth.as_slice(), hex(expected));
    }

    #[test]
    fn labels_derive_distinct_keys() {
        let labels =
            [Label::RtpCipher, Label::RtpAuth, Label::RtpSalt, Label::RtcpCipher, Label::RtcpAuth, Label::RtcpSalt];
        let mut keys: Vec<_> = labels
            .into_iter()
            .map(|label| {
                let mut key = [0; 16];
                derive(&[7; 32], [9; 14], label, &mut key).unwrap();
                key
            })
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), labels.len());
    }
}
