//! Key batches: a sender's key, boxed to each recipient and bound to everything around it.
//!
//! ```text
//! header 171: ver2 type1 suite2 policy1 room16 call16 seat2 join_id16 announce_seq4 gen4 kid8 reason1 created8
//!             roster_hash32 commit32 nonce24 count2
//! entry 86:   recipient_seat2 recipient_announce_seq4 | tag16 || box64 of K32 || ctx32
//! ctx32     = SHA-256("e2ee-frames/1 key" || header without count || join_id(sender) || join_id(recipient)
//!                     || SHA-256(sender's announce) || SHA-256(recipient's announce))
//! ```
//! A nacl.box alone knows no direction, no room and no time: the server could replay, reflect or re-address it. The
//! context inside makes each of these fail. One random nonce serves a batch, because every recipient has another key.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::{
    identity::Call,
    schedule::{Epoch, POLICY, SUITE, SessionKey},
};
use crate::{
    ids::{Seat, StreamId},
    label,
    sframe::kid::Kid,
};
use alloc::vec::Vec;
use e2ee_core::{BoxKey, Primitives, Reader, SecretBytes};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 171;
/// Bytes of a recipient's entry.
pub(crate) const ENTRY_BYTES: usize = 86;
/// Most entries of one batch: what fits a message of 16,384 bytes.
pub(crate) const MAX_ENTRIES: usize = 188;
/// Bytes of the header that the context binds: all but the count, which the server changes.
const BOUND_BYTES: usize = HEADER_BYTES - 2;

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

/// What a batch says in clear, and what its boxes are bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) call: Call,
    pub(crate) seat: Seat,
    /// First half of the sender's join id.
    pub(crate) join_id: [u8; 16],
    pub(crate) announce_seq: u32,
    pub(crate) epoch: Epoch,
    pub(crate) reason: u8,
    pub(crate) created: u64,
    pub(crate) roster_hash: [u8; 32],
    pub(crate) commitment: [u8; 32],
    pub(crate) nonce: [u8; 24],
}

/// A header does not describe a key that this version takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Another version, suite or policy, or fields that contradict each other.
    Unsupported,
    /// Not the length of a header.
    Truncated,
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

    pub(crate) fn write(&self, count: u16) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.push(TYPE);
        bytes.extend_from_slice(&SUITE.id().to_be_bytes());
        bytes.push(POLICY);
        bytes.extend_from_slice(&self.call.room);
        bytes.extend_from_slice(&self.call.call);
        bytes.extend_from_slice(&self.seat.0.to_be_bytes());
        bytes.extend_from_slice(&self.join_id);
        bytes.extend_from_slice(&self.announce_seq.to_be_bytes());
        bytes.extend_from_slice(&self.epoch.generation.to_be_bytes());
        bytes.extend_from_slice(&self.kid().to_be_bytes());
        bytes.push(self.reason);
        bytes.extend_from_slice(&self.created.to_be_bytes());
        bytes.extend_from_slice(&self.roster_hash);
        bytes.extend_from_slice(&self.commitment);
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(bytes);
        Self::fields(&mut reader).ok_or(HeaderError::Truncated)?
    }

    fn fields(reader: &mut Reader<'_>) -> Option<Result<Self, HeaderError>> {
        let kind = (reader.u16()?, reader.u8()?, reader.u16()?, reader.u8()?);
        let call = Call { room: reader.array()?, call: reader.array()? };
        let (seat, join_id, announce_seq) = (Seat(reader.u16()?), reader.array()?, reader.u32()?);
        let (generation, kid, reason, created) = (reader.u32()?, reader.u64()?, reader.u8()?, reader.u64()?);
        let (roster_hash, commitment, nonce) = (reader.array()?, reader.array()?, reader.array()?);
        let _count = reader.u16()?;
        reader.end()?;
        let step = (kid & 7) as u8;
        let epoch = Epoch { generation, step };
        let header = Self { call, seat, join_id, announce_seq, epoch, reason, created, roster_hash, commitment, nonce };
        let supported = kind == (VERSION, TYPE, SUITE.id(), POLICY) && header.kid() == kid && seat <= Seat::MAX;
        Some(if supported { Ok(header) } else { Err(HeaderError::Unsupported) })
    }
}

