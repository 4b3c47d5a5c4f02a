//! Resume keys that outlive the process and change each day, in the table `secrets` of the data folder.

use super::keys::{ResumeKey, ResumeKeys};
use crate::random::random;
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tacet_data::{DataDirectory, StorageError, Table};
use tacet_proto::bytes::Fixed;

/// Age at which a key no longer seals. It opens for one more such time.
const LIFE: Duration = Duration::from_secs(24 * 3_600);
/// The record's key in its table.
const RECORD: &str = "resume";

/// Resume keys, and the record from which the next process reads them.
#[derive(Debug)]
pub struct DailyKeys {
    keys: Arc<ResumeKeys>,
    /// Start of the current key.
    since: SystemTime,
    table: Table<StoredKeys>,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// They cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
}

#[derive(Serialize, Deserialize)]
struct StoredKeys {
    current: Fixed<32>,
    /// Start of the current key, in seconds since 1970.
    since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Fixed<32>>,
}

impl DailyKeys {
    /// The keys of a data folder, which are made if there are none, or none that can be read.
    ///
    /// # Errors
    /// See [`KeysError`].
    pub fn open(data: &DataDirectory, now: SystemTime) -> Result<Self, KeysError> {
        let (table, records) = data.table("secrets")?;
        let stored = records.into_iter().find(|(key, _): &(_, StoredKeys)| key == RECORD);
        if let Some((_, StoredKeys { current, since, previous })) = stored {
            let keys = ResumeKeys::new(ResumeKey(current.0), previous.map(|key| ResumeKey(key.0)));
            let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since));
            let mut daily = Self { keys: Arc::new(keys), since: since.unwrap_or(SystemTime::UNIX_EPOCH), table };
            daily.renew(now)?;
            return Ok(daily);
        }
        let key = ResumeKey(random().map_err(|_| KeysError::NoRandomness)?);
        write(&table, key, now, None)?;
        Ok(Self { keys: Arc::new(ResumeKeys::new(key, None)), since: now, table })
    }

    /// The keys, which change as [`renew`](Self::renew) is called.
    #[must_use]
    pub fn keys(&self) -> &Arc<ResumeKeys> {
        &self.keys
    }

    /// Replaces the current key if it is a day old. Call it now and then; it may wait for the disk.
    ///
    /// # Errors
    /// See [`KeysError`]. The keys are unchanged then.
    pub fn renew(&mut self, now: SystemTime) -> Result<(), KeysError> {
        // A start that lies ahead was written under a wrong clock, and would never become old.
        if now.duration_since(self.since).is_ok_and(|age| age < LIFE) {
            return Ok(());
        }
        let next = ResumeKey(random().map_err(|_| KeysError::NoRandomness)?);
        write(&self.table, next, now, Some(self.keys.current()))?;
        self.keys.rotate(next);
        self.since = now;
        tracing::debug!("resume key renewed");
        Ok(())
    }
}

fn write(
    table: &Table<StoredKeys>,
    current: ResumeKey,
    since: SystemTime,
    previous: Option<ResumeKey>,
) -> Result<(), StorageError> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let previous = previous.map(|key| Fixed(key.0));
    table.put(RECORD, &StoredKeys { current: Fixed(current.0), since, previous })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    const HOUR: Duration = Duration::from_secs(3_600);

    fn open(folder: &Path, now: SystemTime) -> DailyKeys {
        DailyKeys::open(&DataDirectory::open(folder).unwrap(), now).unwrap()
    }

    fn pair(daily: &DailyKeys) -> (ResumeKey, Option<ResumeKey>) {
        (daily.keys().current(), daily.keys().previous())
    }

    #[test]
    fn keys_outlive_the_process_and_change_each_day() {
        let (folder, start) = (tempfile::tempdir().unwrap(), SystemTime::UNIX_EPOCH + 400_000 * HOUR);
        let first = pair(&open(folder.path(), start));
        assert_eq!(first.1, None);
        assert_eq!(pair(&open(folder.path(), start + 23 * HOUR)), first, "the next process has the same key");

        let mut daily = open(folder.path(), start + 24 * HOUR);
        let second = pair(&daily);
        assert_ne!(second.0, first.0);
        assert_eq!(second.1, Some(first.0), "the last one still opens");
        daily.renew(start + 47 * HOUR).unwrap();
        assert_eq!(pair(&daily), second);
        daily.renew(start + 48 * HOUR).unwrap();
        let third = pair(&daily);
        assert_eq!(third.1, Some(second.0));
        drop(daily);
        assert_eq!(pair(&open(folder.path(), start + 48 * HOUR)), third);
    }

    #[test]
    fn key_from_a_clock_that_was_ahead_is_replaced() {
        let (folder, start) = (tempfile::tempdir().unwrap(), SystemTime::UNIX_EPOCH + 400_000 * HOUR);
        let ahead = pair(&open(folder.path(), start + 9_000 * HOUR));
        assert_eq!(pair(&open(folder.path(), start)).1, Some(ahead.0));
    }

    #[test]
    fn damaged_keys_are_replaced_and_a_failed_renewal_changes_nothing() {
        let (folder, start) = (tempfile::tempdir().unwrap(), SystemTime::UNIX_EPOCH + 400_000 * HOUR);
        let first = pair(&open(folder.path(), start));
        fs::write(folder.path().join("secrets/resume.json"), "{").unwrap();
        let mut daily = open(folder.path(), start);
        let second = pair(&daily);
        assert!(second.0 != first.0 && second.1.is_none());

        fs::rename(folder.path().join("secrets"), folder.path().join("aside")).unwrap();
        daily.renew(start + 24 * HOUR).unwrap_err();
        assert_eq!(pair(&daily), second);
    }
}
