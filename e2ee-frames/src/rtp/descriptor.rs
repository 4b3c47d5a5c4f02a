//! The first byte of a payload.
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! |S|E|T|reserved |
//! ```
//! The draft leaves the reserved bits open; they are sent as 0 and ignored.

const START: u8 = 0x80;
const END: u8 = 0x40;
const PACKETIZED: u8 = 0x20;

/// The part that a payload is of its SFrame ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SframeDescriptor {
    /// S: its first bytes.
    pub start: bool,
    /// E: its last bytes.
    pub end: bool,
    /// T: the plaintext is a payload of the codec's own RTP format, not a whole frame of the encoder. Equal for all
    /// payloads of a ciphertext.
    pub packetized: bool,
}

impl SframeDescriptor {
    /// Parses the byte. Every byte is a descriptor.
    #[must_use]
    pub fn parse(byte: u8) -> Self {
        Self { start: byte & START != 0, end: byte & END != 0, packetized: byte & PACKETIZED != 0 }
    }

    /// The byte.
    #[must_use]
    pub fn to_byte(self) -> u8 {
        let bit = |set, bit| if set { bit } else { 0 };
        bit(self.start, START) | bit(self.end, END) | bit(self.packetized, PACKETIZED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptor_bits_match_draft() {
        let byte = |start, end, packetized| SframeDescriptor { start, end, packetized }.to_byte();
        assert_eq!(
            [byte(true, false, false), byte(false, true, false), byte(false, false, true), byte(false, false, false)],
            [0x80, 0x40, 0x20, 0]
        );
        for any in 0..=u8::MAX {
            assert_eq!(SframeDescriptor::parse(any).to_byte(), any & 0xe0);
        }
    }
}
