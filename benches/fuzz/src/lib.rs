//! What the fuzz targets of this workspace have in common. They are in `e2ee-frames/fuzz` and `sfu/fuzz`.
//!
//! ```text
//!   make fuzz ──► libFuzzer ──► fuzz_targets/NAME.rs ──┐
//!                                                      ├──► a target: a function of bytes that panics
//!   cargo test ──► Replay: corpus/NAME, altered inputs ┘    if something is wrong
//! ```
//! Random bytes never pass a signature or a tag, so most targets read their input as a [`Script`] that edits genuine
//! messages: what is nearly right goes deepest.

mod replay;
mod script;

pub use replay::Replay;
pub use script::Script;

/// A target's name, which is also the folder of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));
