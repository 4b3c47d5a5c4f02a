//! Who is in a room that lasts: a list that the room's admin signs, each on top of the one before.
//!
//! ```text
//! RoomList  ver1 room16 admin32 seq8 previous32 count2 { account16 identity32 } × ≤ 256 sig64
//!           sig by the admin's identity over "e2ee-messages/1 room list" || all before
//! ```
//! Accounts ascend, so a set of members has one encoding. `previous` is SHA-256 of the list before, zeros for the first
//! (`seq` 1). The server can add no reader: it cannot sign. It can hold a list back, which shows when someone who has it
//! writes ([`Room`](crate::Room)).

use crate::label;
use alloc::vec::Vec;
use e2ee_core::{Primitives, Reader, SigningKey, Standard};
use e2ee_identity::{AccountId, IdentityKey, IdentityPublic};

/// Maximum number of members.
pub const MAX_MEMBERS: usize = 256;
/// Version of the format.
const VERSION: u8 = 1;

/// A room that lasts. Drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub [u8; 16]);

/// A member: an account, as the person that the admin has added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The account.
    pub account: AccountId,
    /// Its identity. After a succession the admin signs a list with the new one.
    pub identity: IdentityPublic,
}

/// A list that its admin has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomList {
    /// The room.
    pub room: RoomId,
    /// The identity that signs its lists.
    pub admin: IdentityPublic,
    /// Number of the list, from 1.
    pub seq: u64,
    /// SHA-256 of the list before; zeros before the first.
    pub previous: [u8; 32],
    /// The members, ascending.
    pub members: Vec<Member>,
    /// SHA-256 of the list with its signature.
    pub hash: [u8; 32],
}

/// Why bytes are no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomListError {
    /// Another length, version or form.
    #[error("not the list of a room")]
    Malformed,
    /// The admin has not signed it.
    #[error("the admin has not signed the list of the room")]
    NotSigned,
}

/// Why a list was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomSignError {
    /// More than [`MAX_MEMBERS`].
    #[error("a room has at most {MAX_MEMBERS} members")]
    TooManyMembers,
    /// The same account twice.
    #[error("an account is on the list twice")]
    Twice,
    /// The list before is another admin's, or of number 2⁶⁴ − 1.
    #[error("no list follows that one")]
    NoSuccessor,
}

/// Why a list does not follow the known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomListRefusal {
    /// Of another room or admin.
    #[error("the list is of another room or admin")]
    Other,
    /// Older than the known one: the server replays it.
    #[error("the list of the room is older than one that was seen")]
    Older,
    /// Another list of the same number, or one that does not follow.
    #[error("there are two lists of the room with one number")]
    Forked,
}

impl RoomList {
    /// Signs the list that follows `previous`, or the first one of a room.
    ///
    /// # Errors
    /// If there are too many members, one is there twice, or the list before is another admin's.
    pub fn sign(
        admin: &IdentityKey,
        room: RoomId,
        previous: Option<&RoomList>,
        members: &[Member],
    ) -> Result<Vec<u8>, RoomSignError> {
        let public = admin.public();
        if previous.is_some_and(|list| list.admin != public || list.room != room) {
            return Err(RoomSignError::NoSuccessor);
        }
        let seq = previous.map_or(0, |list| list.seq).checked_add(1).ok_or(RoomSignError::NoSuccessor)?;
        let mut members = members.to_vec();
        members.sort_unstable();
        if !members.is_sorted_by(|a, b| a.account < b.account) {
            return Err(RoomSignError::Twice);
        }
        let count = u16::try_from(members.len()).ok().filter(|_| members.len() <= MAX_MEMBERS);
        let count = count.ok_or(RoomSignError::TooManyMembers)?;
        let previous = previous.map_or([0; 32], |list| list.hash);
        let mut bytes = [&[VERSION], &room.0[..], &public.0, &seq.to_be_bytes(), &previous].concat();
        bytes.extend_from_slice(&count.to_be_bytes());
        for member in members {
            bytes.extend_from_slice(&member.account.0);
            bytes.extend_from_slice(&member.identity.0);
        }
        let signature = <Standard as Primitives>::Signing::from_seed(admin.seed()).sign(&label::ROOM_LIST, &bytes);
        bytes.extend_from_slice(&signature);
        Ok(bytes)
    }

    /// Reads a list and verifies the signature of the admin that it names.
    ///
    /// # Errors
    /// If the bytes have another form, or the signature is not the admin's.
    pub fn parse(bytes: &[u8]) -> Result<Self, RoomListError> {
        let (signed, signature) = bytes.split_last_chunk::<64>().ok_or(RoomListError::Malformed)?;
        let list = Self::read(signed, Standard::digest(bytes)).ok_or(RoomListError::Malformed)?;
        let is_signed = Standard::verify(&list.admin.0, &label::ROOM_LIST, signed, signature);
        is_signed.then_some(list).ok_or(RoomListError::NotSigned)
    }