/// The two ends of a box.
pub(crate) struct Ends<'a> {
    pub(crate) sender: &'a [u8; 32],
    pub(crate) sender_announce: &'a [u8; 32],
    pub(crate) recipient: &'a [u8; 32],
    pub(crate) recipient_announce: &'a [u8; 32],
}

fn context<P: Primitives>(header: &[u8], ends: &Ends<'_>) -> [u8; 32] {
    let header = header.get(..BOUND_BYTES).unwrap_or_default();
    let Ends { sender, sender_announce, recipient, recipient_announce } = ends;
    P::hash(&label::KEY_BATCH, &[header, *sender, *recipient, *sender_announce, *recipient_announce])
}

/// Boxes a key for one recipient. `header` is the written header.
pub(crate) fn write_entry<P: Primitives>(
    header: &[u8],
    nonce: &[u8; 24],
    seat: Seat,
    announce_seq: u32,
    ends: &Ends<'_>,
    shared: &impl BoxKey,
    key: &SessionKey,
) -> Option<[u8; ENTRY_BYTES]> {
    let mut entry = [0; ENTRY_BYTES];
    let (clear, sealed) = entry.split_first_chunk_mut::<6>()?;
    let (tag, plain) = sealed.split_first_chunk_mut::<16>()?;
    let (clear_seat, clear_seq) = clear.split_at_mut_checked(2)?;
    clear_seat.copy_from_slice(&seat.0.to_be_bytes());
    clear_seq.copy_from_slice(&announce_seq.to_be_bytes());
    let (secret, bound) = plain.split_at_mut_checked(32)?;
    secret.copy_from_slice(key.secret());
    bound.copy_from_slice(&context::<P>(header, ends));
    // In place: the key is gone from here when it is sealed.
    *tag = shared.seal(nonce, plain)?;
    Some(entry)
}

/// The clear part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) seat: Seat,
    pub(crate) announce_seq: u32,
}

/// Reads whom an entry is for.
pub(crate) fn recipient(entry: &[u8]) -> Option<Recipient> {
    let mut reader = Reader::new(entry);
    Some(Recipient { seat: Seat(reader.u16()?), announce_seq: reader.u32()? })
}

/// Why a box yields no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// Not boxed by this sender for this recipient.
    Unauthentic,
    /// Boxed by this sender for this recipient, in another context.
    WrongContext,
    /// The key is not the one that the header commits to: the sender itself equivocates.
    WrongCommitment,
}

