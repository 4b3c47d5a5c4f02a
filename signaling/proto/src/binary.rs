//! Binary messages: key traffic, which the server splits and forwards. It reads no contents but what names the sender.
//!
//! ```text
//! every message     type1 || n4 || body          n: request id (client) or running number (server), big endian
//! 1 KeyBatch   C→S  header171 || { recipient_seat2 announce_seq4 box80 } × count, count in the header's last 2 bytes
//! 2 Keys       S→C  count1 || { header171 || entry86 } × count, at most 63
//! 3 Announces  S→C  count1 || { participant4 seat2 announce298 len2 display } × count
//! 4 KeyRequest C→S  count1 || { join_id16 kid8 } × count, at most 200; routed by the seat inside the KID
//!              S→C  requester_seat2 || the same
//! 5 Chat       C→S  chat_id8 || sealed             a chat message or reaction, sealed as app data, at most 4,132 bytes
//!              S→C  participant4 || the same     the sender, as the server says; the seal says it for certain
//! ```

use crate::{
    ids::{ParticipantId, Seat},
    limits::MAX_MESSAGE_BYTES,
};
pub use media_types::chat::{ChatId, ChatKind, MAX_REACTION_BYTES, MAX_SEALED_CHAT_BYTES, MAX_TEXT_BYTES};
pub use media_types::key_exchange::{
    ANNOUNCE_BYTES, ANNOUNCE_CALL, ANNOUNCE_DEVICE_KEY, ANNOUNCE_DISPLAY_HASH, ANNOUNCE_INCARNATION, ANNOUNCE_ROOM,
    ANNOUNCE_SEQ, BATCH_ANNOUNCE_SEQ, BATCH_CALL, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES, BATCH_JOIN_ID, BATCH_KID,
    BATCH_ROOM, BATCH_SEAT, WANTED_KEY_BYTES,
};

/// Bytes in front of every body: type and number.
pub const PREFIX_BYTES: usize = 5;
/// Maximum number of entries of one key batch: what fits a message.
pub const MAX_BATCH_ENTRIES: usize = (MAX_MESSAGE_BYTES - PREFIX_BYTES - BATCH_HEADER_BYTES) / BATCH_ENTRY_BYTES;
/// Maximum number of senders of one `Keys` message: what fits a message.
pub const MAX_KEYS: usize = (MAX_MESSAGE_BYTES - PREFIX_BYTES - 1) / (BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES);
/// Maximum number of bytes of a sealed name.
pub const MAX_DISPLAY_BYTES: usize = 512;
/// Maximum number of wanted keys of one key request.
pub const MAX_WANTED_KEYS: usize = 200;

/// Type byte of a binary message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BinaryType {
    /// Keys of one sender for several recipients.
    KeyBatch = 1,
    /// Keys of several senders for one recipient.
    Keys = 2,
    /// Announces of several participants.
    Announces = 3,
    /// Keys that a receiver lacks.
    KeyRequest = 4,
    /// A chat message or reaction.
    Chat = 5,
}

impl BinaryType {
    /// The type that a byte stands for.
    fn of(byte: u8) -> Result<Self, BinaryError> {
        [Self::KeyBatch, Self::Keys, Self::Announces, Self::KeyRequest, Self::Chat]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
            .ok_or(BinaryError::UnknownType)
    }
}

/// Why a binary message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// Shorter than its type and number, or than its counts say.
    #[error("truncated")]
    Truncated,
    /// Longer than its counts say.
    #[error("bytes left over")]
    Trailing,
    /// A type byte that is unknown, or not for this direction.
    #[error("unknown type")]
    UnknownType,
    /// Zero entries, or more than a message may hold.
    #[error("count out of range")]
    Count,
    /// A sealed name longer than [`MAX_DISPLAY_BYTES`].
    #[error("sealed name too long")]
    Display,
    /// An empty chat message, one longer than [`MAX_SEALED_CHAT_BYTES`], or an id of an unknown kind.
    #[error("not a chat message")]
    Chat,
}

