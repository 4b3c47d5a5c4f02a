//! Checkpoints (c2sp.org/tlog-checkpoint): the head of a log's tree as the text of a note.
//!
//! ```text
//! origin, which is the log's name
//! number of leaves in decimal
//! root in base64
//! extension lines, if any
//! ```

use crate::{
    encoding::{decimal, hash_from_base64, to_base64},
    key::KeyName,
    tree::{Hash, MAX_TREE_SIZE},
};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// Why a text is not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Fewer than three lines, or the last has no end.
    #[error("a checkpoint has three lines at least, each with its end")]
    Lines,
    /// The origin is empty.
    #[error("the checkpoint names no log")]
    Origin,
    /// The number of leaves is not a decimal number in its only form, or is above 2^63 - 1.
    #[error("the size of the tree is not a number, or too large a one")]
    Size,
    /// The root is not a hash in base64.
    #[error("the root is not a hash in base64")]
    Root,
    /// An extension line is empty.
    #[error("the checkpoint has an empty line")]
    EmptyLine,
}

/// The head of a tree. Nothing about it is verified; [`VerifiedCheckpoint`](crate::VerifiedCheckpoint) is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// The head of a log's tree.
    ///
    /// # Errors
    /// If the size is above [`MAX_TREE_SIZE`].
    pub fn new(log: &KeyName, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if size > MAX_TREE_SIZE {
            return Err(CheckpointError::Size);
        }
        Ok(Self { origin: log.as_str().into(), size, root, extensions: Vec::new() })
    }

    /// Parses the text of a note.
    ///
    /// # Errors
    /// If it is not a checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let text = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?;
        let mut lines = text.split('\n');
        let mut next = || lines.next().ok_or(CheckpointError::Lines);
        let (origin, size, root) = (next()?, next()?, next()?);
        if origin.is_empty() {
            return Err(CheckpointError::Origin);
        }
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = hash_from_base64(root).ok_or(CheckpointError::Root)?;
        let extensions: Vec<String> = lines.map(Into::into).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::EmptyLine);
        }
        Ok(Self { origin: origin.into(), size, root, extensions })
    }

    /// Identifies the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines after the root, which witnesses sign without a statement about them.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

/// The text of the note, as [`Checkpoint::parse`] reads it.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, to_base64(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    #[test]
    fn malformed_checkpoints_are_refused_by_name() {
        for (text, error) in [
            ("", CheckpointError::Lines),
            ("a\n1\n", CheckpointError::Lines),
            (&alloc::format!("a\n1\n{ROOT}"), CheckpointError::Lines),
            (&alloc::format!("\n1\n{ROOT}\n"), CheckpointError::Origin),
            (&alloc::format!("a\n01\n{ROOT}\n"), CheckpointError::Size),
            (&alloc::format!("a\n9223372036854775808\n{ROOT}\n"), CheckpointError::Size),
            (&alloc::format!("a\n1\n{}\n", &ROOT[1..]), CheckpointError::Root),
            (&alloc::format!("a\n1\n{}A\n", &ROOT[..43]), CheckpointError::Root),
            (&alloc::format!("a\n1\n{ROOT}\n\n"), CheckpointError::EmptyLine),
            (&alloc::format!("a\n1\n{ROOT}\n\nb\n"), CheckpointError::EmptyLine),
        ] {
            assert_eq!(Checkpoint::parse(text), Err(error), "{text:?}");
        }
    }

    /// Why a checkpoint needs no label: a label of the project has a space in its first line.
    #[test]
    fn text_of_a_log_has_a_line_break_before_any_space() {
        proptest!(|(name in "\\PC{1,40}", size in 0..=MAX_TREE_SIZE, root: [u8; 32])| {
            let Ok(name) = KeyName::new(&name) else { return Ok(()) };
            let text = Checkpoint::new(&name, size, root).unwrap().to_string();
            let first = text.find(|character: char| character.is_whitespace());
            prop_assert_eq!(first.and_then(|at| text.as_bytes().get(at)), Some(&b'\n'));
            prop_assert!(!text.starts_with("cosignature/v1\ntime "));
        });
    }

    proptest! {
        #[test]
        fn parsed_checkpoint_is_written_as_it_was(
            origin in "[a-z /.]{1,20}", size in 0..=MAX_TREE_SIZE, root: [u8; 32], extensions in "([a-z ]{1,9}\n){0,3}",
        ) {
            let text = alloc::format!("{origin}\n{size}\n{}\n{extensions}", to_base64(&root));
            let checkpoint = Checkpoint::parse(&text).unwrap();
            prop_assert_eq!(checkpoint.to_string(), text);
            prop_assert_eq!((checkpoint.size(), checkpoint.root()), (size, &root));
        }
    }
}
