//! The key-rotation rules of `e2ee-frames` as a model, explored state by state.
//!
//! ```text
//!   Device   one device: roster, own keys, keys of others; the rules of `e2ee_frames::Session` without bytes
//!   Hostile  a server that delivers, withholds, repeats, reorders and invents whatever it can: what is never read
//!   Fair     a server that loses some and delivers the rest within a bound: what is read in the end
//! ```
//! A key is its name: whose it is, its generation, its step. A device with a step has all later ones of the
//! generation and none before; a frame opens under the key that sealed it and no other. So cryptography is ideal here
//! (the Verifpal models beside this package are about that), and what is explored is who holds which key when.
//!
//! Nothing of `e2ee-frames` is used: the rules are written a second time, small enough to be explored. That they are the
//! same rules is tested: `tests/conformance.rs` walks both at random and compares every message.
//!
//! Each rule can be left out ([`Rule`]); the tests show that the checker then finds what goes wrong.

pub mod device;
mod distribution;
pub mod fair;
pub mod hostile;
pub mod reception;
pub mod rules;

pub use device::{Action, Device, Event};
pub use rules::{Batch, Epoch, Frame, Id, Protocol, Rule, Sizes, Time, Times};