/// A message from the client, parsed once and owned, so that it can travel to the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientBinary {
    /// Keys of this client for others.
    KeyBatch(KeyBatch),
    /// Keys of others that this client lacks.
    KeyRequest(Vec<WantedKey>),
    /// A message to everyone.
    Chat {
        /// The sender's name of it.
        id: ChatId,
        /// What only participants open.
        sealed: Vec<u8>,
    },
}

/// A key batch as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBatch {
    /// The header that every recipient gets.
    pub header: BatchHeader,
    /// One sealed key for each recipient.
    pub entries: Vec<BatchEntry>,
}

/// Header of a key batch, opaque except for the number of entries and what it says of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader(pub [u8; BATCH_HEADER_BYTES]);

/// Entry of a key batch, opaque except for the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchEntry(pub [u8; BATCH_ENTRY_BYTES]);

/// A key that a receiver lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedKey(pub [u8; WANTED_KEY_BYTES]);

impl BatchHeader {
    /// The number of entries that follow.
    fn count(&self) -> usize {
        self.0.last_chunk().map_or(0, |count| usize::from(u16::from_be_bytes(*count)))
    }
}

impl BatchEntry {
    /// The seat of the recipient.
    #[must_use]
    pub fn recipient(&self) -> Seat {
        let [high, low, ..] = self.0;
        Seat(u16::from_be_bytes([high, low]))
    }
}

impl WantedKey {
    /// The seat of the device that has the key, taken from the KID.
    #[must_use]
    pub fn owner(&self) -> Seat {
        let kid = self.0.last_chunk().map_or(0, |kid| u64::from_be_bytes(*kid));
        Seat::of_kid(kid)
    }
}

/// A message from the server. It borrows, because the session that it is for parses keys and announces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerBinary<'a> {
    /// Header and entry of each sender, [`BATCH_HEADER_BYTES`] + [`BATCH_ENTRY_BYTES`] each.
    Keys(&'a [u8]),
    /// Announces.
    Announces(Vec<AnnounceEntry<'a>>),
    /// A participant lacks keys of this one.
    KeyRequest {
        /// Seat of the participant that lacks the keys.
        requester: Seat,
        /// The keys, [`WANTED_KEY_BYTES`] each.
        wanted: &'a [u8],
    },
    /// A message of a participant.
    Chat {
        /// The participant.
        participant: ParticipantId,
        /// Its name of the message.
        id: ChatId,
        /// The sealed contents.
        sealed: &'a [u8],
    },
}

/// One participant's announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceEntry<'a> {
    /// The participant.
    pub participant: ParticipantId,
    /// Its seat.
    pub seat: Seat,
    /// The announce, [`ANNOUNCE_BYTES`] bytes.
    pub announce: &'a [u8],
    /// The sealed name.
    pub display: &'a [u8],
}

