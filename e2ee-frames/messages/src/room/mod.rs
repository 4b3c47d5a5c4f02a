//! Messages to a room that lasts: sealed once, by a chain that the sender has given to each device of the members.
//!
//! ```text
//! sender key  ver1 room16 list_seq8 list_hash32 chain16 n4 key32 verify32           the body of a message to each device
//! message     ver1 room16 list_seq8 list_hash32 device32 chain16 n4 salt16 ct tag16 sig64
//!             AAD "e2ee-messages/1 room message" || all before ct
//!             sig by the chain's key over "e2ee-messages/1 room message" || all before ct || SHA-256(ct || tag)
//! message key = HMAC-SHA-256(key, 1);  next key = HMAC-SHA-256(key, 2);  cipher key, nonce = HKDF(salt16, message key,
//!             "e2ee-messages/1 room key")
//! ```
//! * The members are those of a [list](crate::room_list) that the admin signs; number and hash of the list that a sender
//!   knows stand in each message. Who meets a higher number stops sending until that list was fetched.
//! * A new chain is due when a reader has left, after 500 messages, after 7 days, and at every start of the program:
//!   sending chains are not stored at all. Newcomers receive the chain as it is, and read nothing from before.
//! * Messages are signed, for a recipient holds the chain's key, too, and could write in the sender's name. So, unlike
//!   messages between two, they can be shown to others as the sender's.

mod chain;
#[cfg(test)]
mod tests;

use crate::{
    cipher::{self, TAG_BYTES},
    label, ratchet,
    room_list::{RoomId, RoomList, RoomListRefusal},
    state::{Writer, read_list},
    time::{DAY, Time},
};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use chain::{ChainId, Receiving, Sending, read_sender_key, step};
use core::time::Duration;
use e2ee_core::{Primitives, Random, Reader, SecretBytes, SigningKey, Standard};
use e2ee_identity::{AccountId, DeviceCert, DevicePublic};
use zeroize::Zeroizing;

/// Messages of a chain.
pub const MAX_CHAIN_MESSAGES: u32 = 500;
/// For how long a chain is used.
const CHAIN_FOR: Duration = Duration::from_secs(7 * DAY.as_secs());
/// Maximum length of a message's body, bytes.
pub const MAX_ROOM_BODY_BYTES: usize = 12_288;
/// Bytes of a sender key.
pub const SENDER_KEY_BYTES: usize = 141;
/// Bytes before the ciphertext.
const HEADER_BYTES: usize = 125;
/// Bytes by which a sealed body is longer.
pub const ROOM_OVERHEAD: usize = HEADER_BYTES + TAG_BYTES + 64;
/// Number of a device's chains that open.
const MAX_CHAINS: usize = 4;
/// Number of former lists that senders may still know.
const MAX_FORMER: usize = 8;
/// Version of both formats.
const VERSION: u8 = 1;

/// A room, as one device sees it.
pub struct Room {
    device: DevicePublic,
    list: RoomList,
    /// Number and hash of the lists before, oldest first.
    former: Vec<(u64, [u8; 32])>,
    /// The highest number of a list that a member has named.
    heard: u64,
    sending: Option<Sending>,
    /// Each device's chains, oldest first.
    receiving: BTreeMap<DevicePublic, Vec<(ChainId, Receiving)>>,
}

/// Why nothing was sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomSealError {
    /// A member knows a newer list. It is to be fetched first.
    #[error("there is a newer list of the room's members")]
    ListOutdated {
        /// Number of that list.
        seq: u64,
    },
    /// A device is none of a member, as the list has it.
    #[error("a device is not of a member of the room")]
    NotMember(DevicePublic),
    /// [`Room::start_chain`] is due.
    #[error("a new chain is due")]
    ChainDue,
    /// These devices must be given [`Room::sender_key`] first.
    #[error("some devices lack the key of the chain")]
    KeyMissing(Vec<DevicePublic>),
    /// The body does not fit.
    #[error("a message to a room has at most {MAX_ROOM_BODY_BYTES} bytes")]
    TooLong,
    /// The cipher failed.
    #[error(transparent)]
    Cipher(#[from] cipher::CipherError),
}

