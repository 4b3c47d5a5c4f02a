//! What end-to-end encrypted protocols share: primitives, domain separation, secret memory, parsing.
//!
//! | module | contents |
//! |---|---|
//! | [`primitives`] | the one place that calls cryptographic libraries, behind the trait [`Primitives`] |
//! | [`aead`] | AES-GCM by RustCrypto or aws-lc |
//! | [`mod@array`] | arrays of fixed size, split and concatenated |
//! | [`label`] | domain separation: every hash and signature of a protocol starts with a [`Label`] |
//! | [`secret`] | [`SecretBytes`]: key material on the heap, erased on drop |
//! | [`random`] | [`Random`]: the caller's source of random bytes |
//! | [`process`] | [`Process`]: detects that a fork copied keys and counters |
//! | [`reader`] | [`Reader`]: big-endian fields from the front of a slice |
//! | [`resume`] | the signed statement by which a device continues its session on a new connection |
//! | [`sorted`] | [`SortedMap`]: a map in a sorted vector |
//!
//! A protocol chooses one [`Domain`] and derives a label for each purpose from it, so that no output of one protocol is
//! valid in another:
//!
//! ```
//! use e2ee_core::{Domain, Label, Primitives, Standard};
//!
//! const DOMAIN: Domain = Domain::new("example/1");
//! const DEVICE: Label = DOMAIN.label("device");
//!
//! let id = Standard::hash(&DEVICE, &[b"public key", b"incarnation"]);
//! assert_eq!(id, Standard::digest(b"example/1 devicepublic keyincarnation"));
//! ```
//!
//! The crate has no I/O, no clock and no global state, and needs only `alloc`.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod aead;
pub mod array;
pub mod label;
pub mod primitives;
pub mod process;
pub mod random;
pub mod reader;
pub mod resume;
pub mod secret;
pub mod sorted;

pub use aead::Aead;
pub use label::{Domain, Label};
pub use primitives::{AgreementKey, BoxKey, Output, Primitives, SigningKey, Standard};
pub use process::Process;
pub use random::Random;
pub use reader::Reader;
pub use resume::{ResumeOperation, ResumeStatement};
pub use secret::SecretBytes;
pub use sorted::SortedMap;
