//! The contents of chat messages.
//!
//! ```text
//! type1 || length2 || text, padded with zeros to a power of two of at least 64 bytes
//! ```
//! It is sealed like a frame, on the stream [`StreamId::DATA`](crate::StreamId::DATA), whose keys seal nothing else, and
//! with the metadata `"e2ee-frames/1 app data" || id8`.

use crate::label;
use alloc::{string::String, vec::Vec};
use e2ee_core::Reader;
pub use media_types::chat::{ChatId, ChatKind, MAX_CHAT_NUMBER, MAX_REACTION_BYTES, MAX_TEXT_BYTES};
use zeroize::Zeroizing;

/// Smallest number of bytes that a text is padded to.
const MIN_PADDED_BYTES: usize = 64;
/// Bytes in front of the padded text.
const HEAD_BYTES: usize = 3;
/// Bytes of the metadata.
pub(crate) const METADATA_BYTES: usize = 30;

const TEXT: u8 = 1;
const REACTION: u8 = 2;

/// What a participant says without voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatContent {
    /// A text of 1 to [`MAX_TEXT_BYTES`] bytes.
    Text(String),
    /// An emoji of 1 to [`MAX_REACTION_BYTES`] bytes.
    Reaction(String),
}

/// Why opened bytes are not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A content type of a later version.
    UnknownType,
    /// Not as a client of this version writes it.
    Malformed,
}

impl ChatContent {
    /// The content of this type (1 text, 2 reaction); `None` if the text is empty, too long or has
    /// a zero byte, or if the type is unknown.
    #[must_use]
    pub fn new(kind: u8, text: &str) -> Option<Self> {
        let (make, most): (fn(String) -> Self, _) = match kind {
            TEXT => (Self::Text, MAX_TEXT_BYTES),
            REACTION => (Self::Reaction, MAX_REACTION_BYTES),
            _ => return None,
        };
        // A zero would be taken for padding.
        let valid = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte != 0);
        valid.then(|| make(String::from(text)))
    }

    /// Its type and text.
    #[must_use]
    pub fn parts(&self) -> (u8, &str) {
        match self {
            Self::Text(text) => (TEXT, text),
            Self::Reaction(text) => (REACTION, text),
        }
    }

    /// The kind in the ids of such messages.
    #[must_use]
    pub fn kind(&self) -> ChatKind {
        match self {
            Self::Text(_) => ChatKind::Message,
            Self::Reaction(_) => ChatKind::Reaction,
        }
    }

    /// The bytes to seal; `None` if the text could not be read again.
    pub(crate) fn pad(&self) -> Option<Zeroizing<Vec<u8>>> {
        let (kind, text) = self.parts();
        Self::new(kind, text)?;
        let padded = text.len().next_power_of_two().max(MIN_PADDED_BYTES);
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES.saturating_add(padded)));
        bytes.push(kind);
        bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(HEAD_BYTES.saturating_add(padded), 0);
        Some(bytes)
    }

    /// Reads opened bytes. The text is as it may be shown: without [hidden characters](harmless).
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let (kind, length) = reader.u8().zip(reader.u16()).ok_or(Unreadable::Malformed)?;
        if !matches!(kind, TEXT | REACTION) {
            return Err(Unreadable::UnknownType);
        }
        let text = reader.take(usize::from(length)).and_then(|text| core::str::from_utf8(text).ok());
        let content = text.and_then(|text| Self::new(kind, text)).ok_or(Unreadable::Malformed)?;
        // One content has one form.
        if content.pad().is_none_or(|padded| *padded != bytes) {
            return Err(Unreadable::Malformed);
        }
        let (kind, text) = content.parts();
        Self::new(kind, &harmless(text)).ok_or(Unreadable::Malformed)
    }
}

/// A text without what a terminal or a page could act on: control characters but line feeds and tabs, and characters that
/// reorder the text around them.
#[must_use]
pub fn harmless(text: &str) -> String {
    let reorders = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || reorders(*c))).collect()
}

/// The metadata of a message.
pub(crate) fn metadata(id: ChatId) -> [u8; METADATA_BYTES] {
    let mut bytes = [0; METADATA_BYTES];
    if let Some((label, end)) = bytes.split_last_chunk_mut() {
        label.iter_mut().zip(label::APP_DATA.as_bytes()).for_each(|(slot, byte)| *slot = *byte);
        *end = id.to_bytes();
    }
    bytes
}

/// A chat message from the server, `participant4 || id8 || sealed`.
pub(crate) struct Received<'a> {
    pub(crate) participant: u32,
    pub(crate) id: ChatId,
    pub(crate) sealed: &'a [u8],
}

impl<'a> Received<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (participant, id) = (reader.u32()?, ChatId::from_bytes(reader.array()?)?);
        let sealed = reader.take(body.len().saturating_sub(12))?;
        (sealed.len() <= media_types::chat::MAX_SEALED_CHAT_BYTES).then_some(Self { participant, id, sealed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec};
    use proptest::prelude::*;

    fn text(text: &str) -> ChatContent {
        ChatContent::Text(text.to_string())
    }

    #[test]
    fn lengths_are_padded_to_few_sizes() {
        let padded = |length: usize| text(&"x".repeat(length)).pad().map(|bytes| bytes.len());
        assert_eq!(padded(0), None);
        for (length, size) in [(1, 67), (64, 67), (65, 131), (1_025, 2_051), (2_049, 4_099), (4_096, 4_099)] {
            assert_eq!(padded(length), Some(size), "{length} bytes");
        }
        assert_eq!(padded(4_097), None);
    }

    #[test]
    fn bytes_in_another_form_are_refused() {
        let good = text("hello").pad().unwrap();
        assert_eq!(ChatContent::read(&good), Ok(text("hello")));
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = byte;
            ChatContent::read(&bytes)
        };
        assert_eq!(changed(0, 3), Err(Unreadable::UnknownType));
        for (at, byte) in [(2, 0), (2, 6), (1, 1), (3, 0xff), (66, 1)] {
            assert_eq!(changed(at, byte), Err(Unreadable::Malformed), "byte {at}");
        }
        assert_eq!(ChatContent::read(&good[..66]), Err(Unreadable::Malformed));
        assert_eq!(ChatContent::read(&[good.to_vec(), vec![0]].concat()), Err(Unreadable::Malformed));
    }

    #[test]
    fn shown_text_controls_no_terminal_and_reorders_nothing() {
        assert_eq!(harmless("a\u{1b}[2J\u{202e}b\r\n\tc\u{9b}\u{2069}"), "a[2Jb\n\tc");
        assert_eq!(harmless("שלום \u{200f}👩\u{200d}👧"), "שלום \u{200f}👩\u{200d}👧");
        let empty = text("\u{1b}").pad().unwrap();
        assert_eq!(ChatContent::read(&empty), Err(Unreadable::Malformed), "nothing is left of it");
    }

    proptest! {
        #[test]
        fn content_round_trips(said in "[^\\p{C}]{1,1000}") {
            prop_assume!(said.len() <= MAX_TEXT_BYTES);
            prop_assert_eq!(ChatContent::read(&text(&said).pad().unwrap()), Ok(text(&harmless(&said))));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(content) = ChatContent::read(&bytes) {
                prop_assert!(content.pad().is_some());
            }
            let _ = Received::read(&bytes);
        }
    }
}