/// Why bytes yield no message, or no chain. Nothing has changed, except at `ListOutdated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomOpenError {
    /// Not in the form, or of another room.
    #[error("not a message to this room")]
    Malformed,
    /// The sender knows a newer list. It is to be fetched, and the message opened again.
    #[error("the sender knows a newer list of the room's members")]
    ListOutdated {
        /// Number of that list.
        seq: u64,
    },
    /// The sender knows a list that never was, or one that is too old.
    #[error("the sender knows another list of the room's members")]
    OtherList,
    /// Not, or no longer, a member.
    #[error("the sender is not a member of the room")]
    NotMember,
    /// The chain is not known: its key has not come yet.
    #[error("the key of the sender's chain is missing")]
    UnknownChain,
    /// It came before.
    #[error("the message came before")]
    Duplicate,
    /// Altered, or not the sender's.
    #[error("the message is not authentic")]
    NotAuthentic,
}

/// A message to a room.
pub struct RoomMessage {
    /// The account that wrote it.
    pub account: AccountId,
    /// The device that wrote it.
    pub device: DevicePublic,
    /// The content.
    pub body: Zeroizing<Vec<u8>>,
}

/// The fields before the ciphertext.
struct Header {
    room: RoomId,
    list: (u64, [u8; 32]),
    device: DevicePublic,
    chain: ChainId,
    n: u32,
    salt: [u8; 16],
}

impl Header {
    fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        e2ee_core::array::concat(&[
            &[VERSION],
            &self.room.0,
            &self.list.0.to_be_bytes(),
            &self.list.1,
            &self.device.0,
            &self.chain.0,
            &self.n.to_be_bytes(),
            &self.salt,
        ])
    }

    fn read(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        Some(Self {
            room: RoomId(reader.array()?),
            list: (reader.u64()?, reader.array()?),
            device: DevicePublic(reader.array()?),
            chain: ChainId(reader.array()?),
            n: reader.u32()?,
            salt: reader.array()?,
        })
    }
}

fn aad(header: &[u8; HEADER_BYTES]) -> Vec<u8> {
    [label::ROOM_MESSAGE.as_bytes(), header].concat()
}

impl Room {
    /// A room with a list that its admin has signed: the admin that the person was invited by.
    #[must_use]
    pub fn new(device: DevicePublic, list: RoomList) -> Self {
        let heard = list.seq;
        Self { device, list, former: Vec::new(), heard, sending: None, receiving: BTreeMap::new() }
    }

    /// The newest list.
    #[must_use]
    pub fn list(&self) -> &RoomList {
        &self.list
    }

    /// Takes a newer list. Chains of who has left are dropped; if anyone has, the own one, too.
    ///
    /// # Errors
    /// If it does not follow the known one.
    pub fn update(&mut self, list: RoomList) -> Result<(), RoomListRefusal> {
        if !self.list.check(&list)? {
            return Ok(());
        }
        if self.list.members.iter().any(|member| list.member(&member.account) != Some(member)) {
            self.sending = None;
        }
        self.former.push((self.list.seq, self.list.hash));
        self.former.drain(..self.former.len().saturating_sub(MAX_FORMER));
        self.heard = self.heard.max(list.seq);
        self.list = list;
        for chains in self.receiving.values_mut() {
            chains.retain(|(_, chain)| self.list.member(&chain.account).is_some());
        }
        self.receiving.retain(|_, chains| !chains.is_empty());
        Ok(())
    }

    /// Draws the chain in which this device writes from now on. Every other device of the members is then given
    /// [`Self::sender_key`].
    pub fn start_chain(&mut self, now: Time, random: &mut (impl Random + ?Sized)) {
        let (mut id, mut key, mut signing) = ([0; 16], SecretBytes::zeros(), SecretBytes::zeros());
        random.fill(&mut id);
        random.fill(&mut *key);
        random.fill(&mut *signing);
        self.sending = Some(Sending { id: ChainId(id), key, next: 0, signing, since: now, readers: BTreeSet::new() });
    }

    /// The body of the message by which a device is given the chain, as it is now; `None` before there is one.
    pub fn sender_key(&mut self, reader: DevicePublic) -> Option<Zeroizing<[u8; SENDER_KEY_BYTES]>> {
        let sending = self.sending.as_mut()?;
        let verify = <Standard as Primitives>::Signing::from_seed(&sending.signing).public();
        sending.readers.insert(reader);
        Some(Zeroizing::new(e2ee_core::array::concat(&[
            &[VERSION],
            &self.list.room.0,
            &self.list.seq.to_be_bytes(),
            &self.list.hash,
            &sending.id.0,
            &sending.next.to_be_bytes(),
            &*sending.key,
            &verify,
        ])))
    }

