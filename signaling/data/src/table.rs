//! A table: records of one type, one JSON file each.

use crate::{
    directory::Opened,
    replace::{self, PART},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt, fs, io,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

const EXTENSION: &str = ".json";
/// Longest key, in bytes: file systems allow names of 255.
const MAX_KEY: usize = 128;

/// A record cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot read or write {}", path.display())]
pub struct StorageError {
    path: PathBuf,
    source: io::Error,
}

impl StorageError {
    pub(crate) fn new(path: &Path, source: io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }

    /// Whether the disk, or the share of it that the process may use, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded)
    }
}

/// The records that a table held when it was opened, by key, in no particular order.
pub type Records<V> = Vec<(String, V)>;

/// Records of one type, which are written through to the disk. The records themselves are kept by the caller.
///
/// Keys are 1 to 128 characters of `a`–`z`, `0`–`9`, `-` and `_`: file names that every file system tells apart.
pub struct Table<V> {
    path: PathBuf,
    /// One write at a time: two of one record would share their temporary file.
    writing: Mutex<()>,
    _opened: Arc<Opened>,
    values: PhantomData<fn(V) -> V>,
}

impl<V> fmt::Debug for Table<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<V: Serialize + DeserializeOwned> Table<V> {
    pub(crate) fn open(opened: Arc<Opened>, path: PathBuf) -> Result<(Self, Records<V>), StorageError> {
        let records = read(&path)?;
        Ok((Self { path, writing: Mutex::default(), _opened: opened, values: PhantomData }, records))
    }

    /// Writes a record, which replaces the one that has this key. When this returns it is on the disk.
    ///
    /// # Errors
    /// The key is not valid, or the record cannot be written, for example because the disk is full. The old record is
    /// kept then.
    pub fn put(&self, key: &str, value: &V) -> Result<(), StorageError> {
        let path = self.file(key)?;
        let error = |source| StorageError::new(&path, source);
        let json = serde_json::to_vec(value).map_err(|cause| error(cause.into()))?;
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        replace::replace(&path, &json).map_err(error)
    }

    /// Removes a record, if there is one with this key.
    ///
    /// # Errors
    /// The key is not valid, or the record cannot be removed.
    pub fn remove(&self, key: &str) -> Result<(), StorageError> {
        let path = self.file(key)?;
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        replace::remove(&path).map_err(|source| StorageError::new(&path, source))
    }

    fn file(&self, key: &str) -> Result<PathBuf, StorageError> {
        if is_key(key) {
            return Ok(self.path.join(format!("{key}{EXTENSION}")));
        }
        Err(StorageError::new(&self.path, io::Error::new(io::ErrorKind::InvalidInput, "not a key of a table")))
    }
}

fn is_key(key: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(plain)
}

/// Reads all records of a table, and removes what interrupted writes have left.
fn read<V: DeserializeOwned>(folder: &Path) -> Result<Records<V>, StorageError> {
    let error = |source| StorageError::new(folder, source);
    let mut records = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(PART) {
            // The write was not acknowledged, and the old record is there.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "cannot remove what an interrupted write has left: ignored");
            }
        } else if let Some(key) = name.strip_suffix(EXTENSION) {
            match parse(&path)? {
                Ok(value) if is_key(key) => records.push((key.to_owned(), value)),
                Ok(_) => tracing::warn!(file = %path.display(), "not the name of a record: ignored"),
                Err(cause) => set_aside(&path, &cause),
            }
        }
    }
    Ok(records)
}

/// Why an entry of the folder holds no record.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error(transparent)]
    Unreadable(io::Error),
    #[error(transparent)]
    NoRecord(serde_json::Error),
}

/// The record in a file, or why it is none.
///
/// # Errors
/// The disk fails, or too many files are open: that says nothing about this file.
fn parse<V: DeserializeOwned>(path: &Path) -> Result<Result<V, Damage>, StorageError> {
    use io::ErrorKind::{IsADirectory, NotFound, PermissionDenied};
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).map_err(Damage::NoRecord)),
        // A folder, a file of another user, a link that leads nowhere.
        Err(error) if matches!(error.kind(), IsADirectory | NotFound | PermissionDenied) => {
            Ok(Err(Damage::Unreadable(error)))
        }
        Err(error) => Err(StorageError::new(path, error)),
    }
}

