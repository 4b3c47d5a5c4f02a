//! Key batches: a sender's key, boxed to each recipient and bound to its context.
//!
//! ```text
//! header 171: ver2 type1 suite2 policy1 room16 call16 seat2 join_id16 announce_seq4 gen4 kid8 reason1 created8
//!             roster_hash32 commit32 nonce24 count2
//! entry 86:   recipient_seat2 recipient_announce_seq4 | tag16 || box64 of K32 || ctx32
//! ctx32     = SHA-256("e2ee-frames/1 key" || header without count || join_id(sender) || join_id(recipient)
//!                     || SHA-256(sender's announce) || SHA-256(recipient's announce))
//! ```
//! A nacl.box alone has no direction, room or time: the server could replay, reflect or readdress it. The context inside
//! makes each of these fail. One random nonce serves a batch, because the box key differs for every recipient.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{
    identity::{Call, JoinId},
    schedule::{Epoch, POLICY, SUITE, SessionKey},
};
use crate::{
    clock::WallTime,
    ids::{Seat, StreamId},
    label,
    sframe::kid::Kid,
};
use alloc::vec::Vec;
use e2ee_core::{BoxKey, Primitives, Reader, SecretBytes, array};
pub(crate) use media_types::key_exchange::{BATCH_ENTRY_BYTES as ENTRY_BYTES, BATCH_HEADER_BYTES as HEADER_BYTES};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Maximum number of entries in a batch: as many as fit a message of 16,384 bytes.
pub(crate) const MAX_ENTRIES: usize = 188;
/// Bytes of the header that the context binds: all but the count, which the server changes.
const BOUND_BYTES: usize = HEADER_BYTES - COUNT_BYTES;
/// Bytes of the count at the end of a header.
const COUNT_BYTES: usize = 2;
/// Bytes of the boxed session key and context, without the tag.
const PLAIN_BYTES: usize = 32 + 32;
/// Bytes of a box: tag and ciphertext.
const BOX_BYTES: usize = 16 + PLAIN_BYTES;
/// Bytes of the clear part of an entry: seat and announce number.
const CLEAR_BYTES: usize = ENTRY_BYTES - BOX_BYTES;

/// A header as it travels.
pub(crate) type HeaderBytes = [u8; HEADER_BYTES];
/// A header without the count: what the context binds.
pub(crate) type BoundHeader = [u8; BOUND_BYTES];
/// An entry as it travels.
pub(crate) type EntryBytes = [u8; ENTRY_BYTES];

const VERSION: u16 = 1;
const TYPE: u8 = 1;

/// Why a sender distributes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reason {
    First = 1,
    Join = 2,
    Leave = 3,
    Periodic = 4,
    Request = 5,
    Start = 6,
}

/// Added to the reason where a device that may hold the key has left: it dies 45 s after the batch was made, at the latest.
pub(crate) const DYING: u8 = 0x80;

/// The clear part of a batch, to which its boxes are bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) call: Call,
    pub(crate) seat: Seat,
    /// First half of the sender's join id.
    pub(crate) join_id: [u8; 16],
    pub(crate) announce_seq: u32,
    pub(crate) epoch: Epoch,
    /// A [`Reason`], perhaps with [`DYING`]. Receivers take any.
    pub(crate) reason: u8,
    pub(crate) created: WallTime,
    pub(crate) roster_hash: [u8; 32],
    pub(crate) commitment: [u8; 32],
    pub(crate) nonce: [u8; 24],
}

/// A header does not describe a key that this version accepts: another version, suite or policy, or fields that
/// contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// The bound part of a header.
pub(crate) fn bound(header: &HeaderBytes) -> &BoundHeader {
    array::split::<BOUND_BYTES, COUNT_BYTES, HEADER_BYTES>(header).0
}

impl Header {
    /// The KID of the epoch, without a stream.
    fn kid(&self) -> u64 {
        Kid {
            step: self.epoch.step,
            generation: (self.epoch.generation % 8) as u8,
            seat: self.seat,
            stream: StreamId::MICROPHONE,
        }
        .pack()
    }

    /// Everything but the count.
    pub(crate) fn write(&self) -> BoundHeader {
        array::concat(&[
            &VERSION.to_be_bytes(),
            &[TYPE],
            &SUITE.id().to_be_bytes(),
            &[POLICY],
            &self.call.room,
            &self.call.call,
            &self.seat.0.to_be_bytes(),
            &self.join_id,
            &self.announce_seq.to_be_bytes(),
            &self.epoch.generation.to_be_bytes(),
            &self.kid().to_be_bytes(),
            &[self.reason],
            &self.created.as_millis().to_be_bytes(),
            &self.roster_hash,
            &self.commitment,
            &self.nonce,
        ])
    }

    /// Parses everything but the count.
    pub(crate) fn read(bytes: &BoundHeader) -> Result<Self, Unsupported> {
        Self::fields(&mut Reader::new(bytes)).ok_or(Unsupported)
    }

