//! The key-rotation rules of `e2ee-frames` as a model, explored state by state.
//!
//! ```text
//!   Device   one device: roster, own keys, keys of others; the rules of `e2ee_frames::Session` without bytes
//!   Hostile  a server that delivers, withholds, repeats, reorders and invents messages: what is never read
//!   Fair     a server that loses some and delivers the rest within a bound: what is read in the end
//! ```
//! A key is its name: whose it is, its generation, its step. A device with a step has all later ones of the
//! generation and none before; a frame opens only under the key that sealed it. Cryptography is ideal here (the Verifpal
//! models next to this package cover it); the exploration covers which device holds which key at what time.
//!
//! It does not use `e2ee-frames`: the rules are implemented a second time, small enough to be explored.
//! `tests/conformance.rs` walks both implementations at random and compares every message.
//!
//! Each rule can be left out ([`Rule`]); the tests show that the checker then finds a counterexample.

mod agreement;
pub mod device;
mod distribution;
pub mod fair;
pub mod hostile;
pub mod reception;
pub mod rules;

pub use device::{Action, Device, Event};
pub use rules::{Ages, Batch, Epoch, Frame, Id, Protocol, Rosters, Rule, Sizes, Time, Times};
