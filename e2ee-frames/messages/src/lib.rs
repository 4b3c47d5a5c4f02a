//! Messages between accounts that only their devices read: PQXDH, the Double Ratchet, sealed senders, rooms that last, files.
//!
//! ```text
//!  body ──► blob ─────────────────── sealed once an account, padded ─────────────────────────────────► server ──► each device
//!             │ key, hash
//!             ▼
//!           slip ── PQXDH, then Double Ratchet: one session for each pair of devices ──► outer ──────► server ──► one device
//!                                                                                         ▲
//!                              account, certificate, name, list number of the sender ─────┘  SEALED SENDER
//! ```
//!
//! | module | contents |
//! |---|---|
//! | [`Messenger`] | a device: it seals messages to accounts and opens what comes; everything else but rooms and files is inside |
//! | [`prekey`], [`prekeys`] | keys that devices leave at the server, their signatures, ages and ends |
//! | `pqxdh`, `ratchet`, `session`, `peer` | agreement; message keys; how sessions begin, cross, are lost and are replaced |
//! | [`slip`], [`outer`], [`blob`] | what devices send: formats and derivations |
//! | [`reset`], [`outbox`] | the pace at which lost sessions are replaced; what is then sent again |
//! | [`room_list`], [`room`] | members signed by an admin; sender keys |
//! | [`file`](mod@file) | files in chunks |
//! | [`state`] | rows that a device stores, and how they are sealed |
//!
//! Invariants:
//!
//! * Nothing changes before what has come is authentic as a whole, the content included. One device's faults, or the
//!   server's, cost no key of another message.
//! * A message is shown once, whatever is delivered twice, and no key and nonce seal two texts, even by a device whose
//!   storage is restored from a copy.
//! * Who stole a device's state reads no message from before, and none after both sides have written again. A thief who
//!   stays is ended by the removal of the device: who is not on the newest device list is neither written to nor heard.
//! * Nothing is sent to another identity before the person agrees, and nothing it sends is read.
//! * Bytes from the server never panic, have one encoding, and cost bounded work and memory; secrets have no `Debug` and are
//!   erased on drop. Every derivation and signature has its own [label](label::ALL).
//!
//! # Ada writes to Ben, and Ben answers
//!
//! ```
//! use e2ee_identity::{AccountId, AccountName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, IdentityKey};
//! use e2ee_messages::{Bundle, Contact, Fetched, Message, MessageId, Messenger, Stock, Time};
//!
//! let mut random = |bytes: &mut [u8]| getrandom::fill(bytes).expect("randomness of the system");
//! let now = Time(1_800_000_000_000);
//!
//! // What a directory of keys proves of an account: its list of devices, and their certificates.
//! let mut account = |id: u8, name: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let (account, name) = (AccountId([id; 16]), AccountName::new("https://call.example", name)?);
//!     let (identity, keys) = (IdentityKey::draw(&mut random), DeviceKeys::draw(&mut random));
//!     let cert = keys.certify(&account, &identity.public(), now.day(), DeviceKind::NATIVE, &[0; 32]);
//!     let certs = vec![DeviceCert::parse(&cert)?];
//!     let list = DeviceList::parse(&identity.sign_devices(&account, &name, None, &certs)?, &name)?;
//!     Ok((keys, Contact::new(&name, list, certs)?))
//! };
//! let ((ada_keys, ada), (ben_keys, ben)) = (account(1, "ada")?, account(2, "ben")?);
//!
//! // Both devices know both accounts, and leave prekeys at the server. Ben's are handed out as one bundle.
//! let mut on_ada = Messenger::new(ada_keys, ada.clone())?;
//! let mut on_ben = Messenger::new(ben_keys, ben.clone())?;
//! on_ada.update(ben.clone(), &[])?;
//! on_ben.update(ada.clone(), &[])?;
//! let mut shelf = on_ben.renew_prekeys(Stock::default(), now, &mut random).prekeys;
//! on_ada.renew_prekeys(Stock::default(), now, &mut random);
//! // A prekey's second byte is its kind.
//! shelf.sort_by_key(|prekey| prekey[1]);
//! shelf.dedup_by_key(|prekey| prekey[1]);
//! shelf.retain(|prekey| prekey[1] != 4);
//!
//! // Ada asks for the bundles that she needs, seals, stores, and only then sends.
//! let checkpoint = [0; 40];
//! let hello = Message { id: MessageId([1; 16]), body: b"Lunch?", checkpoint: &checkpoint, durable: true };
//! let needed = on_ada.bundles_needed(&ben.account(), now)?;
//! let bundle = Bundle::parse(&shelf.concat(), &needed[0], now.day())?;
//! let sealed = on_ada.seal(&ben.account(), &hello, &[(needed[0], Fetched::Bundle(bundle))], now, &mut random)?;
//! for (_row, _bytes) in on_ada.take_changes() { /* to the disk, sealed by a `StateKey` */ }
//!
//! // Ben's device opens what the server delivers.
//! let received = on_ben.open(&sealed.outers[0].1, &sealed.blob, now)?;
//! assert_eq!((received.account, &received.body[..]), (ada.account(), &b"Lunch?"[..]));
//!
//! // The answer needs no bundle: the session is there.
//! let yes = Message { id: MessageId([2; 16]), body: b"Yes!", checkpoint: &checkpoint, durable: true };
//! let sealed = on_ben.seal(&ada.account(), &yes, &[], now, &mut random)?;
//! assert_eq!(&on_ada.open(&sealed.outers[0].1, &sealed.blob, now)?.body[..], b"Yes!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! It has no I/O, no clock and no source of randomness: those are the caller's, as is the directory's proof of a device list.
//! The server sees which device a message goes to, when, how large it is and from which address, and can guess senders by
//! comparing addresses and times. Messages between accounts are not signed, and deniable; messages to rooms are signed. ML-KEM
//! keeps texts that are recorded today from a quantum computer; the ratchet, signatures and the names of senders rest on
//! elliptic curves. Neither this crate nor `ml-kem` has been audited. The stack is not erased, only the heap.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod agreement;
pub mod blob;
mod cipher;
mod contact;
pub mod file;
mod kem;
pub mod label;
mod messenger;
pub mod outbox;
pub mod outer;
mod peer;
mod pqxdh;
pub mod prekey;
pub mod prekeys;
mod ratchet;
pub mod reset;
pub mod room;
pub mod room_list;
mod seen;
mod session;
pub mod slip;
pub mod state;
mod time;
#[cfg(test)]
mod vectors;

pub use blob::MessageId;
pub use cipher::CipherError;
pub use contact::{Contact, ContactError};
pub use file::{FileError, FileKey, FileOpener, FileSealError, FileSealer};
pub use messenger::{Fetched, Message, Messenger, MessengerError, OpenError, Received, RowError, SealError, Sealed};
pub use prekey::{Bundle, PrekeyError};
pub use prekeys::{Stock, Upload};
pub use room::{Room, RoomMessage, RoomOpenError, RoomSealError};
pub use room_list::{Member, RoomId, RoomList, RoomListError, RoomListRefusal, RoomSignError};
pub use state::{Row, StateError, StateKey};
pub use time::Time;
