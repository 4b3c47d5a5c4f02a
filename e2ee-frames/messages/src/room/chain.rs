//! Chains: the own one, those of others, and the sender key by which a chain is handed on.

use super::{MAX_CHAIN_MESSAGES, RoomOpenError, VERSION};
use crate::{room_list::RoomId, time::Time};
use alloc::{collections::BTreeSet, vec::Vec};
use e2ee_core::{Primitives, Reader, SecretBytes, Standard};
use e2ee_identity::{AccountId, DevicePublic};
use zeroize::Zeroizing;

/// Tells the chains of a device apart. Drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChainId(pub(super) [u8; 16]);

/// The chain in which this device writes.
pub(super) struct Sending {
    pub(super) id: ChainId,
    pub(super) key: SecretBytes<32>,
    pub(super) next: u32,
    pub(super) signing: SecretBytes<32>,
    pub(super) since: Time,
    /// The devices that were given it.
    pub(super) readers: BTreeSet<DevicePublic>,
}

/// A chain that another device writes in.
pub(super) struct Receiving {
    pub(super) account: AccountId,
    pub(super) key: SecretBytes<32>,
    pub(super) next: u32,
    pub(super) verify: [u8; 32],
    /// Keys of messages that have not come.
    pub(super) skipped: Vec<(u32, SecretBytes<32>)>,
}

/// The key of this message, and that of the next step.
pub(super) fn step(key: &SecretBytes<32>) -> (SecretBytes<32>, SecretBytes<32>) {
    let derive = |purpose| SecretBytes::copy_of(&Zeroizing::new(Standard::mac(key, &[purpose])));
    (derive(1), derive(2))
}

impl Receiving {
    /// Opens message `n` with its key. Only then the chain moves on.
    pub(super) fn take(
        &mut self,
        n: u32,
        open: impl FnOnce(&SecretBytes<32>) -> Result<Zeroizing<Vec<u8>>, RoomOpenError>,
    ) -> Result<Zeroizing<Vec<u8>>, RoomOpenError> {
        if n >= MAX_CHAIN_MESSAGES {
            return Err(RoomOpenError::Malformed);
        }
        if n < self.next {
            let index = self.skipped.iter().position(|(skipped, _)| *skipped == n).ok_or(RoomOpenError::Duplicate)?;
            let (_, key) = self.skipped.get(index).ok_or(RoomOpenError::Duplicate)?;
            let body = open(key)?;
            self.skipped.remove(index);
            return Ok(body);
        }
        let mut skipped = Vec::new();
        let (mut message_key, mut next) = step(&self.key);
        for number in self.next..n {
            skipped.push((number, message_key));
            (message_key, next) = step(&next);
        }
        let body = open(&message_key)?;
        (self.key, self.next) = (next, n + 1);
        self.skipped.extend(skipped);
        Ok(body)
    }
}

pub(super) type SenderKey = (RoomId, (u64, [u8; 32]), ChainId, Receiving);

pub(super) fn read_sender_key(account: AccountId, body: &[u8]) -> Option<SenderKey> {
    let mut reader = Reader::new(body);
    (reader.u8()? == VERSION).then_some(())?;
    let (room, list, id) = (RoomId(reader.array()?), (reader.u64()?, reader.array()?), ChainId(reader.array()?));
    let next = reader.u32().filter(|next| *next <= MAX_CHAIN_MESSAGES)?;
    let (key, verify) = (SecretBytes::copy_of(reader.chunk()?), reader.array()?);
    reader.end()?;
    Some((room, list, id, Receiving { account, key, next, verify, skipped: Vec::new() }))
}
