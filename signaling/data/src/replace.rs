//! Replaces a file as a whole, durably.

use crate::directory::private;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// How the name of a file ends while it is written.
pub(crate) const PART: &str = ".part";

/// Replaces the contents of a file, or creates it. When this returns, the contents are on the disk; after a failure the
/// old file is there unchanged.
///
/// Must not run twice at the same time for one path.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let part = part_of(path);
    let written = write(&part, contents).and_then(|()| fs::rename(&part, path));
    if let Err(error) = written {
        // On a full disk, also frees what was written.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    flush_folder(path)
}

/// Removes a file durably. One that does not exist is removed already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => flush_folder(path),
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    name.into()
}

fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = private().create(true).truncate(true).open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

/// Makes changes of names in a file's folder durable.
#[cfg(unix)]
fn flush_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// Elsewhere a folder cannot be opened as a file; the file system's journal keeps the order of its changes.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "fails where folders can be flushed")]
fn flush_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
