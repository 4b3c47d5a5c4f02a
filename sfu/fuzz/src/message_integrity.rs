//! MESSAGE-INTEGRITY of STUN (RFC 8489 section 14.5), implemented independently of the SFU.

use aws_lc_rs::hmac;

const HEADER: usize = 20;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const MAC: usize = 20;

/// Returns whether the first MESSAGE-INTEGRITY of a message matches its bytes.
pub(crate) fn is_authentic(message: &[u8], pwd: &[u8]) -> bool {
    let Some(at) = integrity_at(message) else { return false };
    message.get(at + 4..at + 4 + MAC).is_some_and(|mac| mac == integrity(&message[..at], pwd))
}

/// Ends a message with a valid MESSAGE-INTEGRITY, which replaces its own or is appended.
pub(crate) fn sign(message: &mut Vec<u8>, pwd: &[u8]) {
    if message.len() < HEADER {
        return;
    }
    let at = integrity_at(message).unwrap_or(message.len() / 4 * 4);
    message.truncate(at);
    let mac = integrity(message, pwd);
    message.extend([&MESSAGE_INTEGRITY.to_be_bytes()[..], &[0, 20], &mac].concat());
    let length = u16::try_from(message.len() - HEADER).unwrap_or(u16::MAX).to_be_bytes();
    message[2..4].copy_from_slice(&length);
}

/// Returns the offset of the first MESSAGE-INTEGRITY.
fn integrity_at(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let [kind @ .., high, low] = message.get(at..)?.first_chunk::<4>()?;
        if u16::from_be_bytes(*kind) == MESSAGE_INTEGRITY {
            return Some(at);
        }
        at += 4 + usize::from(u16::from_be_bytes([*high, *low])).next_multiple_of(4);
    }
}

/// Returns the MAC of the part before MESSAGE-INTEGRITY; the length in its header includes that attribute.
fn integrity(message: &[u8], pwd: &[u8]) -> [u8; MAC] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, pwd);
    let length = u16::try_from(message.len() - HEADER + 4 + MAC).unwrap_or(u16::MAX).to_be_bytes();
    let mac = hmac::sign(&key, &[&message[..2], &length, &message[4..]].concat());
    mac.as_ref().try_into().expect("20 bytes")
}
