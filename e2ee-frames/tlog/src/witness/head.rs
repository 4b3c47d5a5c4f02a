//! The record that a witness keeps of a log.
//!
//! ```text
//! "tacet-witness/1 " SHA-256 of the rest in base64 "\n"
//! "time " seconds "\n"
//! note of the checkpoint with the log's signatures
//! ```
//! The hash detects a record that was cut or altered: it must stop the witness, not look like a smaller tree or none.

use crate::{
    checkpoint::Checkpoint,
    encoding::{decimal, hash_from_base64, to_base64},
    note::Note,
    time::Timestamp,
    tree::Hash,
};
use alloc::vec::Vec;
use core::str;
use e2ee_core::{Primitives, Standard};

const MAGIC: &str = "tacet-witness/1 ";

/// The last head of a log that a witness has cosigned, or was about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    checkpoint: Checkpoint,
    note: Note,
    time: Timestamp,
}

/// The record is damaged. A store must report it, and never take it for a log without a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record of a witness is damaged; it must not be cosigned from")]
pub struct HeadError;

impl Head {
    pub(super) fn new(checkpoint: Checkpoint, note: Note, time: Timestamp) -> Self {
        Self { checkpoint, note, time }
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> &Hash {
        self.checkpoint.root()
    }

    /// The checkpoint with the signatures of the log.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// When it was cosigned last.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The record to be stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let rest = alloc::format!("time {}\n{}", self.time, self.note);
        let hash = to_base64(&Standard::digest(rest.as_bytes()));
        [MAGIC, &hash, "\n", &rest].concat().into_bytes()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it is not one that [`Self::to_bytes`] has written.
    pub fn from_bytes(record: &[u8]) -> Result<Self, HeadError> {
        Self::read(record).ok_or(HeadError)
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (hash, rest) = str::from_utf8(record).ok()?.strip_prefix(MAGIC)?.split_once('\n')?;
        if hash_from_base64(hash)? != Standard::digest(rest.as_bytes()) {
            return None;
        }
        let (time, note) = rest.strip_prefix("time ")?.split_once('\n')?;
        let note = Note::parse(note.as_bytes()).ok()?;
        Some(Self {
            checkpoint: Checkpoint::parse(note.text()).ok()?,
            note,
            time: Timestamp::from_secs(decimal(time)?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogKey;

    fn head() -> Head {
        let log = LogKey::from_seed("call.example/directory", &[1; 32]).unwrap();
        let checkpoint = Checkpoint::new(log.name(), 7, [7; 32]).unwrap();
        let note = log.sign(&checkpoint).unwrap();
        Head::new(checkpoint, note, Timestamp::from_secs(1_800_000_000).unwrap())
    }

    #[test]
    fn record_is_read_as_it_was_written() {
        assert_eq!(Head::from_bytes(&head().to_bytes()), Ok(head()));
    }

    #[test]
    fn damaged_record_is_never_another_head() {
        let record = head().to_bytes();
        for length in 0..record.len() {
            assert_eq!(Head::from_bytes(&record[..length]), Err(HeadError), "cut to {length}");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::from_bytes(&flipped), Err(HeadError), "bit {bit}");
        }
        assert_eq!(Head::from_bytes(&[&record[..], b"\n"].concat()), Err(HeadError));
    }
}
