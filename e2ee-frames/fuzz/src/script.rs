//! Reads an input as a script that edits genuine messages.

use e2ee_frames::Codec;

/// What is left of an input.
pub struct Script<'a>(pub &'a [u8]);

/// No message of an edit gets longer.
const MAX_BYTES: usize = 20_000;

impl<'a> Script<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// The next `length` bytes, or what is left.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// A codec.
    pub fn codec(&mut self) -> Option<Codec> {
        self.byte().and_then(|byte| Codec::from_id(u32::from(byte % 5)))
    }

    /// Picks one of some genuine messages and edits it: operations of four bytes (what, where in two bytes, with what)
    /// up to a zero.
    pub fn edit(&mut self, genuine: &[&[u8]]) -> Vec<u8> {
        let mut pick = || genuine.get(usize::from(self.byte().unwrap_or(0)) % genuine.len().max(1)).copied();
        let mut message = pick().unwrap_or_default().to_vec();
        while let Some(operation) = self.byte().filter(|operation| *operation != 0) {
            let [high, low, with] = [(); 3].map(|()| self.byte().unwrap_or(0));
            let at = usize::from(u16::from_be_bytes([high, low])) % (message.len() + 1);
            let end = (at + usize::from(with)).min(message.len());
            match operation % 8 {
                0 => message.truncate(at),
                1 => message.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= with),
                2 => message.iter_mut().skip(at).take(1).for_each(|byte| *byte = with),
                // Bytes of the script over what is there, between it, or instead of all that follows.
                3 => message.iter_mut().skip(at).zip(self.bytes(usize::from(with))).for_each(|(to, from)| *to = *from),
                4 => drop(message.splice(at..at, self.bytes(usize::from(with)).iter().copied())),
                5 => drop(message.splice(at.., self.bytes(usize::from(with)).iter().copied())),
                6 => drop(message.drain(at..end)),
                // The tail of another message.
                _ => {
                    let other = genuine.get(usize::from(with) % genuine.len().max(1)).copied().unwrap_or_default();
                    message.extend_from_slice(other.get(at.min(other.len())..).unwrap_or_default());
                }
            }
            message.truncate(MAX_BYTES);
        }
        message
    }
}
