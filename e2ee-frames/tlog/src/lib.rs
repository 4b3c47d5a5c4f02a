//! Transparency logs: what a log commits to, what others cosign, and how a client checks both offline.
//!
//! ```text
//!  leaves ──► tree ──► root ──► Checkpoint ──LogKey──► Note ──► Witness::add_checkpoint ──► cosignature
//!                                                       │                  │
//!                                                       │          WitnessStore: the newest head, durable
//!                                                       ▼                    before anything is signed
//!             Policy::verify(note, now) ──► VerifiedCheckpoint ──► verify_inclusion, verify_consistency
//! ```
//!
//! | module | contents | source |
//! |---|---|---|
//! | [`tree`] | leaf and node hashes, appending, inclusion and consistency proofs | RFC 6962 section 2.1, RFC 9162 section 2.1 |
//! | [`note`] | text with signature lines | c2sp.org/signed-note |
//! | [`key`] | verifier keys, the private keys of logs and witnesses | c2sp.org/signed-note |
//! | [`checkpoint`] | the tree head as note text | c2sp.org/tlog-checkpoint |
//! | [`cosignature`] | what a witness signs, with its time | c2sp.org/tlog-cosignature, version 1 |
//! | [`policy`] | which logs and which quorum of witnesses a client trusts | c2sp.org/tlog-policy |
//! | [`equivocation`] | the evidence that a log signed two different trees of one size | |
//! | [`witness`] | the witness as a state machine over durable state | c2sp.org/tlog-witness |
//!
//! Invariants:
//!
//! * only [`Policy::verify`] makes a [`VerifiedCheckpoint`], and only a log's or witness's key makes its signatures;
//! * a witness signs a head only after its store has made it durable, and never two heads of which one is not an
//!   extension of the other, across crashes at any step;
//! * any bytes yield a value or a named error, never a panic, and limits hold before memory is taken;
//! * the crate has no I/O, no clock and no randomness: time, keys and durable state are given. It needs only `alloc`.
//!
//! # A log, two witnesses and a client
//!
//! ```
//! use tacet_tlog::{Checkpoint, LogKey, MAX_COSIGNATURE_AGE, MemoryStore, Note, Policy, Timestamp, Tree, Witness, WitnessKey};
//! use tacet_tlog::tree::{leaf_hash, verify_consistency, verify_inclusion};
//! use tacet_tlog::witness::AddCheckpoint;
//!
//! // Seeds come from the system's randomness.
//! let log = LogKey::from_seed("call.example/directory", &[1; 32])?;
//! let first = WitnessKey::from_seed("witness.example/a", &[2; 32])?;
//! let second = WitnessKey::from_seed("other.example/b", &[3; 32])?;
//! let policy = format!(
//!     "log {}\nwitness a {}\nwitness b {}\ngroup both all a b\nquorum both\n",
//!     log.verifier(), first.verifier(), second.verifier(),
//! );
//! let policy = Policy::parse(policy.as_bytes())?;
//!
//! // The log appends, makes its tree durable, and signs the head.
//! let mut tree = Tree::new();
//! for entry in ["genesis", "epoch 1", "epoch 2"] {
//!     tree.append(leaf_hash(entry.as_bytes()));
//! }
//! let mut note = log.sign(&Checkpoint::new(log.name(), tree.size(), tree.root())?)?;
//!
//! // It submits the head, with a proof from what each witness saw last: here nothing.
//! let now = Timestamp::from_secs(1_800_000_000).expect("far below the limit");
//! let request = AddCheckpoint::new(0, Vec::new(), note.clone())?.to_string();
//! for key in [first, second] {
//!     let mut witness = Witness::new(key, MemoryStore::default());
//!     witness.trust_log(log.verifier().clone())?;
//!     note.add(witness.add_checkpoint(request.as_bytes(), now)?)?;
//! }
//!
//! // A client checks signatures and quorum, then the proof of the leaf that it cares about.
//! let bytes = note.to_string();
//! let head = policy.verify(&Note::parse(bytes.as_bytes())?, now, MAX_COSIGNATURE_AGE)?;
//! let proof = tree.prove_inclusion(2, 3)?;
//! verify_inclusion(&leaf_hash(b"epoch 2"), 2, head.checkpoint().size(), &proof, head.checkpoint().root())?;
//! // Later heads must extend this one.
//! let known = *head.checkpoint().root();
//! tree.append(leaf_hash(b"epoch 3"));
//! verify_consistency(3, &known, 4, &tree.root(), &tree.prove_consistency(3, 4)?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Labels
//!
//! Every signature in the project starts with a label, except that of a log on its checkpoint, whose bytes C2SP fixes as
//! the note's text. The two cannot be confused: a label of the project is one line with a space in it
//! (`e2ee-frames/1 announce`), whereas a [`LogKey`] signs only checkpoints of the log that it is named after, and a
//! [`KeyName`] has no space, so what it signs has a line break before any space. A cosignature starts with
//! [`COSIGNATURE_LABEL`], `cosignature/v1` and a line break, and its second line starts with `time`, where that of a
//! checkpoint is a number. Tests hold all three apart. Keys are separate, too: those types sign nothing else.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod checkpoint;
pub mod cosignature;
mod encoding;
pub mod equivocation;
pub mod key;
pub mod note;
pub mod policy;
mod time;
pub mod tree;
pub mod witness;

pub use checkpoint::Checkpoint;
pub use cosignature::COSIGNATURE_LABEL;
pub use equivocation::Equivocation;
pub use key::{KeyName, LogKey, VerifierKey, WitnessKey};
pub use note::{Note, NoteSignature};
pub use policy::{MAX_COSIGNATURE_AGE, Policy, VerifiedCheckpoint};
pub use time::Timestamp;
pub use tree::{Hash, Tree};
pub use witness::{MemoryStore, Witness, WitnessStore};
