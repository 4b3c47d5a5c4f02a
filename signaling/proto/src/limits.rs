//! The limits that the server holds every connection to, and that a client keeps inside.

/// Accepted data messages in any window of [`MESSAGE_WINDOW_MS`], text or binary, after reassembly.
pub const MESSAGES_PER_WINDOW: usize = 30;
/// Length of the message window in milliseconds.
pub const MESSAGE_WINDOW_MS: u64 = 1_000;
/// Largest accepted payload of one message in bytes, in both directions. One more closes with 1009.
pub const MAX_MESSAGE_BYTES: usize = 16_384;
/// Messages over the rate that are answered with an error inside [`STRIKE_WINDOW_MS`]; one more closes with 4429.
pub const STRIKES_PER_WINDOW: usize = 30;
/// Length of the strike window in milliseconds.
pub const STRIKE_WINDOW_MS: u64 = 10_000;
/// Messages a second that a client's outbox sends at most, leaving room for clock and network jitter.
pub const CLIENT_OUTBOX_PER_SECOND: u32 = 25;
/// Bytes at which the server cuts a roster page, leaving room for the envelope.
pub const ROSTER_PAGE_BYTES: usize = 16_000;
/// Milliseconds within which the first message, `hello`, must arrive.
pub const HELLO_TIMEOUT_MS: u64 = 5_000;
/// Longest `mid`, `ufrag`, codec or client name accepted, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