    /// Seals a message for the devices of all members, which the caller has from their newest device lists.
    ///
    /// # Errors
    /// If something must be done first: see [`RoomSealError`].
    pub fn seal(
        &mut self,
        body: &[u8],
        devices: &[DeviceCert],
        now: Time,
        random: &mut (impl Random + ?Sized),
    ) -> Result<Vec<u8>, RoomSealError> {
        if self.heard > self.list.seq {
            return Err(RoomSealError::ListOutdated { seq: self.heard });
        }
        if body.len() > MAX_ROOM_BODY_BYTES {
            return Err(RoomSealError::TooLong);
        }
        let is_member =
            |cert: &&DeviceCert| self.list.member(&cert.account).is_some_and(|member| member.identity == cert.identity);
        if let Some(stranger) = devices.iter().find(|cert| !is_member(cert)) {
            return Err(RoomSealError::NotMember(stranger.device));
        }
        let sending = self.sending.as_mut().ok_or(RoomSealError::ChainDue)?;
        let has_left = |reader: &DevicePublic| devices.iter().all(|cert| cert.device != *reader);
        let is_spent = sending.next >= MAX_CHAIN_MESSAGES || now.since(sending.since) >= CHAIN_FOR;
        if is_spent || sending.readers.iter().any(has_left) {
            return Err(RoomSealError::ChainDue);
        }
        let lacks = |device: &DevicePublic| *device != self.device && !sending.readers.contains(device);
        let missing: Vec<_> = devices.iter().map(|cert| cert.device).filter(lacks).collect();
        if !missing.is_empty() {
            return Err(RoomSealError::KeyMissing(missing));
        }
        let mut salt = [0; 16];
        random.fill(&mut salt);
        let header = Header {
            room: self.list.room,
            list: (self.list.seq, self.list.hash),
            device: self.device,
            chain: sending.id,
            n: sending.next,
            salt,
        }
        .to_bytes();
        let (message_key, next) = step(&sending.key);
        (sending.key, sending.next) = (next, sending.next.saturating_add(1));
        let (key, nonce) = ratchet::salted(&message_key, &salt, &label::ROOM_KEY);
        let mut data = Zeroizing::new(body.to_vec());
        let tag = cipher::seal(&key, &nonce, &aad(&header), data.as_mut_slice())?;
        let sealed = [&data[..], &tag].concat();
        let signed = [&header[..], &Standard::digest(&sealed)].concat();
        let signature = <Standard as Primitives>::Signing::from_seed(&sending.signing);
        Ok([&header[..], &sealed, &signature.sign(&label::ROOM_MESSAGE, &signed)].concat())
    }

    /// Whether senders may name this list.
    fn check_list(&mut self, (seq, hash): (u64, [u8; 32])) -> Result<(), RoomOpenError> {
        if seq > self.list.seq {
            self.heard = self.heard.max(seq);
            return Err(RoomOpenError::ListOutdated { seq });
        }
        let known = (self.list.seq, self.list.hash) == (seq, hash) || self.former.contains(&(seq, hash));
        if known { Ok(()) } else { Err(RoomOpenError::OtherList) }
    }

    /// Takes a sender key that came as the body of a message from this device of this account.
    ///
    /// # Errors
    /// If it is none, of another room, or its sender is not a member or knows another list.
    pub fn take_sender_key(
        &mut self,
        account: AccountId,
        device: DevicePublic,
        body: &[u8],
    ) -> Result<(), RoomOpenError> {
        let (room, list, id, chain) = read_sender_key(account, body).ok_or(RoomOpenError::Malformed)?;
        if room != self.list.room {
            return Err(RoomOpenError::Malformed);
        }
        if self.list.member(&account).is_none() {
            return Err(RoomOpenError::NotMember);
        }
        self.check_list(list)?;
        let chains = self.receiving.entry(device).or_default();
        if chains.iter().any(|(known, _)| *known == id) {
            return Err(RoomOpenError::Duplicate);
        }
        chains.push((id, chain));
        chains.drain(..chains.len().saturating_sub(MAX_CHAINS));
        Ok(())
    }

