//! The evidence that a log showed two different trees.

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    key::VerifierKey,
    note::Note,
};

/// Two notes in which one log has signed trees of the same size with different roots: an honest log has one tree.
///
/// Two sizes need a consistency proof that the log does not hand out, so they prove nothing by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivocation {
    first: Note,
    second: Note,
}

/// Why two notes are no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEquivocation {
    /// A text is not a checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Different logs, different sizes or the same root.
    #[error("the notes do not contradict each other")]
    Consistent,
    /// The log has not signed one of them.
    #[error("a note is not signed by the log")]
    NotSigned,
}

impl Equivocation {
    /// Checks that two notes contradict each other and that `logs`, which are keys of one log, have signed both. The
    /// texts that a server reports are no evidence, only signatures are.
    ///
    /// # Errors
    /// If they prove nothing.
    pub fn prove(first: &Note, second: &Note, logs: &[VerifierKey]) -> Result<Self, NoEquivocation> {
        let (one, other) = (Checkpoint::parse(first.text())?, Checkpoint::parse(second.text())?);
        if one.origin() != other.origin() || one.size() != other.size() || one.root() == other.root() {
            return Err(NoEquivocation::Consistent);
        }
        let signed = |note: &Note| {
            logs.iter()
                .filter(|log| log.name().as_str() == one.origin())
                .any(|log| note.signatures().iter().any(|signature| log.verify(note.text(), signature).is_ok()))
        };
        if !signed(first) || !signed(second) {
            return Err(NoEquivocation::NotSigned);
        }
        Ok(Self { first: first.clone(), second: second.clone() })
    }

    /// The two notes, verbatim: what others check again.
    #[must_use]
    pub fn notes(&self) -> (&Note, &Note) {
        (&self.first, &self.second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogKey;

    fn log(seed: u8) -> LogKey {
        LogKey::from_seed("call.example/directory", &[seed; 32]).unwrap()
    }

    fn note(log: &LogKey, size: u64, root: u8) -> Note {
        log.sign(&Checkpoint::new(log.name(), size, [root; 32]).unwrap()).unwrap()
    }

    #[test]
    fn two_signed_roots_of_one_size_are_evidence() {
        let (log, other) = (log(1), log(2));
        let prove = |first: &Note, second: &Note, log: &LogKey| {
            Equivocation::prove(first, second, &[log.verifier().clone()]).map(|_| ())
        };
        assert_eq!(prove(&note(&log, 7, 1), &note(&log, 7, 2), &log), Ok(()));
        assert_eq!(prove(&note(&log, 7, 1), &note(&log, 7, 1), &log), Err(NoEquivocation::Consistent));
        assert_eq!(prove(&note(&log, 7, 1), &note(&log, 8, 2), &log), Err(NoEquivocation::Consistent));
        // Anyone could have written the second.
        assert_eq!(prove(&note(&log, 7, 1), &note(&other, 7, 2), &log), Err(NoEquivocation::NotSigned));
        assert_eq!(prove(&note(&other, 7, 1), &note(&log, 7, 2), &log), Err(NoEquivocation::NotSigned));
    }

    #[test]
    fn logs_of_different_names_do_not_contradict_each_other() {
        let elsewhere = LogKey::from_seed("call.example/directory/2", &[1; 32]).unwrap();
        let keys = [log(1).verifier().clone(), elsewhere.verifier().clone()];
        let proven = Equivocation::prove(&note(&log(1), 7, 1), &note(&elsewhere, 7, 2), &keys);
        assert_eq!(proven, Err(NoEquivocation::Consistent));
    }
}
