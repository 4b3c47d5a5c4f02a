//! A slip: what one device writes to one other, inside the [outer](crate::outer), by a session.
//!
//! ```text
//! slip     ver1 form1 number4 [opening1133] sealed                      form 1: with the opening of the session; 2: without
//!          AAD of `sealed`: session id32 || ver1 || form1 || number4
//! payload  flags1 key32 hash32 checkpoint40 [sealing prekey106]         flags: 1 the session replaces a lost one
//!                                                                              2 a sealing prekey follows
//! ```
//! `key` opens the [blob](crate::blob) with the content, `hash` is SHA-256 of that blob, and the checkpoint is what the
//! sender last saw of the directory.

use crate::{pqxdh::Opening, prekey::CURVE_PREKEY_BYTES};
use alloc::vec::Vec;
use e2ee_core::{Reader, SecretBytes};
use zeroize::Zeroizing;

/// Version of the format.
const VERSION: u8 = 1;
/// Bytes of the head, which every slip has.
pub(crate) const HEAD_BYTES: usize = 6;
/// Bytes of a checkpoint in short.
pub const CHECKPOINT_BYTES: usize = 40;

const REPLACES: u8 = 1;
const SEALING_PREKEY: u8 = 2;

/// Which of a pair's sessions a slip belongs to, and whether it opens that session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) first: bool,
    pub(crate) number: u32,
}

impl Head {
    pub(crate) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let [a, b, c, d] = self.number.to_be_bytes();
        [VERSION, if self.first { 1 } else { 2 }, a, b, c, d]
    }
}

/// A slip, taken apart.
pub(crate) struct Slip<'a> {
    pub(crate) head: Head,
    pub(crate) opening: Option<Opening>,
    pub(crate) sealed: &'a [u8],
}

impl<'a> Slip<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let first = match reader.u8()? {
            1 => true,
            2 => false,
            _ => return None,
        };
        let head = Head { first, number: reader.u32()? };
        let opening = if first { Some(Opening::read(&mut reader)?) } else { None };
        let used = HEAD_BYTES + if first { crate::pqxdh::OPENING_BYTES } else { 0 };
        Some(Self { head, opening, sealed: bytes.get(used..)? })
    }
}

/// What a slip says.
pub(crate) struct Payload {
    /// The sender has lost the session that it had: what was sent to it is to be sent again.
    pub(crate) replaces: bool,
    pub(crate) key: SecretBytes<32>,
    pub(crate) hash: [u8; 32],
    pub(crate) checkpoint: [u8; CHECKPOINT_BYTES],
    pub(crate) sealing: Option<[u8; CURVE_PREKEY_BYTES]>,
}

impl Payload {
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let flags = if self.replaces { REPLACES } else { 0 } | if self.sealing.is_some() { SEALING_PREKEY } else { 0 };
        let sealing = self.sealing.as_ref().map_or(&[][..], |prekey| prekey);
        Zeroizing::new([&[flags], &self.key[..], &self.hash, &self.checkpoint, sealing].concat())
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let flags = reader.u8().filter(|flags| flags & !(REPLACES | SEALING_PREKEY) == 0)?;
        let payload = Self {
            replaces: flags & REPLACES != 0,
            key: SecretBytes::copy_of(reader.chunk()?),
            hash: reader.array()?,
            checkpoint: reader.array()?,
            sealing: if flags & SEALING_PREKEY != 0 { Some(reader.array()?) } else { None },
        };
        reader.end()?;
        Some(payload)
    }
}
