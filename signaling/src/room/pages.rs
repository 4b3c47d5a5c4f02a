//! Splits long lists into messages by bytes, not by count, so that no message exceeds the limit.

use serde::Serialize;
use std::io::{self, Write};
use tacet_proto::limits::ROSTER_PAGE_BYTES;

/// The space that is left in one message.
#[derive(Debug)]
pub(super) struct Page {
    left: usize,
}

impl Page {
    /// An empty message, with space reserved for its envelope.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { left: ROSTER_PAGE_BYTES }
    }

    /// An empty message in which something else takes up to `bytes` bytes.
    #[must_use]
    pub(super) fn beside(bytes: usize) -> Self {
        Self { left: ROSTER_PAGE_BYTES.saturating_sub(bytes) }
    }

    /// Whether an entry still fits; if so its bytes are used up.
    pub(super) fn fits(&mut self, entry: &impl Serialize) -> bool {
        let mut count = Count(1);
        let fits = serde_json::to_writer(&mut count, entry).is_ok() && count.0 <= self.left;
        if fits {
            self.left = self.left.saturating_sub(count.0);
        }
        fits
    }
}

/// Counts the bytes that are written to it.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_bounded_in_bytes() {
        let (mut page, mut bytes) = (Page::new(), 0);
        while page.fits(&"0123456789") {
            bytes += "\"0123456789\",".len();
        }
        assert!(bytes <= ROSTER_PAGE_BYTES && bytes + 13 > ROSTER_PAGE_BYTES, "{bytes}");
        assert!(page.fits(&1), "a smaller one still fits");
    }
}
