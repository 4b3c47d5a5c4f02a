//! The index of an archive: version and hash of every blob, so that the server cannot serve an old one unseen.
//!
//! ```text
//! index  ver1 count1 { len1 name version8 hash32 } × ≤ 63, in ascending order of names     the contents of blob "index"
//! mark   vault_version4 version8 hash32                                                    of the newest index seen
//! ```
//! The server can still serve an old index with its old blobs. Devices therefore keep a [mark](IndexMark) of the newest
//! index, and tell it to each other.

use crate::vault::BlobName;
use alloc::vec::Vec;
use e2ee_core::{Primitives, Reader, SortedMap, Standard};

/// Maximum number of blobs beside the index.
pub const MAX_BLOBS: usize = 63;
/// Bytes of an encoded mark.
pub const MARK_BYTES: usize = 44;
/// Version of the format.
const VERSION: u8 = 1;

/// Version and hash of every blob of an archive.
#[derive(Clone, Debug, Default)]
pub struct Index(SortedMap<BlobName, Entry>);

/// What the index knows of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The newest version.
    pub version: u64,
    /// SHA-256 of the sealed bytes.
    pub hash: [u8; 32],
}

/// Why an index, or a blob by it, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not the bytes of an index.
    #[error("not the index of an archive")]
    Malformed,
    /// As many blobs as an archive holds.
    #[error("an archive holds at most {MAX_BLOBS} blobs")]
    Full,
    /// The index does not know this blob.
    #[error("the archive has no such blob")]
    Unknown,
    /// The server sent another version than the newest.
    #[error("the server sent a blob that was replaced")]
    OtherBlob,
    /// The index is older than one that was seen.
    #[error("the server sent an archive that is older than the one this device knows")]
    Older,
    /// Another index of the same version: the server keeps two archives.
    #[error("the server has two archives of one version")]
    Forked,
}

impl Index {
    /// Reads the contents of the blob "index".
    ///
    /// # Errors
    /// If the bytes are not the one encoding of an index.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        Self::read(bytes).ok_or(IndexError::Malformed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let count = usize::from(reader.u8()?);
        let mut index = Self::default();
        let mut previous = None;
        for _ in 0..Some(count).filter(|count| *count <= MAX_BLOBS)? {
            let length = usize::from(reader.u8()?);
            let name = BlobName::new(reader.take(length)?).ok().filter(|name| *name != BlobName::INDEX)?;
            (previous < Some(name)).then_some(())?;
            previous = Some(name);
            index.0.insert_new(name, Entry { version: reader.u64()?, hash: reader.array()? });
        }
        reader.end()?;
        Some(index)
    }

    /// The contents of the blob "index".
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::from([VERSION, u8::try_from(self.0.len()).unwrap_or(u8::MAX)]);
        for (name, entry) in self.0.iter() {
            bytes.push(u8::try_from(name.as_bytes().len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&entry.version.to_be_bytes());
            bytes.extend_from_slice(&entry.hash);
        }
        bytes
    }

    /// Enters the version that is about to be stored.
    ///
    /// # Errors
    /// If the archive is full, the version is not newer, or the blob is the index itself.
    pub fn set(&mut self, name: BlobName, version: u64, sealed: &[u8]) -> Result<(), IndexError> {
        let entry = Entry { version, hash: Standard::digest(sealed) };
        let full = self.0.len() >= MAX_BLOBS;
        match self.0.get_mut(&name) {
            Some(known) if known.version < version => *known = entry,
            Some(_) => return Err(IndexError::Older),
            None if name == BlobName::INDEX => return Err(IndexError::OtherBlob),
            None if full => return Err(IndexError::Full),
            None => self.0.insert_new(name, entry),
        }
        Ok(())
    }

    /// Takes a blob out.
    pub fn remove(&mut self, name: &BlobName) -> Option<Entry> {
        self.0.remove(name)
    }

    /// All blobs in ascending order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&BlobName, &Entry)> {
        self.0.iter()
    }

    /// Checks that a blob from the server is the newest of its name.
    ///
    /// # Errors
    /// If the index does not know it, or knows another.
    pub fn check(&self, name: &BlobName, version: u64, sealed: &[u8]) -> Result<(), IndexError> {
        let known = self.0.get(name).ok_or(IndexError::Unknown)?;
        (*known == Entry { version, hash: Standard::digest(sealed) }).then_some(()).ok_or(IndexError::OtherBlob)
    }
}

