//! SFrame headers: a header that parses is the only encoding of its values, and the KID round-trips.

use e2ee_frames::sframe::{header, kid::Kid};

/// The target.
pub fn run(data: &[u8]) {
    let Ok((header, length)) = header::parse(data) else { return };
    assert_eq!(header.encode().as_bytes(), &data[..length], "one header has one form");
    assert_eq!(header.encoded_len(), length);
    assert!(length <= header::MAX_BYTES);
    if let Some(kid) = Kid::unpack(header.kid) {
        assert_eq!(kid.pack(), header.kid);
    }
}