    /// Opens a message.
    ///
    /// # Errors
    /// If it yields none: see [`RoomOpenError`].
    pub fn open(&mut self, message: &[u8]) -> Result<RoomMessage, RoomOpenError> {
        let max = MAX_ROOM_BODY_BYTES + ROOM_OVERHEAD;
        let parts = message.split_first_chunk::<HEADER_BYTES>().filter(|_| message.len() <= max);
        let (header_bytes, rest) = parts.ok_or(RoomOpenError::Malformed)?;
        let header = Header::read(header_bytes).filter(|header| header.room == self.list.room);
        let header = header.ok_or(RoomOpenError::Malformed)?;
        let (sealed, signature) = rest.split_last_chunk::<64>().ok_or(RoomOpenError::Malformed)?;
        let (contents, tag) = sealed.split_last_chunk().ok_or(RoomOpenError::Malformed)?;

        let chains = self.receiving.get(&header.device).map(Vec::as_slice).unwrap_or_default();
        let index = chains.iter().position(|(id, _)| *id == header.chain).ok_or(RoomOpenError::UnknownChain)?;
        let chain = chains.get(index).map(|(_, chain)| chain).ok_or(RoomOpenError::UnknownChain)?;
        // Before anything that the header says is believed.
        let signed = [&header_bytes[..], &Standard::digest(sealed)].concat();
        if !Standard::verify(&chain.verify, &label::ROOM_MESSAGE, &signed, signature) {
            return Err(RoomOpenError::NotAuthentic);
        }
        let account = chain.account;
        if self.list.member(&account).is_none() {
            return Err(RoomOpenError::NotMember);
        }
        self.check_list(header.list)?;

        let chain = self.receiving.get_mut(&header.device).and_then(|chains| chains.get_mut(index));
        let (_, chain) = chain.ok_or(RoomOpenError::UnknownChain)?;
        let open = |message_key: &SecretBytes<32>| {
            let (key, nonce) = ratchet::salted(message_key, &header.salt, &label::ROOM_KEY);
            let mut data = Zeroizing::new(contents.to_vec());
            let opened = cipher::open(&key, &nonce, &aad(header_bytes), data.as_mut_slice(), tag);
            opened.map(|()| data).ok_or(RoomOpenError::NotAuthentic)
        };
        let body = chain.take(header.n, open)?;
        Ok(RoomMessage { account, device: header.device, body })
    }

    /// What is to be stored beside the list: the chains of others. The own one is not.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.u64(self.heard);
        writer.list(&self.former, |writer, (seq, hash)| {
            writer.u64(*seq);
            writer.bytes(hash);
        });
        let chains: Vec<_> = self
            .receiving
            .iter()
            .flat_map(|(device, chains)| chains.iter().map(move |chain| (device, chain)))
            .collect();
        writer.list(&chains, |writer, (device, (id, chain))| {
            writer.bytes(&device.0);
            writer.bytes(&id.0);
            writer.bytes(&chain.account.0);
            writer.bytes(&*chain.key);
            writer.u32(chain.next);
            writer.bytes(&chain.verify);
            writer.list(&chain.skipped, |writer, (n, key)| {
                writer.u32(*n);
                writer.bytes(&**key);
            });
        });
        writer.finish()
    }

    /// The room that was stored, with its newest list. `None` if the bytes are none.
    #[must_use]
    pub fn from_bytes(device: DevicePublic, list: RoomList, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let heard = reader.u64()?.max(list.seq);
        let former = read_list(&mut reader, MAX_FORMER, |reader| Some((reader.u64()?, reader.array()?)))?;
        let chains = read_list(&mut reader, usize::from(u16::MAX), |reader| {
            let (device, id) = (DevicePublic(reader.array()?), ChainId(reader.array()?));
            let chain = Receiving {
                account: AccountId(reader.array()?),
                key: SecretBytes::copy_of(reader.chunk()?),
                next: reader.u32().filter(|next| *next <= MAX_CHAIN_MESSAGES)?,
                verify: reader.array()?,
                skipped: read_list(reader, MAX_CHAIN_MESSAGES as usize, |reader| {
                    Some((reader.u32()?, SecretBytes::copy_of(reader.chunk()?)))
                })?,
            };
            Some((device, (id, chain)))
        })?;
        reader.end()?;
        let mut room = Self { heard, former, ..Self::new(device, list) };
        for (device, chain) in chains {
            room.receiving.entry(device).or_default().push(chain);
        }
        Some(room)
    }
}