/// Renames what should be a record and is none, so that the next write of its record does not destroy it.
fn set_aside(path: &Path, cause: &Damage) {
    let free = (0..).map(|number| match number {
        0 => format!("{}.damaged", path.display()),
        _ => format!("{}.damaged-{number}", path.display()),
    });
    let Some(aside) = free.map(PathBuf::from).find(|aside| aside.symlink_metadata().is_err()) else { return };
    match fs::rename(path, &aside) {
        Ok(()) => {
            tracing::error!(file = %path.display(), kept_as = %aside.display(), %cause, "damaged record: set aside, the others are loaded");
        }
        Err(error) => {
            tracing::error!(file = %path.display(), %cause, %error, "damaged record, which cannot be set aside: ignored, the others are loaded");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::DataDirectory;
    use std::collections::BTreeMap;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// Opens the table as the next process would.
        fn open(&self) -> (Table<Vec<u32>>, BTreeMap<String, Vec<u32>>) {
            let (table, records) = DataDirectory::open(self.0.path()).unwrap().table("lists").unwrap();
            (table, records.into_iter().collect())
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.path().join("lists").join(name)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(self.file(""))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    #[test]
    fn records_outlive_the_process() {
        let folder = Folder::new();
        let (table, records) = folder.open();
        assert!(records.is_empty());
        table.put("a", &vec![1]).unwrap();
        table.put("a", &vec![1, 2]).unwrap();
        table.put("b", &vec![3]).unwrap();
        table.put("c", &vec![4]).unwrap();
        table.remove("c").unwrap();
        table.remove("never-was").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(folder.file("a.json")).unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(table);
        assert_eq!(folder.names(), ["a.json", "b.json"], "no temporary files are left");
        let (_, records) = folder.open();
        assert_eq!(records, BTreeMap::from([("a".to_owned(), vec![1, 2]), ("b".to_owned(), vec![3])]));
    }

    /// Entries that are no files, or lead nowhere, do not keep the server from starting.
    #[test]
    #[cfg(unix)]
    fn entries_that_cannot_be_read_are_set_aside() {
        let folder = Folder::new();
        let (table, _) = folder.open();
        table.put("good", &vec![1]).unwrap();
        drop(table);
        fs::create_dir(folder.file("folder.json")).unwrap();
        fs::create_dir(folder.file("other.json.part")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", folder.file("link.json")).unwrap();
        let (table, records) = folder.open();
        assert_eq!(records, BTreeMap::from([("good".to_owned(), vec![1])]));
        let names = ["folder.json.damaged", "good.json", "link.json.damaged", "other.json.part"];
        assert_eq!(folder.names(), names);
        table.put("folder", &vec![2]).unwrap();
    }

    /// Without its folder a table cannot write, as on a full disk.
    #[test]
    fn failed_write_keeps_the_old_record() {
        let folder = Folder::new();
        let (table, _) = folder.open();
        table.put("a", &vec![1]).unwrap();
        // A folder has the temporary file's name.
        fs::create_dir(folder.file("a.json.part")).unwrap();
        let error = table.put("a", &vec![2]).unwrap_err();
        assert!(!error.is_full() && error.to_string().contains("a.json"), "{error}");
        fs::remove_dir(folder.file("a.json.part")).unwrap();
        drop(table);
        assert_eq!(folder.open().1["a"], [1]);
    }

    #[test]
    fn full_disk_is_recognised() {
        let error = |kind: io::ErrorKind| StorageError::new(Path::new("x"), kind.into());
        assert!(error(io::ErrorKind::StorageFull).is_full() && error(io::ErrorKind::QuotaExceeded).is_full());
        assert!(!error(io::ErrorKind::PermissionDenied).is_full());
    }

    #[test]
    fn interrupted_write_is_discarded() {
        let folder = Folder::new();
        folder.open().0.put("a", &vec![1]).unwrap();
        fs::write(folder.file("a.json.part"), b"[1,2").unwrap();
        assert_eq!(folder.open().1["a"], [1]);
        assert_eq!(folder.names(), ["a.json"]);
    }

    #[test]
    fn damaged_record_is_set_aside() {
        let folder = Folder::new();
        let (table, _) = folder.open();
        table.put("good", &vec![1]).unwrap();
        drop(table);
        for _ in 0..2 {
            fs::write(folder.file("bad.json"), b"[1,").unwrap();
            let (_, records) = folder.open();
            assert_eq!(records, BTreeMap::from([("good".to_owned(), vec![1])]));
        }
        assert_eq!(folder.names(), ["bad.json.damaged", "bad.json.damaged-1", "good.json"]);
        assert_eq!(fs::read(folder.file("bad.json.damaged")).unwrap(), b"[1,");
    }

    #[test]
    fn keys_cannot_leave_the_folder() {
        let folder = Folder::new();
        let (table, _) = folder.open();
        for key in ["", "../a", "a/b", "A", ".", "a.b", "ä", &"a".repeat(129)] {
            assert!(table.put(key, &vec![]).is_err() && table.remove(key).is_err(), "{key}");
        }
        table.put(&"a".repeat(128), &vec![]).unwrap();
    }
}
