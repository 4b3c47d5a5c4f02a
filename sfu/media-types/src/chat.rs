//! Chat messages as the server sees them: an id that the sender chooses, and bytes that only participants open.
//!
//! ```text
//! id 8, big endian:  kind1 || number7
//! ```
//! The kind is in clear because the server limits how often each is sent. The seal covers the id, so neither kind nor number
//! can be changed on the way.

/// Maximum length of a text, bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 4_096;
/// Maximum length of a reaction, bytes of UTF-8: one emoji, of any sequence.
pub const MAX_REACTION_BYTES: usize = 64;
/// Maximum length of a sealed chat message: SFrame header, content type, length, padded text, tag.
pub const MAX_SEALED_CHAT_BYTES: usize = 17 + 1 + 2 + MAX_TEXT_BYTES + 16;
/// Largest number of an id.
pub const MAX_CHAT_NUMBER: u64 = (1 << NUMBER_BITS) - 1;

const NUMBER_BITS: u32 = 56;

/// What the server tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ChatKind {
    /// A text, or any other content that is sent as rarely.
    Message = 0,
    /// A reaction.
    Reaction = 1,
}

/// Names a chat message of one sender: its kind, and a number that grows with every message of the sender's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatId(u64);

impl ChatId {
    /// The id of a number, which wraps at [`MAX_CHAT_NUMBER`].
    #[must_use]
    pub const fn new(kind: ChatKind, number: u64) -> Self {
        Self((kind as u64) << NUMBER_BITS | number & MAX_CHAT_NUMBER)
    }

    /// The id in these bytes; `None` if its kind is unknown.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        let [kind, ..] = bytes;
        (kind <= ChatKind::Reaction as u8).then_some(Self(u64::from_be_bytes(bytes)))
    }

    /// As it is sent.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The kind in its first byte.
    #[must_use]
    pub const fn kind(self) -> ChatKind {
        if self.0 >> NUMBER_BITS == ChatKind::Message as u64 { ChatKind::Message } else { ChatKind::Reaction }
    }

    /// The number behind the kind.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 & MAX_CHAT_NUMBER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_kind_and_number() {
        let id = ChatId::new(ChatKind::Reaction, 0x0102);
        assert_eq!(id.to_bytes(), [1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((ChatId::from_bytes(id.to_bytes()), id.kind(), id.number()), (Some(id), ChatKind::Reaction, 0x0102));
        assert_eq!(ChatId::from_bytes([2, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(ChatId::new(ChatKind::Message, u64::MAX).to_bytes(), [0, 255, 255, 255, 255, 255, 255, 255]);
    }
}