/// Identifies one state of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexMark {
    /// Version of the vault key.
    pub vault: u32,
    /// Version of the blob "index".
    pub version: u64,
    /// SHA-256 of that blob, sealed.
    pub hash: [u8; 32],
}

impl IndexMark {
    /// The mark of a sealed index that was opened or is about to be stored.
    #[must_use]
    pub fn new(vault: u32, version: u64, sealed: &[u8]) -> Self {
        Self { vault, version, hash: Standard::digest(sealed) }
    }

    /// Checks that the archive which a server shows is this one or came after it.
    ///
    /// # Errors
    /// If it is older, or another of the same version.
    pub fn check(&self, shown: &Self) -> Result<(), IndexError> {
        if shown == self || (shown.version > self.version && shown.vault >= self.vault) {
            Ok(())
        } else if shown.version == self.version && shown.vault == self.vault {
            Err(IndexError::Forked)
        } else {
            Err(IndexError::Older)
        }
    }

    /// For the device's own storage and for its siblings.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; MARK_BYTES] {
        e2ee_core::array::concat(&[&self.vault.to_be_bytes(), &self.version.to_be_bytes(), &self.hash])
    }

    /// Reads a mark; `None` for bytes of another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mark = Self { vault: reader.u32()?, version: reader.u64()?, hash: reader.array()? };
        reader.end().map(|()| mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    fn name(name: &str) -> BlobName {
        BlobName::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn replaced_blob_is_refused() {
        let mut index = Index::default();
        index.set(name("contacts"), 1, b"old").unwrap();
        index.set(name("contacts"), 2, b"new").unwrap();
        assert_eq!(index.check(&name("contacts"), 2, b"new"), Ok(()));
        for (version, sealed) in [(1, b"old"), (2, b"old"), (1, b"new"), (3, b"new")] {
            assert_eq!(index.check(&name("contacts"), version, sealed), Err(IndexError::OtherBlob));
        }
        assert_eq!(index.check(&name("history"), 1, b"any"), Err(IndexError::Unknown));
        assert_eq!(index.set(name("contacts"), 2, b"again"), Err(IndexError::Older));
        assert_eq!(index.set(BlobName::INDEX, 1, b"self"), Err(IndexError::OtherBlob));
    }

    #[test]
    fn index_is_bounded() {
        let mut index = Index::default();
        for number in 0..MAX_BLOBS {
            index.set(name(&format!("blob-{number}-{}", "x".repeat(20))), u64::MAX, b"").unwrap();
        }
        assert_eq!(index.set(name("another"), 1, b""), Err(IndexError::Full));
        assert!(index.to_bytes().len() < crate::vault::MAX_BLOB_BYTES - crate::vault::BLOB_OVERHEAD);
        assert_eq!(Index::parse(&index.to_bytes()).unwrap().to_bytes(), index.to_bytes());
        let mut more = index.to_bytes();
        more[1] = 64;
        assert_eq!(Index::parse(&more).err(), Some(IndexError::Malformed));
    }

    #[test]
    fn older_and_forked_archives_are_refused() {
        let mark = |vault, version, sealed: &[u8]| IndexMark::new(vault, version, sealed);
        let known = mark(2, 7, b"a");
        for good in [known, mark(2, 8, b"b"), mark(3, 9, b"c")] {
            assert_eq!(known.check(&good), Ok(()));
        }
        assert_eq!(known.check(&mark(2, 7, b"b")), Err(IndexError::Forked));
        for old in [mark(2, 6, b"a"), mark(1, 8, b"a"), mark(1, 7, b"a"), mark(3, 7, b"a")] {
            assert_eq!(known.check(&old), Err(IndexError::Older), "{old:?}");
        }
        assert_eq!(IndexMark::from_bytes(&known.to_bytes()), Some(known));
        assert_eq!(IndexMark::from_bytes(&[0; 43]), None);
    }

    proptest! {
        #[test]
        fn index_that_parses_is_the_only_encoding(
            entries in proptest::collection::vec(("[a-z0-9.-]{1,32}", any::<u64>()), 0..8), flip in any::<(usize, u8)>(),
        ) {
            let mut index = Index::default();
            for (text, version) in &entries {
                let _ = index.set(name(text), *version, text.as_bytes());
            }
            let mut bytes = index.to_bytes();
            prop_assert!(Index::parse(&bytes).unwrap().iter().eq(index.iter()));
            let at = flip.0 % bytes.len();
            bytes[at] ^= flip.1;
            if let Ok(read) = Index::parse(&bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
        }
    }
}
