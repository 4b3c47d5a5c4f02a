//! Sizes of the key-exchange messages, and where their fields lie that name their sender. Devices fill them in; the server
//! splits the messages by size, and reads only what a device says of itself, to refuse what it knows to be wrong.

use core::ops::Range;

/// Bytes of a key batch's header. Its last two bytes are the number of entries, big endian.
pub const BATCH_HEADER_BYTES: usize = 171;
/// The room in a key batch's header.
pub const BATCH_ROOM: Range<usize> = 6..22;
/// The call in a key batch's header.
pub const BATCH_CALL: Range<usize> = 22..38;
/// The sender's seat in a key batch's header, big endian.
pub const BATCH_SEAT: Range<usize> = 38..40;
/// The first half of the sender's join id in a key batch's header.
pub const BATCH_JOIN_ID: Range<usize> = 40..56;
/// The number of the sender's announce in a key batch's header, big endian.
pub const BATCH_ANNOUNCE_SEQ: Range<usize> = 56..60;
/// The KID of the key in a key batch's header, big endian.
pub const BATCH_KID: Range<usize> = 64..72;
/// Bytes of a key batch's entry for one recipient. Its first two bytes are the recipient's seat, big endian.
pub const BATCH_ENTRY_BYTES: usize = 86;
/// Bytes of an announce.
pub const ANNOUNCE_BYTES: usize = 298;
/// The room in an announce.
pub const ANNOUNCE_ROOM: Range<usize> = 2..18;
/// The call in an announce.
pub const ANNOUNCE_CALL: Range<usize> = 18..34;
/// The public key of the announcing device. With it a device proves that a session is its own.
pub const ANNOUNCE_DEVICE_KEY: Range<usize> = 34..66;
/// The incarnation of the announcing device: together with the device key it makes the join id.
pub const ANNOUNCE_INCARNATION: Range<usize> = 66..82;
/// SHA-256 of the sealed name that belongs to an announce.
pub const ANNOUNCE_DISPLAY_HASH: Range<usize> = 146..178;
/// The number of an announce, big endian: it grows with each renewal.
pub const ANNOUNCE_SEQ: Range<usize> = 182..186;
/// Bytes of one wanted key in a key request: the owner's join id, then the KID, big endian.
pub const WANTED_KEY_BYTES: usize = 24;