/// Opens the box of an entry and checks its context and commitment.
pub(crate) fn open_entry<P: Primitives>(
    header: &Header,
    header_bytes: &[u8],
    entry: &[u8],
    ends: &Ends<'_>,
    shared: &impl BoxKey,
) -> Result<SessionKey, OpenError> {
    let sealed = entry.get(6..ENTRY_BYTES).ok_or(OpenError::Unauthentic)?;
    let (tag, sealed) = sealed.split_first_chunk::<16>().ok_or(OpenError::Unauthentic)?;
    let mut plain = Zeroizing::new(<[u8; 64]>::try_from(sealed).map_err(|_| OpenError::Unauthentic)?);
    shared.open(&header.nonce, &mut *plain, tag).ok_or(OpenError::Unauthentic)?;
    let (secret, bound) = plain.split_first_chunk::<32>().ok_or(OpenError::Unauthentic)?;
    if !bool::from(bound.ct_eq(&context::<P>(header_bytes, ends))) {
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
    const ENDS: Ends<'static> =
        Ends { sender: &[3; 32], sender_announce: &[4; 32], recipient: &[5; 32], recipient_announce: &[6; 32] };

    fn shared() -> SalsaBox {
        SalsaBox::new(&PublicKey::from(&SecretKey::from([7; 32])), &SecretKey::from([8; 32]))
    }

    fn sealed() -> (Header, Vec<u8>, [u8; ENTRY_BYTES]) {
        let epoch = Epoch { generation: 9, step: 2 };
        let key = SessionKey::new(SecretBytes::copy_of(&[0x77; 32]), epoch, *ENDS.sender, CALL);
        let header = Header {
            call: CALL,
            seat: Seat(12),
            join_id: [3; 16],
            announce_seq: 4,
            epoch,
            reason: Reason::Join as u8,
            created: 99,
            roster_hash: [10; 32],
            commitment: key.commitment::<Standard>(),
            nonce: [11; 24],
        };
        let bytes = header.write(1);
        let entry = write_entry::<Standard>(&bytes, &header.nonce, Seat(13), 5, &ENDS, &shared(), &key).unwrap();
        (header, bytes, entry)
    }

    #[test]
    fn a_box_opens_where_it_belongs() {
        let (header, bytes, entry) = sealed();
        assert_eq!((bytes.len(), entry.len()), (HEADER_BYTES, ENTRY_BYTES));
        assert_eq!(Header::read(&bytes), Ok(header.clone()));
        assert_eq!(recipient(&entry), Some(Recipient { seat: Seat(13), announce_seq: 5 }));
        let key = open_entry::<Standard>(&header, &bytes, &entry, &ENDS, &shared()).unwrap();
        assert_eq!((key.secret(), key.epoch()), (&[0x77; 32], header.epoch));
    }

    #[test]
    fn keybatch_ctx_matrix() {
        let (header, bytes, entry) = sealed();
        let refused = |ends: Ends<'_>| open_entry::<Standard>(&header, &bytes, &entry, &ends, &shared()).unwrap_err();
        for ends in [
            Ends { sender: &[0; 32], ..ENDS },
            Ends { sender_announce: &[0; 32], ..ENDS },
            Ends { recipient: &[0; 32], ..ENDS },
            Ends { recipient_announce: &[0; 32], ..ENDS },
            // Reflection: the box key is the same in both directions, the context is not.
            Ends { sender: ENDS.recipient, recipient: ENDS.sender, ..ENDS },
        ] {
            assert_eq!(refused(ends), OpenError::WrongContext);
        }
        // Every bit of the header is bound, except the count that the server rewrites.
        for bit in 0..BOUND_BYTES * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = Header::read(&changed)
                .map(|header| open_entry::<Standard>(&header, &changed, &entry, &ENDS, &shared()));
            assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
        }
        let mut recounted = bytes.clone();
        recounted[HEADER_BYTES - 1] = 188;
        assert!(open_entry::<Standard>(&header, &recounted, &entry, &ENDS, &shared()).is_ok());
    }

    #[test]
    fn a_key_that_the_header_does_not_commit_to_is_told_apart() {
        let (mut header, _, _) = sealed();
        header.commitment = [0; 32];
        let bytes = header.write(1);
        let key = SessionKey::new(SecretBytes::copy_of(&[0x77; 32]), header.epoch, *ENDS.sender, CALL);
        let entry = write_entry::<Standard>(&bytes, &header.nonce, Seat(13), 5, &ENDS, &shared(), &key).unwrap();
        let opened = open_entry::<Standard>(&header, &bytes, &entry, &ENDS, &shared());
        assert_eq!(opened.unwrap_err(), OpenError::WrongCommitment);
    }

    #[test]
    fn other_suites_policies_and_kids_are_refused() {
        let (_, bytes, _) = sealed();
        for position in [1, 2, 4, 5, 70] {
            let mut changed = bytes.clone();
            changed[position] ^= 0x40;
            assert_eq!(Header::read(&changed), Err(HeaderError::Unsupported), "byte {position}");
        }
    }

    proptest! {
        #[test]
        fn parsers_are_total(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::read(&bytes);
            let _ = recipient(&bytes);
        }
    }
}
