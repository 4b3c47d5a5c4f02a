//! Limits that the server enforces on every connection, and that clients observe.

use crate::message_type::MessageType;

/// Accepted data messages in any window of [`MESSAGE_WINDOW_MS`], text or binary, after reassembly.
pub const MESSAGES_PER_WINDOW: usize = 30;
/// Length of the message window in milliseconds.
pub const MESSAGE_WINDOW_MS: u64 = 1_000;
/// Maximum payload of one message in bytes, in both directions. One byte more closes with 1009.
pub const MAX_MESSAGE_BYTES: usize = 16_384;
/// Messages over the rate that are tolerated in [`STRIKE_WINDOW_MS`]; one more closes with 4429.
pub const STRIKES_PER_WINDOW: usize = 30;
/// Length of the strike window in milliseconds.
pub const STRIKE_WINDOW_MS: u64 = 10_000;
/// Messages over a rate that are answered in any second of a connection. Those beyond are dropped without an answer, and count
/// as strikes like the others: otherwise a flood would be answered by a flood.
pub const RATE_ANSWERS_PER_SECOND: usize = 10;
/// Maximum number of messages per second of a client's outbox, with a margin for clock and network jitter.
pub const CLIENT_OUTBOX_PER_SECOND: u32 = 25;
/// Bytes at which the server splits a roster, with a margin for the envelope.
pub const ROSTER_PAGE_BYTES: usize = 16_000;
/// Milliseconds within which the first message, `hello`, must arrive.
pub const HELLO_TIMEOUT_MS: u64 = 5_000;
/// Maximum length of a `ufrag`, codec or client name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest room token in bytes.
pub const MAX_ROOM_TOKEN_BYTES: usize = 1_024;
/// Maximum number of `features` that a client names.
pub const MAX_FEATURES: usize = 16;

/// How often one sender may send messages of one type: `burst` at once, and one more each `every_ms`.
///
/// A message over its rate is not processed. It is answered like one over the 30 a second, with `rate_limited` and the time to
/// wait, and counts against the client in the same way. The allowance belongs to the session: a client that returns to its
/// session has what was left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeRate {
    /// Maximum number of messages at once, at least 1.
    pub burst: u32,
    /// Milliseconds after which one more is allowed, at least 1.
    pub every_ms: u32,
}

/// The rate of a type. Each is far above what a client needs and far below what would keep a room busy.
#[must_use]
pub const fn type_rate(kind: MessageType) -> TypeRate {
    let (burst, every_ms) = match kind {
        // Once for each connection or session; a client that is refused may try again.
        MessageType::Hello | MessageType::Join | MessageType::Away | MessageType::Leave => (3, 1_000),
        // Renewed every few minutes, and when the name changes.
        MessageType::Announce => (3, 10_000),
        // Repairs of the media path are at least a second apart.
        MessageType::Transport | MessageType::IceRestart => (5, 1_000),
        // A client that sets everything up again has up to eight tracks, and may take them back at once.
        MessageType::Publish | MessageType::Unpublish | MessageType::Mute | MessageType::Unmute => (16, 200),
        // A client says that speech has stopped a second after it has.
        MessageType::Speech => (4, 500),
        // A request names up to 50 tracks.
        MessageType::Subscribe | MessageType::Unsubscribe => (16, 200),
        // A client puts together what changes within 250 ms.
        MessageType::Layers => (8, 200),
        // One for each `slots` that the server sends.
        MessageType::SlotsReady => (30, 50),
        // After a gap in the revisions of the roster, which reconnecting closes, too.
        MessageType::Resync => (5, 1_000),
        // One for 16 messages of the server.
        MessageType::Ack => (10, 200),
        // One each second.
        MessageType::Heartbeat => (5, 500),
        // A hand goes up and down again.
        MessageType::Hand => (4, 500),
        // A moderator works through a list of participants.
        MessageType::MuteRequest | MessageType::Kick | MessageType::Ban | MessageType::Role => (10, 500),
        // Each is sent to everyone.
        MessageType::Lock | MessageType::End => (3, 2_000),
        // One each ten seconds; it concerns no one else.
        MessageType::Ping => (30, 100),
        // A rotation in a room of 4,096 is 22 batches, one of 1,000 is 6, and rotations are a second apart.
        MessageType::KeyBatch => (30, 66),
        // A client asks once a second for all keys that it lacks.
        MessageType::KeyRequest => (10, 500),
        // As fast as people type, and as they press a button.
        MessageType::Chat => (5, 200),
        MessageType::Reaction => (2, 500),
    };
    TypeRate { burst, every_ms }
}
