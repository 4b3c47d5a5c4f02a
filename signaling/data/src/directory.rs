//! The folder itself: created, locked, and divided into tables.

use crate::table::{Records, StorageError, Table};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the file that is locked.
const LOCK: &str = "lock";

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It does not exist and cannot be created, or its lock file cannot be opened.
    #[error("cannot use the data folder {}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("another server uses the data folder {}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// An open data folder. It stays locked until this value and all of its tables are dropped. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DataDirectory(Arc<Opened>);

#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    /// The lock ends with the file, and so with the process, however that ends.
    _lock: File,
}

impl DataDirectory {
    /// Opens a data folder, after creating it and its parents if they do not exist. New folders have mode 0700.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process has the folder open; [`OpenError::Unusable`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        create(path).map_err(unusable)?;
        let lock = private().create(true).truncate(false).open(path.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {
                warn_of_readers(path);
                Ok(Self(Arc::new(Opened { path: path.to_owned(), _lock: lock })))
            }
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Whether another process has a folder open. Creates nothing. A server that starts at this very moment may be refused.
    ///
    /// # Errors
    /// [`OpenError::Unusable`] if the lock file cannot be opened.
    pub fn is_in_use(path: &Path) -> Result<bool, OpenError> {
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        let lock = match OpenOptions::new().read(true).write(true).open(path.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unusable(error)),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Whether users other than its owner may look into a folder.
    #[must_use]
    pub fn is_open_to_others(path: &Path) -> bool {
        is_open_to_others(path)
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Opens a table, and reads its records. A table must be opened once at a time.
    ///
    /// # Errors
    /// The table's folder or one of its files cannot be read. Files that can be read and do not hold a record are set
    /// aside instead.
    pub fn table<V: Serialize + DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<(Table<V>, Records<V>), StorageError> {
        let path = self.0.path.join(name);
        create(&path).map_err(|source| StorageError::new(&path, source))?;
        Table::open(Arc::clone(&self.0), path)
    }
}

/// Whether other users may look into a folder, which holds a private key.
#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|folder| folder.permissions().mode() & 0o077 != 0)
}

/// Elsewhere access is not a matter of modes.
#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

fn warn_of_readers(path: &Path) {
    if is_open_to_others(path) {
        tracing::warn!(folder = %path.display(), "other users may look into the data folder, which holds private keys: chmod 700");
    }
}

/// Creates a folder and its parents, unless they exist.
fn create(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Options for writing files that only their owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_created_for_its_owner_only() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let data = DataDirectory::open(&path).unwrap();
        assert_eq!(data.path(), path);
        let _table = data.table::<u32>("numbers").unwrap();
        #[cfg(unix)]
        for folder in [path.clone(), path.join("numbers")] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    #[cfg(unix)]
    fn folder_open_to_others_is_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        for (mode, expected) in [(0o700, false), (0o755, true), (0o710, true), (0o701, true)] {
            fs::set_permissions(temporary.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_others(temporary.path()), expected, "{mode:o}");
        }
    }

    #[test]
    fn folder_is_used_by_one_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let first = DataDirectory::open(temporary.path()).unwrap();
        let (table, _) = first.table::<u32>("numbers").unwrap();
        drop(first);
        let error = DataDirectory::open(temporary.path()).unwrap_err();
        assert!(matches!(error, OpenError::InUse { .. }), "a table keeps the folder: {error}");
        drop(table);
        DataDirectory::open(temporary.path()).unwrap();
    }

    #[test]
    fn folder_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDirectory::open(&file.path().join("data")).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }));
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }
}