/// Reads bytes from the front, refusing to run past the end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], BinaryError> {
        let (head, tail) = self.0.split_at_checked(bytes).ok_or(BinaryError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BinaryError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(BinaryError::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    /// Reads `count` elements of fixed size.
    fn arrays<T, const N: usize>(&mut self, count: usize, of: impl Fn([u8; N]) -> T) -> Result<Vec<T>, BinaryError> {
        // The bytes are there before space is reserved for them.
        let (chunks, _) = self.take(count.saturating_mul(N))?.as_chunks::<N>();
        Ok(chunks.iter().map(|bytes| of(*bytes)).collect())
    }

    fn count(&mut self, most: usize) -> Result<usize, BinaryError> {
        let [count] = self.array()?;
        let count = usize::from(count);
        if count == 0 || count > most { Err(BinaryError::Count) } else { Ok(count) }
    }

    /// The rest: a chat message.
    fn chat(&mut self) -> Result<(ChatId, &'a [u8]), BinaryError> {
        let id = ChatId::from_bytes(self.array()?).ok_or(BinaryError::Chat)?;
        let sealed = std::mem::take(&mut self.0);
        if sealed.is_empty() || sealed.len() > MAX_SEALED_CHAT_BYTES {
            Err(BinaryError::Chat)
        } else {
            Ok((id, sealed))
        }
    }

    fn end(self) -> Result<(), BinaryError> {
        if self.0.is_empty() { Ok(()) } else { Err(BinaryError::Trailing) }
    }
}

/// Type, number, and what follows.
fn prefix(message: &[u8]) -> Result<(BinaryType, u32, Reader<'_>), BinaryError> {
    let mut reader = Reader(message);
    let [kind] = reader.array()?;
    let n = u32::from_be_bytes(reader.array()?);
    Ok((BinaryType::of(kind)?, n, reader))
}

/// The request number of a message from a client that may be malformed otherwise. Zero asks for no answer.
#[must_use]
pub fn request_id(message: &[u8]) -> Option<u32> {
    let (_, rest) = message.split_first()?;
    answered(u32::from_be_bytes(*rest.first_chunk()?))
}

/// A request number, unless it asks for no answer.
fn answered(id: u32) -> Option<u32> {
    Some(id).filter(|id| *id != 0)
}

/// Parses a message from a client: its request number, if it asks for an answer, and its contents.
///
/// # Errors
/// See [`BinaryError`]; nothing of a refused message is forwarded.
pub fn parse_client(message: &[u8]) -> Result<(Option<u32>, ClientBinary), BinaryError> {
    let (kind, n, mut reader) = prefix(message)?;
    let body = match kind {
        BinaryType::KeyBatch => {
            let header = BatchHeader(reader.array()?);
            let count = header.count();
            if count == 0 || count > MAX_BATCH_ENTRIES {
                return Err(BinaryError::Count);
            }
            ClientBinary::KeyBatch(KeyBatch { header, entries: reader.arrays(count, BatchEntry)? })
        }
        BinaryType::KeyRequest => {
            let count = reader.count(MAX_WANTED_KEYS)?;
            ClientBinary::KeyRequest(reader.arrays(count, WantedKey)?)
        }
        BinaryType::Chat => {
            let (id, sealed) = reader.chat()?;
            ClientBinary::Chat { id, sealed: sealed.to_vec() }
        }
        BinaryType::Keys | BinaryType::Announces => return Err(BinaryError::UnknownType),
    };
    reader.end()?;
    Ok((answered(n), body))
}

/// Parses a message from a server: its running number and contents.
///
/// # Errors
/// See [`BinaryError`].
pub fn parse_server(message: &[u8]) -> Result<(u32, ServerBinary<'_>), BinaryError> {
    let (kind, n, mut reader) = prefix(message)?;
    let body = match kind {
        BinaryType::Keys => {
            let count = reader.count(MAX_KEYS)?;
            ServerBinary::Keys(reader.take(count * (BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES))?)
        }
        BinaryType::Announces => {
            let count = reader.count(usize::from(u8::MAX))?;
            let mut announces = Vec::with_capacity(count);
            for _ in 0..count {
                announces.push(AnnounceEntry {
                    participant: ParticipantId(u32::from_be_bytes(reader.array()?)),
                    seat: Seat(u16::from_be_bytes(reader.array()?)),
                    announce: reader.take(ANNOUNCE_BYTES)?,
                    display: {
                        let length = usize::from(u16::from_be_bytes(reader.array()?));
                        if length > MAX_DISPLAY_BYTES {
                            return Err(BinaryError::Display);
                        }
                        reader.take(length)?
                    },
                });
            }
            ServerBinary::Announces(announces)
        }
        BinaryType::KeyRequest => {
            let requester = Seat(u16::from_be_bytes(reader.array()?));
            let count = reader.count(MAX_WANTED_KEYS)?;
            ServerBinary::KeyRequest { requester, wanted: reader.take(count * WANTED_KEY_BYTES)? }
        }
        BinaryType::Chat => {
            let participant = ParticipantId(u32::from_be_bytes(reader.array()?));
            let (id, sealed) = reader.chat()?;
            ServerBinary::Chat { participant, id, sealed }
        }
        BinaryType::KeyBatch => return Err(BinaryError::UnknownType),
    };
    reader.end()?;
    Ok((n, body))
}

/// Starts a message of this type.
fn start(kind: BinaryType, n: u32) -> Vec<u8> {
    let mut message = vec![kind as u8];
    message.extend_from_slice(&n.to_be_bytes());
    message
}

/// A count that the caller has bounded, as its byte.
fn count_byte(count: usize) -> u8 {
    debug_assert!((1..=usize::from(u8::MAX)).contains(&count), "a bounded count");
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// Writes a key batch; `body` is header and entries as the sender made them.
#[must_use]
pub fn key_batch(id: u32, body: &[u8]) -> Vec<u8> {
    let mut message = start(BinaryType::KeyBatch, id);
    message.extend_from_slice(body);
    message
}

/// Writes the keys of several senders for one recipient, at most [`MAX_KEYS`].
#[must_use]
pub fn keys<'a>(seq: u32, keys: impl ExactSizeIterator<Item = (&'a BatchHeader, &'a BatchEntry)>) -> Vec<u8> {
    let mut message = start(BinaryType::Keys, seq);
    message.push(count_byte(keys.len()));
    for (header, entry) in keys {
        message.extend_from_slice(&header.0);
        message.extend_from_slice(&entry.0);
    }
    message
}

/// Writes announces, at most 255 and no more than fit a message: see [`announce_bytes`].
#[must_use]
pub fn announces(seq: u32, entries: &[AnnounceEntry<'_>]) -> Vec<u8> {
    let mut message = start(BinaryType::Announces, seq);
    message.push(count_byte(entries.len()));
    for entry in entries {
        message.extend_from_slice(&entry.participant.0.to_be_bytes());
        message.extend_from_slice(&entry.seat.0.to_be_bytes());
        message.extend_from_slice(entry.announce);
        let length = u16::try_from(entry.display.len()).unwrap_or(u16::MAX);
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(entry.display);
    }
    message
}

/// Bytes that an entry takes in an announces message.
#[must_use]
pub fn announce_bytes(entry: &AnnounceEntry<'_>) -> usize {
    4 + 2 + ANNOUNCE_BYTES + 2 + entry.display.len()
}

/// Writes a key request of a client; `wanted` is whole wanted keys.
#[must_use]
pub fn key_request(id: u32, wanted: &[u8]) -> Vec<u8> {
    let mut message = start(BinaryType::KeyRequest, id);
    message.push(count_byte(wanted.len() / WANTED_KEY_BYTES));
    message.extend_from_slice(wanted);
    message
}

/// Writes a key request as the server forwards it, with 1 to [`MAX_WANTED_KEYS`] keys.
#[must_use]
pub fn forwarded_key_request(seq: u32, requester: Seat, wanted: &[WantedKey]) -> Vec<u8> {
    let mut message = start(BinaryType::KeyRequest, seq);
    message.extend_from_slice(&requester.0.to_be_bytes());
    message.push(count_byte(wanted.len()));
    message.extend(wanted.iter().flat_map(|wanted| wanted.0));
    message
}

/// Writes a chat message, whose sealed contents have 1 to [`MAX_SEALED_CHAT_BYTES`] bytes.
#[must_use]
pub fn chat(number: u32, id: ChatId, sealed: &[u8]) -> Vec<u8> {
    let mut message = start(BinaryType::Chat, number);
    message.extend_from_slice(&id.to_bytes());
    message.extend_from_slice(sealed);
    message
}

/// Writes a chat message as the server forwards it.
#[must_use]
pub fn forwarded_chat(seq: u32, participant: ParticipantId, id: ChatId, sealed: &[u8]) -> Vec<u8> {
    let mut message = start(BinaryType::Chat, seq);
    message.extend_from_slice(&participant.0.to_be_bytes());
    message.extend_from_slice(&id.to_bytes());
    message.extend_from_slice(sealed);
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(count: u16) -> Vec<u8> {
        let mut body = vec![0xaa; BATCH_HEADER_BYTES - 2];
        body.extend_from_slice(&count.to_be_bytes());
        for seat in 0..count {
            body.extend_from_slice(&seat.to_be_bytes());
            body.extend_from_slice(&[0xbb; BATCH_ENTRY_BYTES - 2]);
        }
        body
    }

    #[test]
    fn largest_key_batch_fits_a_message() {
        assert_eq!((MAX_BATCH_ENTRIES, MAX_KEYS), (188, 63));
        let message = key_batch(1, &batch(188));
        assert!(message.len() <= MAX_MESSAGE_BYTES);
        let (id, ClientBinary::KeyBatch(read)) = parse_client(&message).unwrap() else { panic!("not a batch") };
        assert_eq!(id, Some(1));
        assert_eq!(
            read.entries.iter().map(|entry| entry.recipient().0).collect::<Vec<_>>(),
            (0..188).collect::<Vec<_>>()
        );
        assert_eq!(parse_client(&key_batch(1, &batch(189))), Err(BinaryError::Count));
    }

    #[test]
    fn announces_round_trip() {
        let entries = [
            AnnounceEntry {
                participant: ParticipantId(9),
                seat: Seat(4),
                announce: &[1; ANNOUNCE_BYTES],
                display: &[2; 33],
            },
            AnnounceEntry {
                participant: ParticipantId(10),
                seat: Seat(5),
                announce: &[3; ANNOUNCE_BYTES],
                display: &[],
            },
        ];
        let message = announces(77, &entries);
        assert_eq!(message.len(), PREFIX_BYTES + 1 + entries.iter().map(announce_bytes).sum::<usize>());
        assert_eq!(parse_server(&message), Ok((77, ServerBinary::Announces(entries.to_vec()))));
    }

    #[test]
    fn chat_message_is_bounded_and_of_a_known_kind() {
        let id = ChatId::new(ChatKind::Reaction, 7);
        let sealed = vec![9; MAX_SEALED_CHAT_BYTES];
        assert_eq!(
            parse_client(&chat(3, id, &sealed)),
            Ok((Some(3), ClientBinary::Chat { id, sealed: sealed.clone() }))
        );
        let forwarded = forwarded_chat(4, ParticipantId(8), id, &sealed);
        assert!(forwarded.len() <= MAX_MESSAGE_BYTES);
        let expected = ServerBinary::Chat { participant: ParticipantId(8), id, sealed: &sealed };
        assert_eq!(parse_server(&forwarded), Ok((4, expected)));
        for sealed in [vec![], vec![9; MAX_SEALED_CHAT_BYTES + 1]] {
            assert_eq!(parse_client(&chat(3, id, &sealed)), Err(BinaryError::Chat));
        }
        let mut unknown = chat(3, id, &[1]);
        unknown[PREFIX_BYTES] = 2;
        assert_eq!(parse_client(&unknown), Err(BinaryError::Chat));
    }

    #[test]
    fn wanted_key_names_its_owner() {
        let mut wanted = WantedKey([7; WANTED_KEY_BYTES]);
        *wanted.0.last_chunk_mut().unwrap() = ((3u64 << 18) | (4095 << 6) | 0b10_101).to_be_bytes();
        assert_eq!(wanted.owner(), Seat(4095));
        assert_eq!(parse_client(&key_request(2, &wanted.0)), Ok((Some(2), ClientBinary::KeyRequest(vec![wanted]))));
        let expected = ServerBinary::KeyRequest { requester: Seat(6), wanted: &wanted.0 };
        assert_eq!(parse_server(&forwarded_key_request(3, Seat(6), &[wanted])), Ok((3, expected)));
        assert_eq!(parse_client(&key_request(0, &wanted.0)).unwrap().0, None, "zero asks for no answer");
    }

    #[test]
    fn truncated_and_extended_messages_are_refused() {
        let message = key_batch(1, &batch(2));
        for length in 0..message.len() {
            assert!(parse_client(&message[..length]).is_err(), "accepted {length} bytes");
        }
        let longer = [message.as_slice(), &[0]].concat();
        assert_eq!(parse_client(&longer), Err(BinaryError::Trailing));
    }

    proptest! {
        #[test]
        fn parsers_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = parse_client(&bytes);
            let _ = parse_server(&bytes);
        }
    }
}
