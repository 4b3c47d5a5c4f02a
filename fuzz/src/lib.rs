//! Shared support of the fuzz targets in `e2ee-frames/fuzz` and `sfu/fuzz`.
//!
//! ```text
//!   make fuzz ──► libFuzzer ──► fuzz_targets/NAME.rs ──┐
//!                                                      ├──► target: a function of bytes that panics
//!   cargo test ──► Replay: corpus/NAME, mutated inputs ┘    when it finds a fault
//! ```
//! Random bytes do not pass a signature or an authentication tag. Most targets therefore read their input as a
//! [`Script`] that edits genuine messages.

mod replay;
mod script;

pub use replay::Replay;
pub use script::Script;

/// Name of a target, which is also the folder of its corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));
