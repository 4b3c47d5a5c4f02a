//! Tombstones: who was deleted, without saying who that was.

use crate::time::Day;
use e2ee_core::{Primitives, Reader, Standard};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Length of a record: MAC, day, and a checksum against writes that were cut short.
const RECORD_BYTES: usize = 40;

/// An owner that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tombstone {
    /// MAC of the owner's id under a key of the store.
    pub mac: [u8; 32],
    /// When.
    pub day: Day,
}

impl Tombstone {
    fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let fields: [u8; 36] = e2ee_core::array::concat(&[&self.mac, &self.day.to_bytes()]);
        let [a, b, c, d, ..] = Standard::digest(&fields);
        e2ee_core::array::concat(&[&fields, &[a, b, c, d]])
    }

    fn parse(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let tombstone = Self { mac: reader.array()?, day: Day(reader.u32()?) };
        (tombstone.to_bytes() == *bytes).then_some(tombstone)
    }
}

/// Where tombstones are kept apart from the databases, which may be restored from older archives. One should be on another
/// machine, and refuse to forget.
pub trait TombstoneLog: Send + Sync {
    /// Appends a tombstone; durable when this returns.
    ///
    /// # Errors
    /// It may be there all the same.
    fn append(&self, tombstone: &Tombstone) -> io::Result<()>;

    /// All tombstones.
    ///
    /// # Errors
    /// They cannot be read for certain.
    fn read_all(&self) -> io::Result<Vec<Tombstone>>;
}

/// A file of records, for its owner only.
pub struct FileLog {
    file: Mutex<File>,
}

impl FileLog {
    /// Opens the file, after creating it if it does not exist.
    ///
    /// # Errors
    /// It cannot be created or opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        file.sync_all()?;
        #[cfg(unix)]
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self { file: Mutex::new(file) })
    }
}

impl TombstoneLog for FileLog {
    fn append(&self, tombstone: &Tombstone) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Over a record that was cut short, so that those after it stay where they are looked for.
        let end = file.metadata()?.len();
        let cut_short = end.checked_rem(RECORD_BYTES as u64).unwrap_or(0);
        file.seek(SeekFrom::Start(end.saturating_sub(cut_short)))?;
        file.write_all(&tombstone.to_bytes())?;
        file.sync_all()
    }

    fn read_all(&self) -> io::Result<Vec<Tombstone>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        let (records, _cut_short) = bytes.as_chunks::<RECORD_BYTES>();
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the log of deleted accounts is damaged");
        records.iter().map(|record| Tombstone::parse(record).ok_or_else(damaged)).collect()
    }
}

/// Tombstones in memory, for tests and examples.
#[derive(Default)]
pub struct MemoryLog(Mutex<Vec<Tombstone>>);

impl TombstoneLog for MemoryLog {
    fn append(&self, tombstone: &Tombstone) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(*tombstone);
        Ok(())
    }

    fn read_all(&self) -> io::Result<Vec<Tombstone>> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(number: u8) -> Tombstone {
        Tombstone { mac: [number; 32], day: Day(20_000 + u32::from(number)) }
    }

    #[test]
    fn log_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tombstones");
        FileLog::open(&path).unwrap().append(&tombstone(1)).unwrap();
        FileLog::open(&path).unwrap().append(&tombstone(2)).unwrap();
        assert_eq!(FileLog::open(&path).unwrap().read_all().unwrap(), [tombstone(1), tombstone(2)]);
    }

    #[test]
    fn record_that_was_cut_short_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tombstones");
        FileLog::open(&path).unwrap().append(&tombstone(1)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(&[9; 17]);
        std::fs::write(&path, bytes).unwrap();
        let log = FileLog::open(&path).unwrap();
        assert_eq!(log.read_all().unwrap(), [tombstone(1)]);
        log.append(&tombstone(2)).unwrap();
        assert_eq!(log.read_all().unwrap(), [tombstone(1), tombstone(2)]);
    }

    #[test]
    fn damaged_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tombstones");
        let log = FileLog::open(&path).unwrap();
        log.append(&tombstone(1)).unwrap();
        for bit in 0..RECORD_BYTES * 8 {
            let mut bytes = tombstone(1).to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            assert!(FileLog::open(&path).unwrap().read_all().is_err(), "bit {bit}");
        }
    }
}