    fn fields(reader: &mut Reader<'_>) -> Option<Self> {
        let kind = (reader.u16()?, reader.u8()?, reader.u16()?, reader.u8()?);
        let call = Call { room: reader.array()?, call: reader.array()? };
        let (seat, join_id, announce_seq) = (Seat(reader.u16()?), reader.array()?, reader.u32()?);
        let (generation, kid, reason, created) =
            (reader.u32()?, reader.u64()?, reader.u8()?, WallTime::from_millis(reader.u64()?));
        let (roster_hash, commitment, nonce) = (reader.array()?, reader.array()?, reader.array()?);
        reader.end()?;
        let step = (kid & 7) as u8;
        let epoch = Epoch { generation, step };
        let header = Self { call, seat, join_id, announce_seq, epoch, reason, created, roster_hash, commitment, nonce };
        let supported = kind == (VERSION, TYPE, SUITE.id(), POLICY) && header.kid() == kid && seat <= Seat::MAX;
        supported.then_some(header)
    }
}

/// The two ends of a box.
pub(crate) struct Ends<'a> {
    pub(crate) sender: &'a JoinId,
    pub(crate) sender_announce: &'a [u8; 32],
    pub(crate) recipient: &'a JoinId,
    pub(crate) recipient_announce: &'a [u8; 32],
}

fn context<P: Primitives>(header: &BoundHeader, ends: &Ends<'_>) -> [u8; 32] {
    let Ends { sender, sender_announce, recipient, recipient_announce } = ends;
    P::hash(&label::KEY_BATCH, &[header, &sender.0, &recipient.0, *sender_announce, *recipient_announce])
}

/// The clear part of an entry: the recipient, as the sender knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) seat: Seat,
    pub(crate) announce_seq: u32,
}

impl Recipient {
    /// Parses the clear part of an entry.
    pub(crate) fn read(entry: &EntryBytes) -> Self {
        let (clear, _) = array::split::<CLEAR_BYTES, BOX_BYTES, ENTRY_BYTES>(entry);
        let (seat, announce_seq) = array::split::<2, 4, CLEAR_BYTES>(clear);
        Self { seat: Seat(u16::from_be_bytes(*seat)), announce_seq: u32::from_be_bytes(*announce_seq) }
    }
}

/// Boxes a key for one recipient; `None` if the cipher fails.
pub(crate) fn write_entry<P: Primitives>(
    header: &BoundHeader,
    nonce: &[u8; 24],
    recipient: Recipient,
    ends: &Ends<'_>,
    shared: &impl BoxKey,
    key: &SessionKey,
) -> Option<EntryBytes> {
    let mut entry = [0; ENTRY_BYTES];
    let (clear, sealed) = array::split_mut::<CLEAR_BYTES, BOX_BYTES, ENTRY_BYTES>(&mut entry);
    let (tag, plain) = array::split_mut::<16, PLAIN_BYTES, BOX_BYTES>(sealed);
    *clear = array::concat(&[&recipient.seat.0.to_be_bytes(), &recipient.announce_seq.to_be_bytes()]);
    let (secret, bound) = array::split_mut::<32, 32, PLAIN_BYTES>(plain);
    secret.copy_from_slice(key.secret());
    *bound = context::<P>(header, ends);
    // Encrypted in place: no copy of the key remains here.
    *tag = shared.seal(nonce, plain)?;
    Some(entry)
}

/// A batch as it travels: header, count, entries. There are at most [`MAX_ENTRIES`].
pub(crate) fn write(header: &BoundHeader, entries: &[EntryBytes]) -> Vec<u8> {
    let count = entries.len() as u16;
    [header.as_slice(), &count.to_be_bytes(), entries.as_flattened()].concat()
}

/// Why an entry yields no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The box was not made by this sender for this recipient.
    Unauthentic,
    /// The box was made by this sender for this recipient, in another context.
    WrongContext,
    /// The key is not the one that the header commits to: the sender itself equivocates.
    WrongCommitment,
}

