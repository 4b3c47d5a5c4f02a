//! Sizes of the key-exchange messages. Devices fill them in; the server splits them by size without reading them.

/// Bytes of a key batch's header. Its last two bytes are the number of entries, big endian.
pub const BATCH_HEADER_BYTES: usize = 171;
/// Bytes of a key batch's entry for one recipient. Its first two bytes are the recipient's seat, big endian.
pub const BATCH_ENTRY_BYTES: usize = 86;
/// Bytes of an announce.
pub const ANNOUNCE_BYTES: usize = 298;
/// Where the public key of the announcing device lies in an announce: the only field that the server reads. With it a
/// device proves that a session is its own.
pub const ANNOUNCE_DEVICE_KEY: core::ops::Range<usize> = 34..66;
/// Bytes of one wanted key in a key request: the owner's join id, then the KID, big endian.
pub const WANTED_KEY_BYTES: usize = 24;
