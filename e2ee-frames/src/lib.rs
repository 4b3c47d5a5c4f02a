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
//! One [`Session`] is one device in one call. It is a pure state machine: time and randomness are handed in, messages
//! are handed out, nothing blocks and nothing is global. What must never stop being true:
//!
//! * no frame leaves unsealed, none is handed out that did not authenticate, and no setting changes that;
//! * no (key, nonce) pair seals two frames: counters live in the session and die with its random keys;
//! * a key is sealed only to devices whose announce was verified and reported as on the roster before;
//! * bytes from the network never panic, and change no state before they are authentic.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod codec;
#[cfg(feature = "hazmat")]
pub mod hazmat;
mod ids;
mod keys;
mod primitives;
mod random;
pub mod rtp;
mod secret;
mod session;
pub mod sframe;
mod sorted;
#[cfg(test)]
mod vectors;

pub use codec::{Codec, FrameKind};
pub use ids::{ParticipantId, Seat, StreamId};
pub use keys::{call_code::CallCode, invite::access_token};
pub use random::Random;
#[cfg(feature = "external-cipher")]
pub use session::external;
pub use session::{
    Action, Ended, Event, EventError, OpenError, Opened, Problem, SealError, Session, SessionConfig, SessionError,
    Timing,
};
