//! C ABI and wasm exports of [`e2ee_frames`]: the same symbols for both, and the only unsafe code of the two crates.
//!
//! The header `include/e2ee_frames.h` is generated from the comments and numbers here by `make header`, so the comments
//! of exports are written for who calls them from C. [`wire`] says how events and actions look as bytes. Every function
//! takes pointers with lengths and returns a length or a negative code of [`codes`].
//!
//! Nothing unwinds into the caller: the core does not panic on bytes, and a panic that happened all the same would abort
//! the process at the edge of the `extern "C"` function, as would missing random bytes. Misuse that can be seen (null,
//! overlaps, impossible lengths) is refused before a reference is made of it; a dangling pointer, a wrong length or a
//! session used by two threads at once cannot be seen.
//!
//! In wasm, `usize` and pointers are 32 bits and the module imports one function, `env.random_fill`.

// The order of the functions in the header.
pub mod clock;
pub mod codes;

mod session;

mod frames;

#[cfg(target_family = "wasm")]
mod erase;
// Native code keeps its keys, so these exports are not in the header.
/// cbindgen:ignore
#[cfg(target_family = "wasm")]
pub mod external;

pub mod layout;
mod memory;

mod random;
pub mod wire;

pub use clock::ClockReading;
pub use frames::{FrameOrigin, ef_open, ef_seal};
pub use memory::{ef_alloc, ef_free};
pub use session::{
    Handle, ef_access_token, ef_call_code, ef_prove_resume, ef_session_deadline, ef_session_event, ef_session_free,
    ef_session_new, ef_session_poll,
};
