//! C ABI and wasm exports of [`e2ee_frames`]: the same symbols for both, and the only unsafe code of the two crates.
//!
//! The header is `include/e2ee_frames.h`; [`wire`] says how events and actions look as bytes. Every function takes
//! pointers with lengths, returns a length or a negative code, and never unwinds: the core does not panic on bytes.
//!
//! In wasm, `usize` and pointers are 32 bits and the module imports one function, `env.random_fill`.

#[cfg(target_family = "wasm")]
mod erase;
#[cfg(target_family = "wasm")]
pub mod external;
mod memory;
mod random;
mod session;
pub mod wire;

pub use memory::{ef_alloc, ef_free};
pub use session::{
    Handle, ef_access_token, ef_open, ef_seal, ef_session_deadline, ef_session_event, ef_session_free, ef_session_new,
    ef_session_poll,
};