/// Opens the box of an entry and checks its context and commitment.
pub(crate) fn open_entry<P: Primitives>(
    header: &Header,
    bound: &BoundHeader,
    entry: &EntryBytes,
    ends: &Ends<'_>,
    shared: &impl BoxKey,
) -> Result<SessionKey, OpenError> {
    let (_, sealed) = array::split::<CLEAR_BYTES, BOX_BYTES, ENTRY_BYTES>(entry);
    let (tag, sealed) = array::split::<16, PLAIN_BYTES, BOX_BYTES>(sealed);
    let mut plain = Zeroizing::new(*sealed);
    shared.open(&header.nonce, &mut *plain, tag).ok_or(OpenError::Unauthentic)?;
    let (secret, context_in_box) = array::split::<32, 32, PLAIN_BYTES>(&plain);
    if !bool::from(context_in_box.ct_eq(&context::<P>(bound, ends))) {
        return Err(OpenError::WrongContext);
    }
    let key = SessionKey::new(SecretBytes::copy_of(secret), header.epoch, *ends.sender, header.call);
    if key.commits_to::<P>(&header.commitment) { Ok(key) } else { Err(OpenError::WrongCommitment) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto_box::{PublicKey, SalsaBox, SecretKey};
    use e2ee_core::Standard;
    use proptest::prelude::*;

    const CALL: Call = Call { room: [1; 16], call: [2; 16] };
    const ENDS: Ends<'static> = Ends {
        sender: &JoinId([3; 32]),
        sender_announce: &[4; 32],
        recipient: &JoinId([5; 32]),
        recipient_announce: &[6; 32],
    };

    fn shared() -> SalsaBox {
        SalsaBox::new(&PublicKey::from(&SecretKey::from([7; 32])), &SecretKey::from([8; 32]))
    }

    const RECIPIENT: Recipient = Recipient { seat: Seat(13), announce_seq: 5 };

    fn sealed() -> (Header, BoundHeader, EntryBytes) {
        let epoch = Epoch { generation: 9, step: 2 };
        let key = SessionKey::new(SecretBytes::copy_of(&[0x77; 32]), epoch, *ENDS.sender, CALL);
        let header = Header {
            call: CALL,
            seat: Seat(12),
            join_id: [3; 16],
            announce_seq: 4,
            epoch,
            reason: Reason::Join as u8,
            created: WallTime::from_millis(99),
            roster_hash: [10; 32],
            commitment: key.commitment::<Standard>(),
            nonce: [11; 24],
        };
        let bytes = header.write();
        let entry = write_entry::<Standard>(&bytes, &header.nonce, RECIPIENT, &ENDS, &shared(), &key).unwrap();
        (header, bytes, entry)
    }

    #[test]
    fn entry_opens_in_its_context() {
        let (header, bytes, entry) = sealed();
        assert_eq!(Header::read(&bytes), Ok(header.clone()));
        assert_eq!(Recipient::read(&entry), RECIPIENT);
        let key = open_entry::<Standard>(&header, &bytes, &entry, &ENDS, &shared()).unwrap();
        assert_eq!((key.secret(), key.epoch()), (&[0x77; 32], header.epoch));
    }

    #[test]
    fn keybatch_ctx_matrix() {
        let (header, bytes, entry) = sealed();
        let refused = |ends: Ends<'_>| open_entry::<Standard>(&header, &bytes, &entry, &ends, &shared()).unwrap_err();
        for ends in [
            Ends { sender: &JoinId([0; 32]), ..ENDS },
            Ends { sender_announce: &[0; 32], ..ENDS },
            Ends { recipient: &JoinId([0; 32]), ..ENDS },
            Ends { recipient_announce: &[0; 32], ..ENDS },
            // Reflection: the box key is the same in both directions, the context is not.
            Ends { sender: ENDS.recipient, recipient: ENDS.sender, ..ENDS },
        ] {
            assert_eq!(refused(ends), OpenError::WrongContext);
        }
        // Every bit of the header is bound, except the count that the server rewrites.
        for bit in 0..BOUND_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = Header::read(&changed)
                .map(|header| open_entry::<Standard>(&header, &changed, &entry, &ENDS, &shared()));
            assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
        }
        let recounted = array::concat(&[&bytes, &188_u16.to_be_bytes()]);
        assert!(open_entry::<Standard>(&header, bound(&recounted), &entry, &ENDS, &shared()).is_ok());
    }

    #[test]
    fn wrong_commitment_is_distinct_error() {
        let (mut header, _, _) = sealed();
        header.commitment = [0; 32];
        let bytes = header.write();
        let key = SessionKey::new(SecretBytes::copy_of(&[0x77; 32]), header.epoch, *ENDS.sender, CALL);
        let entry = write_entry::<Standard>(&bytes, &header.nonce, RECIPIENT, &ENDS, &shared(), &key).unwrap();
        let opened = open_entry::<Standard>(&header, &bytes, &entry, &ENDS, &shared());
        assert_eq!(opened.unwrap_err(), OpenError::WrongCommitment);
    }

    #[test]
    fn other_suite_policy_or_kid_is_refused() {
        let (_, bytes, _) = sealed();
        for position in [1, 2, 4, 5, 70] {
            let mut changed = bytes;
            changed[position] ^= 0x40;
            assert_eq!(Header::read(&changed), Err(Unsupported), "byte {position}");
        }
    }

    proptest! {
        #[test]
        fn parsers_are_total(
            header in proptest::collection::vec(any::<u8>(), HEADER_BYTES),
            entry in proptest::collection::vec(any::<u8>(), ENTRY_BYTES),
        ) {
            let _ = Header::read(bound(&header.try_into().unwrap()));
            let _ = Recipient::read(&entry.try_into().unwrap());
        }
    }
}
