//! Reads an input as a script.

/// What is left of an input.
#[derive(Clone, Copy, Debug)]
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

    /// The next two bytes, big endian.
    pub fn word(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    /// The next `length` bytes, or what is left.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_without_operations_is_the_message_that_was_picked() {
        let mut script = Script(&[1, 0, 9]);
        assert_eq!(script.edit(&[b"first", b"second"]), b"second");
        assert_eq!(script.byte(), Some(9), "what follows the edit is left");
    }

    #[test]
    fn an_edit_changes_what_the_script_says() {
        let flip_and_cut = [0, 1, 0, 0, 0x20, 8, 0, 4, 0, 0];
        assert_eq!(Script(&flip_and_cut).edit(&[b"genuine"]), b"Genu");
        assert_eq!(Script(&[]).edit(&[]), b"");
    }
}
