//! A received datagram.

use super::tuple::Tuple;

/// A datagram as a socket received it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// The path that it arrived on.
    pub tuple: Tuple,
    /// Its payload. SRTP and SRTCP are decrypted in place.
    pub bytes: &'a mut [u8],
}

impl<'a> Datagram<'a> {
    /// A datagram that arrived on `tuple`.
    pub fn new(tuple: Tuple, bytes: &'a mut [u8]) -> Self {
        Self { tuple, bytes }
    }
}