    fn read(signed: &[u8], hash: [u8; 32]) -> Option<Self> {
        let mut reader = Reader::new(signed);
        (reader.u8()? == VERSION).then_some(())?;
        let (room, admin) = (RoomId(reader.array()?), IdentityPublic(reader.array()?));
        let (seq, previous) = (reader.u64()?, reader.array()?);
        // The first list, and no other, follows none.
        (seq > 0 && (seq == 1) == (previous == [0; 32])).then_some(())?;
        let count = Some(usize::from(reader.u16()?)).filter(|count| *count <= MAX_MEMBERS)?;
        let member = |reader: &mut Reader<'_>| {
            Some(Member { account: AccountId(reader.array()?), identity: IdentityPublic(reader.array()?) })
        };
        let members: Vec<_> = (0..count).map(|_| member(&mut reader)).collect::<Option<_>>()?;
        reader.end()?;
        members.is_sorted_by(|a, b| a.account < b.account).then_some(())?;
        Some(Self { room, admin, seq, previous, members, hash })
    }

    /// The member with this account.
    #[must_use]
    pub fn member(&self, account: &AccountId) -> Option<&Member> {
        let index = self.members.binary_search_by(|member| member.account.cmp(account)).ok()?;
        self.members.get(index)
    }

    /// Judges another list by this one. Returns whether it is newer.
    ///
    /// # Errors
    /// If it is older, another of the same number, or of another room or admin.
    pub fn check(&self, list: &Self) -> Result<bool, RoomListRefusal> {
        if (list.room, list.admin) != (self.room, self.admin) {
            return Err(RoomListRefusal::Other);
        }
        if list.seq < self.seq {
            return Err(RoomListRefusal::Older);
        }
        let follows = match list.seq - self.seq {
            0 => list.hash == self.hash,
            1 => list.previous == self.hash,
            _ => true,
        };
        if follows { Ok(list.seq > self.seq) } else { Err(RoomListRefusal::Forked) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const ROOM: RoomId = RoomId([0x70; 16]);

    pub(crate) fn admin() -> IdentityKey {
        IdentityKey::from_seed(&[1; 32])
    }

    pub(crate) fn member(byte: u8) -> Member {
        Member { account: AccountId([byte; 16]), identity: IdentityPublic([byte; 32]) }
    }

    fn list(previous: Option<&RoomList>, members: &[u8]) -> RoomList {
        let members: Vec<_> = members.iter().copied().map(member).collect();
        RoomList::parse(&RoomList::sign(&admin(), ROOM, previous, &members).unwrap()).unwrap()
    }

    #[test]
    fn list_has_its_members_in_order() {
        let list = list(None, &[3, 1, 2]);
        assert_eq!(list.members, [1, 2, 3].map(member));
        assert!(list.member(&AccountId([2; 16])).is_some() && list.member(&AccountId([4; 16])).is_none());
        let twice = RoomList::sign(&admin(), ROOM, None, &[member(1), member(1)]);
        assert_eq!(twice, Err(RoomSignError::Twice));
        let account = |n: u16| AccountId(core::array::from_fn(|index| n.to_be_bytes()[index % 2]));
        let many: Vec<_> = (0..257).map(|n| Member { account: account(n), ..member(0) }).collect();
        assert_eq!(RoomList::sign(&admin(), ROOM, None, &many), Err(RoomSignError::TooManyMembers));
        assert!(RoomList::parse(&RoomList::sign(&admin(), ROOM, None, &many[1..]).unwrap()).is_ok());
    }

    #[test]
    fn replayed_and_forked_lists_are_refused() {
        let first = list(None, &[1]);
        let second = list(Some(&first), &[1, 2]);
        let third = list(Some(&second), &[2]);
        assert_eq!((first.check(&second), first.check(&third), first.check(&first)), (Ok(true), Ok(true), Ok(false)));
        assert_eq!(second.check(&first), Err(RoomListRefusal::Older));
        let fork = list(Some(&first), &[1, 3]);
        assert_eq!(second.check(&fork), Err(RoomListRefusal::Forked));
        assert_eq!(second.check(&list(Some(&fork), &[1])), Err(RoomListRefusal::Forked));
        let other = IdentityKey::from_seed(&[2; 32]);
        let foreign = RoomList::parse(&RoomList::sign(&other, ROOM, None, &[member(1)]).unwrap()).unwrap();
        assert_eq!(first.check(&foreign), Err(RoomListRefusal::Other));
        assert_eq!(RoomList::sign(&other, ROOM, Some(&first), &[]), Err(RoomSignError::NoSuccessor));
    }

    proptest! {
        #[test]
        fn flipped_bit_is_refused(bit: usize, cut: usize) {
            let mut bytes = RoomList::sign(&admin(), ROOM, None, &[member(1), member(2)]).unwrap();
            prop_assert!(RoomList::parse(&bytes[..cut % bytes.len()]).is_err());
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(RoomList::parse(&bytes).is_err());
        }
    }
}
