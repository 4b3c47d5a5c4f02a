//! Limits that the server enforces on every connection, and that clients observe.

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
/// Maximum number of messages per second of a client's outbox, with a margin for clock and network jitter.
pub const CLIENT_OUTBOX_PER_SECOND: u32 = 25;
/// Bytes at which the server splits a roster, with a margin for the envelope.
pub const ROSTER_PAGE_BYTES: usize = 16_000;
/// Milliseconds within which the first message, `hello`, must arrive.
pub const HELLO_TIMEOUT_MS: u64 = 5_000;
/// Maximum length of a `ufrag`, codec or client name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
