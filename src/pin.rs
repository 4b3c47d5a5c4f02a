//! The value of `--pin`: SHA-256 of a server's self-signed certificate.

use tacet_native::sdp::parse_fingerprint;

/// Parses a fingerprint as `tacet serve` prints it.
pub(crate) fn pin(text: &str) -> Result<[u8; 32], &'static str> {
    parse_fingerprint(text).ok_or("expected 64 hexadecimal digits, with or without colons")
}
