//! A fuzz input read as a script: numbers, bytes, and edits of genuine messages.

/// The unread rest of an input.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a [u8]);

/// Maximum length of an edited message in bytes.
const MAX_BYTES: usize = 20_000;

impl<'a> Script<'a> {
    /// Returns the next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Returns the next two bytes as a big-endian number.
    pub fn word(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    /// Returns the next `length` bytes, or fewer at the end of the input.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Picks one of the genuine messages and edits it. Each edit has four bytes: operation, offset in two bytes, operand.
    /// A zero operation ends the edits.
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
                // Overwrites, inserts, or replaces the tail by bytes of the script.
                3 => message.iter_mut().skip(at).zip(self.bytes(usize::from(with))).for_each(|(to, from)| *to = *from),
                4 => drop(message.splice(at..at, self.bytes(usize::from(with)).iter().copied())),
                5 => drop(message.splice(at.., self.bytes(usize::from(with)).iter().copied())),
                6 => drop(message.drain(at..end)),
                // Appends the tail of another message.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_without_operations_returns_the_picked_message() {
        let mut script = Script(&[1, 0, 9]);
        assert_eq!(script.edit(&[b"first", b"second"]), b"second");
        assert_eq!(script.byte(), Some(9), "the rest of the script is unread");
    }

    #[test]
    fn edit_applies_its_operations() {
        let flip_and_cut = [0, 1, 0, 0, 0x20, 8, 0, 4, 0, 0];
        assert_eq!(Script(&flip_and_cut).edit(&[b"genuine"]), b"Genu");
        assert_eq!(Script(&[]).edit(&[]), b"");
    }
}
