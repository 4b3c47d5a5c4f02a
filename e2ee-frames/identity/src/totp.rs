//! One-time codes of an authenticator app (RFC 6238): HMAC-SHA-1, six digits, steps of 30 seconds, one step of tolerance.
//!
//! SHA-1 is what every app knows; HMAC does not need its resistance to collisions.

use alloc::{format, string::String};
use e2ee_core::{Random, SecretBytes};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// Bytes of a secret: the length of HMAC-SHA-1's output, as RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Seconds of a step.
pub const STEP_SECONDS: u64 = 30;
/// RFC 4648.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret that an authenticator app and the server share.
pub struct TotpSecret(SecretBytes<SECRET_BYTES>);

impl TotpSecret {
    /// Draws a secret.
    #[must_use]
    pub fn draw(random: &mut (impl Random + ?Sized)) -> Self {
        let mut secret = SecretBytes::zeros();
        random.fill(&mut *secret);
        Self(secret)
    }

    /// A secret that was stored.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SECRET_BYTES]) -> Self {
        Self(SecretBytes::copy_of(bytes))
    }

    /// The bytes to be stored, sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// The secret as a person types it into an app: 32 characters of base 32.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES * 8 / 5));
        for block in self.0.as_chunks::<5>().0 {
            let bits = block.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
            for shift in (0..8).rev() {
                // Five bits: always in the alphabet.
                let letter = BASE32.get((bits >> (5 * shift)) as usize & 31).copied().unwrap_or_default();
                text.push(char::from(letter));
            }
        }
        text
    }

    /// The address that a QR code holds, in the form that authenticator apps read.
    #[must_use]
    pub fn to_uri(&self, issuer: &str, name: &str) -> Zeroizing<String> {
        let (issuer, name, secret) = (percent_encoded(issuer), percent_encoded(name), self.to_base32());
        // Never grows, since growing leaves a copy behind.
        let mut uri = Zeroizing::new(String::with_capacity(128 + 2 * issuer.len() + name.len()));
        let tail = format!("&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}");
        for part in ["otpauth://totp/", &issuer, ":", &name, "?secret=", &secret, &tail] {
            uri.push_str(part);
        }
        uri
    }

    /// The code of a step, as text.
    pub(crate) fn code(&self, step: u64) -> [u8; DIGITS] {
        // HMAC accepts keys of every length, so there is no other case.
        let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&*self.0)
            .map_or([0; 20], |mac| mac.chain_update(step.to_be_bytes()).finalize().into_bytes().into());
        let mut number = truncated(&mac);
        let mut digits = [0; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        digits
    }

    /// The step of which a code is, if it is that of now, the one before or the one after, and newer than `last_step`, the
    /// last one that was accepted. The caller stores it: a code is good once.
    ///
    /// `now` is in seconds since 1970. All three steps are compared, in constant time.
    #[must_use]
    pub fn verify(&self, code: &str, now: u64, last_step: Option<u64>) -> Option<u64> {
        let code: &[u8; DIGITS] = code.as_bytes().try_into().ok()?;
        let current = now / STEP_SECONDS;
        let (mut found, mut matched) = (Choice::from(0), 0);
        // In this order the newest of several equal codes counts, so that none of them is good again.
        for step in [current.saturating_sub(1), current, current.saturating_add(1)] {
            let equal = self.code(step).ct_eq(code);
            matched.conditional_assign(&step, equal);
            found |= equal;
        }
        (bool::from(found) && last_step.is_none_or(|last| matched > last)).then_some(matched)
    }
}

/// RFC 4226, section 5.3: four bytes at an offset that the last one names, without the sign.
fn truncated(mac: &[u8; 20]) -> u32 {
    let offset = usize::from(mac[19] & 15);
    let bytes = mac.get(offset..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// RFC 3986: everything but unreserved characters in percent encoding.
fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => String::from(char::from(byte)),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &[u8; 20] = b"12345678901234567890";

    /// RFC 6238, appendix B, of which the last six of eight digits; and RFC 4226, appendix D.
    #[test]
    fn codes_match_the_standards() {
        let secret = TotpSecret::from_bytes(SECRET);
        for (time, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(secret.code(time / STEP_SECONDS), code.as_bytes()[2..], "{time}");
            assert_eq!(secret.verify(&code[2..], time, None), Some(time / STEP_SECONDS));
        }
        let counted =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (counter, code) in (0..).zip(counted) {
            assert_eq!(secret.code(counter), code.as_bytes());
        }
    }

    #[test]
    fn code_is_good_for_three_steps_and_once() {
        let secret = TotpSecret::from_bytes(SECRET);
        let code = |step| String::from_utf8(secret.code(step).to_vec()).unwrap();
        let now = 1_000 * STEP_SECONDS + 7;
        for (step, expected) in
            [(998, None), (999, Some(999)), (1_000, Some(1_000)), (1_001, Some(1_001)), (1_002, None)]
        {
            assert_eq!(secret.verify(&code(step), now, None), expected);
        }
        assert_eq!(secret.verify(&code(1_000), now, Some(1_000)), None, "replayed");
        assert_eq!(secret.verify(&code(999), now, Some(1_000)), None, "older than the last");
        assert_eq!(secret.verify(&code(1_001), now, Some(1_000)), Some(1_001));
        for bad in ["", "12345", "1234567", "12345a", "\u{661}\u{662}\u{663}"] {
            assert_eq!(secret.verify(bad, now, None), None, "{bad}");
        }
        assert_eq!(secret.verify(&code(0), 0, None), Some(0), "at the start of time");
        assert!(secret.verify(&code(u64::MAX / 30), u64::MAX, None).is_some());
    }

    #[test]
    fn secret_reads_as_authenticators_expect() {
        let secret = TotpSecret::from_bytes(SECRET);
        assert_eq!(secret.to_base32().as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            secret.to_uri("call.example", "ada b\u{e9}").as_str(),
            "otpauth://totp/call.example:ada%20b%C3%A9?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=call.example\
             &algorithm=SHA1&digits=6&period=30"
        );
    }

    proptest! {
        #[test]
        fn base32_matches_the_standard(bytes: [u8; SECRET_BYTES]) {
            let text = TotpSecret::from_bytes(&bytes).to_base32();
            prop_assert_eq!(text.as_str(), data_encoding::BASE32.encode(&bytes));
        }

        #[test]
        fn code_of_another_time_or_text_is_refused(bytes: [u8; SECRET_BYTES], now in 0u64..1 << 40, text in "\\PC{0,8}") {
            if let Some(step) = TotpSecret::from_bytes(&bytes).verify(&text, now, None) {
                prop_assert!(step.abs_diff(now / STEP_SECONDS) <= 1);
            }
        }
    }
}
