//! A store of files, as a witness's driver writes them, and three that leave something out.

use super::disk::{Disk, Failed};
use tacet_tlog::{
    WitnessStore,
    witness::{Head, Replaced, origin_hash},
};

/// How carefully the store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    Full,
    NoFlushOfFile,
    NoFlushOfFolder,
    DamagedIsNone,
}

/// A file for each log, replaced by renaming.
pub(crate) struct FileStore {
    disk: Disk,
    care: Care,
    lock: Option<u32>,
    /// A write failed: what a restart would find is unknown.
    uncertain: bool,
}

impl FileStore {
    pub(crate) fn open(disk: Disk, care: Care) -> Self {
        Self { lock: disk.lock(), disk, care, uncertain: false }
    }

    fn put(&self, name: &str, head: &Head) -> Result<(), Failed> {
        self.disk.write("new", &head.to_bytes())?;
        if !matches!(self.care, Care::NoFlushOfFile | Care::DamagedIsNone) {
            self.disk.flush_file("new")?;
        }
        self.disk.rename("new", name)?;
        if self.care != Care::NoFlushOfFolder {
            self.disk.flush_folder()?;
        }
        Ok(())
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.disk.unlock(self.lock);
    }
}

fn name(origin: &str) -> String {
    origin_hash(origin).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl WitnessStore for FileStore {
    type Error = Failed;

    fn head(&self, origin: &str) -> Result<Option<Head>, Failed> {
        if self.uncertain || self.lock.is_none() {
            return Err(Failed);
        }
        let Some(record) = self.disk.read(&name(origin))? else { return Ok(None) };
        match Head::from_bytes(&record) {
            Ok(head) => Ok(Some(head)),
            Err(_) if self.care == Care::DamagedIsNone => Ok(None),
            Err(_) => Err(Failed),
        }
    }

    fn replace(&mut self, origin: &str, expected: Option<&Head>, new: &Head) -> Result<Replaced, Failed> {
        if self.head(origin)?.as_ref() != expected {
            return Ok(Replaced::NotAsExpected);
        }
        self.put(&name(origin), new).inspect_err(|Failed| self.uncertain = true)?;
        Ok(Replaced::Durably)
    }
}
