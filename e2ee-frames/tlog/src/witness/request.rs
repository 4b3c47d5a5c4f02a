//! The body of `add-checkpoint`.
//!
//! ```text
//! "old " size of the last cosigned head "\n"
//! a hash of the consistency proof in base64 "\n", none to 63 times
//! "\n"
//! note of the checkpoint
//! ```

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    encoding::{HASH_TEXT_BYTES, decimal, hash_from_base64, to_base64},
    note::{MAX_NOTE_BYTES, Note, NoteError},
    tree::{Hash, MAX_PROOF_HASHES},
};
use alloc::vec::Vec;
use core::{fmt, str};

/// Maximum length of a request, bytes: an old size, a full proof and a full note.
pub const MAX_REQUEST_BYTES: usize = MAX_NOTE_BYTES + MAX_PROOF_HASHES * (HASH_TEXT_BYTES + 1) + 32;

/// Why a request is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Above [`MAX_REQUEST_BYTES`].
    #[error("the request is longer than {MAX_REQUEST_BYTES} bytes")]
    TooLong,
    /// No old size in the first line.
    #[error("the request does not start with the old size")]
    OldSize,
    /// A line of the proof is not a hash, or the line that ends it is missing.
    #[error("the proof is not lines of hashes with an empty line behind")]
    Proof,
    /// More than [`MAX_PROOF_HASHES`] hashes.
    #[error("the proof has more than {MAX_PROOF_HASHES} hashes")]
    ProofTooLong,
    /// The rest is not a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note's text is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A request to cosign a checkpoint. Nothing about it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    pub(super) old_size: u64,
    pub(super) proof: Vec<Hash>,
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// A request of a log, whose `proof` leads from the tree of `old_size` leaves to that of the note.
    ///
    /// # Errors
    /// If the proof has too many hashes, or the note is not a checkpoint.
    pub fn new(old_size: u64, proof: Vec<Hash>, note: Note) -> Result<Self, RequestError> {
        if proof.len() > MAX_PROOF_HASHES {
            return Err(RequestError::ProofTooLong);
        }
        Ok(Self { old_size, proof, checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// Parses the body of a request.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong);
        }
        let (line, mut rest) = line(body).ok_or(RequestError::OldSize)?;
        let old_size = line.strip_prefix("old ").and_then(decimal).ok_or(RequestError::OldSize)?;
        let mut proof = Vec::new();
        loop {
            let (line, after) = line_of_proof(rest)?;
            rest = after;
            if line.is_empty() {
                return Self::new(old_size, proof, Note::parse(rest)?);
            }
            if proof.len() == MAX_PROOF_HASHES {
                return Err(RequestError::ProofTooLong);
            }
            proof.push(hash_from_base64(line).ok_or(RequestError::Proof)?);
        }
    }

    /// Size of the tree that the request extends.
    #[must_use]
    pub fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The checkpoint that is to be cosigned.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

/// The next line without its end, and what follows.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((str::from_utf8(line).ok()?, rest.get(1..)?))
}

fn line_of_proof(bytes: &[u8]) -> Result<(&str, &[u8]), RequestError> {
    line(bytes).ok_or(RequestError::Proof)
}

/// The body of the request, as [`AddCheckpoint::parse`] reads it.
impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", to_base64(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// The example of the C2SP text.
    const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

\u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
\u{2014} example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

    #[test]
    fn c2sp_example_is_read_byte_for_byte() {
        let request = AddCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((request.old_size(), request.proof.len(), request.checkpoint().size()), (20_852_014, 4, 20_852_163));
        assert_eq!(request.to_string(), EXAMPLE);
    }

    #[test]
    fn malformed_requests_are_refused_by_name() {
        let altered = |from: &str, to: &str| EXAMPLE.replacen(from, to, 1);
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        for (body, error) in [
            (altered("old ", ""), RequestError::OldSize),
            (altered("old ", "old  "), RequestError::OldSize),
            (altered("old ", "Old "), RequestError::OldSize),
            (altered("old 2", "old 02"), RequestError::OldSize),
            (altered("old 20852014", "old -1"), RequestError::OldSize),
            ("old 1".into(), RequestError::OldSize),
            ("old 1\n".into(), RequestError::Proof),
            (altered("PlRN", "PlR"), RequestError::Proof),
            (altered("kaw=", "kax="), RequestError::Proof),
            (altered(hash, &hash.repeat(61)), RequestError::ProofTooLong),
            (altered("\n\nexample", "\nexample"), RequestError::Proof),
            (altered("behind-the-sofa\n2", "behind-the-sofa\n02"), RequestError::Checkpoint(CheckpointError::Size)),
            (altered("2I=\n\n", "2I=\n"), RequestError::Note(NoteError::NoSignatures)),
            ("a".repeat(MAX_REQUEST_BYTES + 1), RequestError::TooLong),
        ] {
            assert_eq!(AddCheckpoint::parse(body.as_bytes()), Err(error), "{body:?}");
        }
        assert!(AddCheckpoint::parse(altered(hash, &hash.repeat(60)).as_bytes()).is_ok());
    }
}
