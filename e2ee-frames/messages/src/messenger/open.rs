//! Opening: who has sealed an outer, whether they are to be heard, and what their session makes of it.

use super::Messenger;
use crate::{
    blob::{self, MessageId},
    outer,
    peer::PeerOpenError,
    pqxdh::Own,
    slip::CHECKPOINT_BYTES,
    state::Row,
    time::Time,
};
use alloc::{string::String, vec::Vec};
use e2ee_core::{Primitives, Standard};
use e2ee_identity::{AccountId, DeviceCert, DevicePublic};
use zeroize::Zeroizing;

/// A message that has come.
pub struct Received {
    /// The account that wrote it.
    pub account: AccountId,
    /// The device that wrote it.
    pub device: DevicePublic,
    /// The message's id.
    pub id: MessageId,
    /// The content. Empty: nothing to show.
    pub body: Zeroizing<Vec<u8>>,
    /// What the sender last saw of the directory, in short.
    pub checkpoint: [u8; CHECKPOINT_BYTES],
    /// The session replaces one that the sender has lost: a quiet line to the person. [`Messenger::resends_due`] names it.
    pub replaces_session: bool,
}

/// Why an outer does not yield a message. Nothing has changed, except at [`OpenError::Desync`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// For another device, altered, or not in the form. To be skipped.
    #[error("not a message for this device")]
    Unopenable,
    /// From an account that is no contact. If the person wants to hear from it, the caller adds the contact by the
    /// directory's proof and opens the outer again.
    #[error("a message from a stranger")]
    Stranger {
        /// The account that the sender says it is.
        account: AccountId,
        /// The name that the sender says it has.
        name: String,
    },
    /// The sender knows a newer list of its account. It is to be fetched first.
    #[error("the sender has a newer device list")]
    NewerList {
        /// The sender's account.
        account: AccountId,
        /// Number of that list.
        seq: u64,
    },
    /// The device is not on its account's list: it was removed, or never was.
    #[error("the sending device is not on the list of its account")]
    NotListed {
        /// The account that the sender says it is.
        account: AccountId,
    },
    /// The identity has changed, and the person has not agreed. The outer waits.
    #[error("the identity of the sender has changed: the person must agree first")]
    IdentityChanged {
        /// The sender's account.
        account: AccountId,
    },
    /// It came before.
    #[error("the message came before")]
    Duplicate,
    /// The blob is not the one that the sender sealed. The server may still have that one.
    #[error("the content is not what the sender sealed")]
    OtherBlob,
    /// No session opens it: one of the two has lost its state. A new session is due ([`Messenger::resets_due`]).
    #[error("no session with the device opens the message")]
    Desync {
        /// The sender's account.
        account: AccountId,
        /// The sender's device.
        device: DevicePublic,
    },
    /// The device has started too many sessions today. The outer waits.
    #[error("the device has started too many sessions today")]
    TooManySessions {
        /// The sender's device.
        device: DevicePublic,
    },
}

impl Messenger {
    /// Opens what the server delivered to this device.
    ///
    /// # Errors
    /// If it yields no message, with what to do about it.
    pub fn open(&mut self, outer: &[u8], blob: &[u8], now: Time) -> Result<Received, OpenError> {
        let opened = outer::open(outer, &self.cert, self.prekeys.sealing()).ok_or(OpenError::Unopenable)?;
        let cert = self.sender(&opened)?.clone();
        let account = cert.account;
        let peer = self.peers.entry(cert.device).or_default();
        if peer.has_seen(outer) {
            return Err(OpenError::Duplicate);
        }
        let own = Own { secret: &self.agreement, cert: &self.cert, origin: self.name.origin() };
        let (payload, change) = match peer.open(own, &cert, opened.slip(), &self.prekeys, now) {
            Ok(opened) => opened,
            Err(PeerOpenError::Malformed) => return Err(OpenError::Unopenable),
            Err(PeerOpenError::Consumed) => return Err(OpenError::Duplicate),
            Err(PeerOpenError::TooManySessions) => return Err(OpenError::TooManySessions { device: cert.device }),
            Err(PeerOpenError::Desync) => {
                peer.lose(outer, opened.slip(), now);
                self.changed.insert(Row::Peer(cert.device));
                return Err(OpenError::Desync { account, device: cert.device });
            }
        };
        if Standard::digest(blob) != payload.hash {
            return Err(OpenError::OtherBlob);
        }
        let content = blob::open(blob, &payload.key).ok_or(OpenError::Unopenable)?;
        let is_new = !peer.has_message(&content.id);
        let committed = peer.commit(change, (outer, &payload, content.id), (&cert, &mut self.prekeys), now);
        self.changed.insert(Row::Peer(cert.device));
        if committed.prekeys_used {
            self.changed.insert(Row::Prekeys);
        }
        // A message that was sent again after a reset, and had come; the reset itself still counts.
        if !is_new && !committed.replaces {
            return Err(OpenError::Duplicate);
        }
        let body = if is_new { content.body } else { Zeroizing::default() };
        Ok(Received {
            account,
            device: cert.device,
            id: content.id,
            body,
            checkpoint: payload.checkpoint,
            replaces_session: committed.replaces,
        })
    }

    /// The certificate of the device that has sealed an outer, if it is one to be heard.
    fn sender(&self, opened: &outer::Opened) -> Result<&DeviceCert, OpenError> {
        let sender = &opened.sender;
        let account = sender.account;
        let Some(contact) = self.contacts.get(&account) else {
            return Err(OpenError::Stranger { account, name: sender.name.clone() });
        };
        if contact.held {
            return Err(OpenError::IdentityChanged { account });
        }
        if sender.list_seq > contact.list.seq {
            return Err(OpenError::NewerList { account, seq: sender.list_seq });
        }
        let cert = contact.by_hash(&sender.cert).ok_or(OpenError::NotListed { account })?;
        let is_sender = cert.agreement == opened.agreement && contact.name.name() == sender.name;
        if !is_sender || cert.device == self.cert.device {
            return Err(OpenError::Unopenable);
        }
        Ok(cert)
    }
}
