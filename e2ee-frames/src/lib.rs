//! Frame encryption (RFC 9605 SFrame), session keys and trust for end-to-end encrypted calls.
//!
//! ```text
//!  announces, key batches, key requests (bytes from the server)          frames of the encoder
//!                        │                                                     │
//!                        ▼                                                     ▼
//!   session::Session ── keys ── roster, key schedule ──► sframe contexts ── codec envelope ──► frames for RTP
//!                        │                                                     ▲
//!                        ▼                                                     │
//!      actions: messages to send, who is verified, problems            frames of RTP (opened in place)
//! ```
//!
//! One [`Session`] is one device in one call. It is a pure state machine: time and randomness are arguments, messages are
//! return values, nothing blocks and nothing is global. Its invariants:
//!
//! * no frame leaves unsealed, no frame is returned that did not authenticate, and no setting changes that;
//! * no (key, nonce) pair seals two frames: counters live in the session and die with its random keys;
//! * a key is sealed only to devices whose announce was verified, and that were reported as on the roster before;
//! * bytes from the network never panic, and change no state before they are authentic.
//!
//! # A call of two devices
//!
//! Ada speaks, Bob listens, and the lines between do the work of the server. `docs/embedding.md` explains each step.
//!
//! ```
//! use e2ee_frames::{Action, Clock, Codec, Event, FrameKind, MonotonicTime, OpenError, WallTime, codec};
//! use e2ee_frames::{ParticipantId, Seat, Session, SessionConfig, StreamId};
//!
//! // Room and call are the server's labels. The invite secret is in the link, and the server never learns it.
//! let (room, call, invite) = ([1; 16], [2; 16], [3; 32]);
//! let random = |bytes: &mut [u8]| getrandom::fill(bytes).expect("randomness of the system");
//! // A device reads its clocks for every call. Here time stands still.
//! let clock = Clock { now: MonotonicTime::default(), wall: WallTime::from_millis(1_800_000_000_000) };
//! let mut ada = Session::new(SessionConfig::new(room, call, invite, "Ada"), random, clock)?;
//! let mut bob = Session::new(SessionConfig::new(room, call, invite, "Bob"), random, clock)?;
//!
//! // The server labels an announce with a participant and a seat, and sends it to the others.
//! let announced = |participant: u32, seat: u16, device: &mut Session| {
//!     let Some(Action::SendAnnounce { announce, display, .. }) = device.poll() else { panic!("comes first") };
//!     let length = (display.len() as u16).to_be_bytes();
//!     [&[1], &participant.to_be_bytes()[..], &seat.to_be_bytes(), &announce, &length, &display].concat()
//! };
//! let (of_ada, of_bob) = (announced(10, 0, &mut ada), announced(20, 1, &mut bob));
//! ada.handle(clock, Event::Joined { seat: Seat(0) })?;
//! bob.handle(clock, Event::Joined { seat: Seat(1) })?;
//! ada.handle(clock, Event::Announces(&of_bob))?;
//! bob.handle(clock, Event::Announces(&of_ada))?;
//! ada.handle(clock, Event::StreamOpened(StreamId::MICROPHONE))?;
//!
//! // Ada's actions. The server splits a key batch by recipient; here all of it is for Bob.
//! while let Some(action) = ada.poll() {
//!     match action {
//!         Action::ParticipantVerified { name, .. } => println!("{name} can listen"),
//!         Action::SendKeyBatch { number, body } => {
//!             bob.handle(clock, Event::Keys(&[&[1], &body[..]].concat()))?;
//!             ada.handle(clock, Event::KeyBatchAccepted { number })?;
//!         }
//!         Action::StreamReady { .. } => println!("the microphone may start"),
//!         other => println!("{other:?}"),
//!     }
//! }
//!
//! let mut frame = vec![0; codec::max_sealed_bytes(Codec::Opus, b"audio".len())];
//! let length = ada.seal(clock, StreamId::MICROPHONE, Codec::Opus, FrameKind::Delta, b"audio", &mut frame)?;
//! frame.truncate(length);
//!
//! let mut changed = frame.clone();
//! changed[length - 1] ^= 1;
//! assert_eq!(bob.open(clock, Codec::Opus, &mut changed), Err(OpenError::NotAuthentic));
//! let opened = bob.open(clock, Codec::Opus, &mut frame)?;
//! assert_eq!((opened.participant, &frame[opened.range]), (ParticipantId(10), &b"audio"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std` (default) | a session detects a fork and ends in the copy; conversions from `std` time |
//! | `aws-lc` | AES-GCM by aws-lc, which is faster and needs a C compiler; implies `std` |
//! | `external-cipher` | module `external`: the cipher of large frames runs outside, for WebCrypto. Exposes frame keys |
//! | `hazmat` | module `hazmat`: suites 4 and 5 with keys of the caller, for test vectors. No product enables it |
//! | `interop-ctr` | suites 1 to 3 in `hazmat`, whose tags are short, for the vectors of the RFC |
//!
//! Without `std` the crate needs only `alloc`. It does not detect forks then: do not fork a process that has a session.
//!
//! # What it does not do
//!
//! It has no network, no clock, no thread and no source of randomness: those are the caller's. It authenticates that a
//! device has the invite secret, not whose device it is: there is no directory of identities. It is not post-quantum.
//! `docs/security/threat-model.md` says what each party can and cannot do, and which test shows it.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod chat;
mod clock;
pub mod codec;
#[cfg(feature = "hazmat")]
pub mod hazmat;
mod ids;
mod keys;
mod label;
pub mod names;
pub mod rtp;
mod session;
pub mod sframe;
#[cfg(test)]
mod vectors;

/// Its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct Embedding;

pub use chat::{ChatContent, ChatId, ChatKind};
pub use clock::{Clock, MonotonicTime, WallTime};
pub use codec::{Codec, FrameKind};
pub use e2ee_core::{Random, ResumeOperation, ResumeStatement};
pub use ids::{ParticipantId, Seat, StreamId};
pub use keys::{call_code::CallCode, invite::access_token};
pub use media_types::key_exchange;
#[cfg(feature = "external-cipher")]
pub use session::external;
pub use session::{
    Action, Ended, Event, EventError, OpenError, Opened, Problem, SealError, Session, SessionConfig, SessionError,
    Timing,
};
