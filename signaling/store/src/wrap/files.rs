//! Where sealed wrap keys lie: one small file each, apart from the databases, because a database keeps old pages.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Holds the files of wrap keys.
pub trait WrapFiles: Send + Sync {
    /// All files: number and contents.
    ///
    /// # Errors
    /// They cannot be read.
    fn read_all(&self) -> io::Result<Vec<(u32, Vec<u8>)>>;

    /// Writes a file, or replaces it, in one step; durable when this returns.
    ///
    /// # Errors
    /// The old file is there, or the new one.
    fn write(&self, number: u32, contents: &[u8]) -> io::Result<()>;

    /// Overwrites and removes a file, if it is there; durable when this returns.
    ///
    /// # Errors
    /// The file may be there, whole or overwritten.
    fn destroy(&self, number: u32) -> io::Result<()>;
}

/// A folder with files `N.wrap`, for their owner only.
pub struct FolderFiles {
    path: PathBuf,
}

impl FolderFiles {
    /// Opens the folder, after creating it if it does not exist, and removes what interrupted writes have left.
    ///
    /// # Errors
    /// The folder cannot be created or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        for entry in fs::read_dir(path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number}.wrap"))
    }

    /// Makes changes of names durable.
    #[cfg(unix)]
    fn flush(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Elsewhere a folder cannot be opened as a file.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "fails where folders can be flushed")]
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl WrapFiles for FolderFiles {
    fn read_all(&self) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".wrap")?.parse().ok());
            if let Some(number) = number {
                let contents = fs::read(path)?;
                // Overwritten, and not removed before a crash.
                if contents.iter().any(|byte| *byte != 0) {
                    files.push((number, contents));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    fn write(&self, number: u32, contents: &[u8]) -> io::Result<()> {
        let (path, part) = (self.file(number), self.path.join(format!("{number}.part")));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&part)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(part, path)?;
        self.flush()
    }

    fn destroy(&self, number: u32) -> io::Result<()> {
        let path = self.file(number);
        let mut file = match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.flush(),
            file => file?,
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        file.rewind()?;
        file.write_all(&vec![0; length])?;
        file.sync_all()?;
        fs::remove_file(path)?;
        self.flush()
    }
}

/// Files in memory, for tests and examples.
#[derive(Default)]
pub struct MemoryFiles(Mutex<BTreeMap<u32, Vec<u8>>>);

impl WrapFiles for MemoryFiles {
    fn read_all(&self) -> io::Result<Vec<(u32, Vec<u8>)>> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(files.iter().map(|(number, contents)| (*number, contents.clone())).collect())
    }

    fn write(&self, number: u32, contents: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, contents.to_vec());
        Ok(())
    }

    fn destroy(&self, number: u32) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outlive_the_process_until_they_are_destroyed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrap");
        let files = FolderFiles::open(&path).unwrap();
        files.write(2, b"two").unwrap();
        files.write(10, b"old").unwrap();
        files.write(10, b"ten").unwrap();
        fs::write(path.join("11.part"), b"interrupted").unwrap();
        let files = FolderFiles::open(&path).unwrap();
        assert_eq!(files.read_all().unwrap(), [(2, b"two".to_vec()), (10, b"ten".to_vec())]);
        assert!(!path.join("11.part").exists());
        files.destroy(2).unwrap();
        files.destroy(2).unwrap();
        assert_eq!(files.read_all().unwrap().len(), 1);
        fs::write(path.join("10.wrap"), [0; 3]).unwrap();
        assert!(files.read_all().unwrap().is_empty(), "overwritten before a crash");
    }

    /// The file that is unlinked held zeros at last: another link to it shows that.
    #[test]
    fn destroyed_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let files = FolderFiles::open(folder.path()).unwrap();
        files.write(1, b"secret").unwrap();
        fs::hard_link(folder.path().join("1.wrap"), folder.path().join("link")).unwrap();
        files.destroy(1).unwrap();
        assert_eq!(fs::read(folder.path().join("link")).unwrap(), [0; 6]);
    }

    #[test]
    #[cfg(unix)]
    fn files_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrap");
        FolderFiles::open(&path).unwrap().write(1, b"x").unwrap();
        for path in [path.clone(), path.join("1.wrap")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
        }
    }
}
