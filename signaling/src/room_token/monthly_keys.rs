//! Keys of room tokens that outlive the process and change each month, in the table `token_keys` of the data folder.

use super::{MAX_LIFETIME, SigningSeed, TokenKeys};
use crate::random::random;
use aws_lc_rs::error::KeyRejected;
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tacet_data::{DataDirectory, StorageError, Table};
use tacet_proto::bytes::Fixed;

/// Age at which a key no longer signs. It verifies for one more such time, so for as long as the last token that it signed is
/// good.
const LIFE: Duration = MAX_LIFETIME;
/// The record's key in its table.
const RECORD: &str = "rooms";

/// Keys of room tokens, and the record from which the next process reads them.
#[derive(Debug)]
pub struct MonthlyTokenKeys {
    keys: Arc<TokenKeys>,
    stored: StoredKeys,
    table: Table<StoredKeys>,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeysError {
    /// They cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness(#[from] getrandom::Error),
    /// The library of ciphers refuses a key.
    #[error("a key of room tokens is refused")]
    Refused(#[from] KeyRejected),
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKeys {
    server: Fixed<16>,
    current: Fixed<32>,
    /// Start of the current key, in seconds since 1970.
    since: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Fixed<32>>,
}

impl std::fmt::Debug for StoredKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKeys").field("since", &self.since).finish_non_exhaustive()
    }
}

impl MonthlyTokenKeys {
    /// The keys of a data folder, which are made if there are none, or none that can be read.
    ///
    /// # Errors
    /// See [`TokenKeysError`].
    pub fn open(data: &DataDirectory, now: SystemTime) -> Result<Self, TokenKeysError> {
        let (table, records) = data.table("token_keys")?;
        let stored = records.into_iter().find(|(key, _): &(_, StoredKeys)| key == RECORD);
        let stored = match stored {
            Some((_, stored)) => stored,
            None => {
                let (server, current) = (Fixed(random()?), Fixed(random()?));
                let stored = StoredKeys { server, current, since: seconds(now), previous: None };
                table.put(RECORD, &stored)?;
                stored
            }
        };
        let StoredKeys { server, current, previous, .. } = &stored;
        let seed = |Fixed(seed): &Fixed<32>| SigningSeed(*seed);
        let keys = Arc::new(TokenKeys::new(server.0, seed(current), previous.as_ref().map(seed))?);
        let mut monthly = Self { keys, stored, table };
        monthly.renew(now)?;
        Ok(monthly)
    }

    /// The keys, which change as [`renew`](Self::renew) is called.
    #[must_use]
    pub fn keys(&self) -> &Arc<TokenKeys> {
        &self.keys
    }

    /// Replaces the current key if it is a month old. Call it now and then; it may wait for the disk.
    ///
    /// # Errors
    /// See [`TokenKeysError`]. The keys are unchanged then.
    pub fn renew(&mut self, now: SystemTime) -> Result<(), TokenKeysError> {
        // A start that lies ahead was written under a wrong clock, and would never become old.
        if seconds(now).checked_sub(self.stored.since).is_some_and(|age| age < LIFE.as_secs()) {
            return Ok(());
        }
        let next = random()?;
        let stored = StoredKeys {
            server: self.stored.server,
            current: Fixed(next),
            since: seconds(now),
            previous: Some(self.stored.current),
        };
        self.table.put(RECORD, &stored)?;
        self.keys.rotate(&SigningSeed(next))?;
        self.stored = stored;
        tracing::debug!("key of room tokens renewed");
        Ok(())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{
        super::{TokenError, TokenRequest, issue, verify},
        *,
    };
    use std::path::Path;
    use tacet_proto::{Role, RoomId};

    const ROOM: RoomId = RoomId(Fixed([1; 16]));
    const DAY: Duration = Duration::from_secs(24 * 3_600);

    fn open(folder: &Path, now: SystemTime) -> MonthlyTokenKeys {
        MonthlyTokenKeys::open(&DataDirectory::open(folder).unwrap(), now).unwrap()
    }

    fn token(keys: &MonthlyTokenKeys, now: SystemTime) -> String {
        let request = TokenRequest {
            room: ROOM,
            role: Role::Host,
            capabilities: None,
            identity: None,
            not_before: None,
            lifetime: MAX_LIFETIME,
        };
        issue(keys.keys(), &request, [3; 16], now).unwrap()
    }

    #[test]
    fn token_is_good_to_its_end_across_processes_and_keys() {
        let (folder, start) = (tempfile::tempdir().unwrap(), SystemTime::UNIX_EPOCH + 20_000 * DAY);
        let of_first = token(&open(folder.path(), start), start);
        let end_of_first = start + 30 * DAY - Duration::from_secs(1);
        let last_of_first = token(&open(folder.path(), end_of_first), end_of_first);

        let mut keys = open(folder.path(), start + 30 * DAY);
        let of_second = token(&keys, start + 30 * DAY);
        let read = |keys: &MonthlyTokenKeys, token: &str, now| verify(keys.keys(), ROOM, token, now);
        assert_eq!(read(&keys, &of_first, start + 30 * DAY), Err(TokenError::Expired), "its key still verifies");
        assert!(read(&keys, &last_of_first, start + 59 * DAY).is_ok());
        assert!(read(&keys, &of_second, start + 59 * DAY).is_ok());

        keys.renew(start + 60 * DAY).unwrap();
        assert_eq!(read(&keys, &last_of_first, start + 60 * DAY), Err(TokenError::UnknownKey));
        drop(keys);
        assert_eq!(read(&open(folder.path(), start + 60 * DAY), &of_first, start), Err(TokenError::UnknownKey));
    }

    #[test]
    #[cfg(unix)]
    fn keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), SystemTime::now());
        let file = folder.path().join("token_keys/rooms.json");
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn key_from_a_clock_that_was_ahead_is_replaced_and_a_failed_renewal_changes_nothing() {
        let (folder, start) = (tempfile::tempdir().unwrap(), SystemTime::UNIX_EPOCH + 20_000 * DAY);
        let ahead = open(folder.path(), start + 9_000 * DAY).stored.current;
        let mut keys = open(folder.path(), start);
        assert_eq!(keys.stored.previous, Some(ahead));
        std::fs::rename(folder.path().join("token_keys"), folder.path().join("aside")).unwrap();
        keys.renew(start + 30 * DAY).unwrap_err();
        assert_eq!(keys.stored.previous, Some(ahead));
    }
}
