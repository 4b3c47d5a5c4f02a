//! Keys of the API: each has a name, scopes and perhaps an end. Of its secret only a hash is kept, in the table `keys` of the
//! data folder.
//!
//! A key reads `tacet_` ‖ id ‖ `_` ‖ secret. The id finds the record and is no secret; the secret is 32 random bytes, so no
//! slow hash is needed.

use super::{scope::Scope, short_id::short_id};
use crate::{lock::lock, random::random, sha256::sha256};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tacet_data::{DataDirectory, StorageError, Table};
use tacet_proto::bytes::Fixed;

/// How every key begins, for people and for programs that look for secrets.
const PREFIX: &str = "tacet_";
/// Maximum number of keys.
pub const MAX_KEYS: usize = 1_000;
/// Maximum length of a key's name, in characters.
pub const MAX_KEY_NAME: usize = 64;
/// The last use of a key is kept in steps of this many seconds.
const USE_STEP: u64 = 3_600;

short_id!(KeyId, InvalidKeyId, "a key");

/// Why a key is not created or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its name is empty, too long, or has characters that cannot be printed.
    #[error("the name of a key has 1 to {MAX_KEY_NAME} characters, all of them printable")]
    Name,
    /// It would allow nothing.
    #[error("a key needs a scope")]
    NoScope,
    /// It would have expired already.
    #[error("the key would have expired already")]
    Expired,
    /// There are too many.
    #[error("there are {MAX_KEYS} keys; revoke one first")]
    TooMany,
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
    /// The record cannot be written.
    #[error("the key cannot be stored")]
    Storage(#[from] StorageError),
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// Names it.
    pub id: KeyId,
    /// What its maker calls it.
    pub name: String,
    /// What it allows, in order and each once.
    pub scopes: Vec<Scope>,
    /// When it was created, in seconds since 1970.
    pub created: u64,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
    /// The hour of its last use, in seconds since 1970.
    pub used: Option<u64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    name: String,
    hash: Fixed<32>,
    scopes: Vec<Scope>,
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
}

/// All keys but the operator's own.
#[derive(Default)]
pub struct ApiKeys {
    keys: Mutex<BTreeMap<KeyId, StoredKey>>,
    table: Option<Table<StoredKey>>,
    /// Held from reading a record to writing its successor.
    changing: Mutex<()>,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").finish_non_exhaustive()
    }
}

impl ApiKeys {
    /// The keys of a data folder.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn open(data: &DataDirectory) -> Result<Self, StorageError> {
        let (table, records) = data.table("keys")?;
        let keys = records.into_iter().filter_map(|(key, record)| Some((key.parse().ok()?, record)));
        Ok(Self { keys: Mutex::new(keys.collect()), table: Some(table), changing: Mutex::default() })
    }

    /// Creates a key. Returns what is known of it, and the key itself, which is not kept. May block until it is stored.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn create(
        &self,
        name: &str,
        mut scopes: Vec<Scope>,
        expires: Option<u64>,
        now: SystemTime,
    ) -> Result<(KeyDescription, String), KeyError> {
        if name.is_empty() || name.chars().count() > MAX_KEY_NAME || name.chars().any(char::is_control) {
            return Err(KeyError::Name);
        }
        scopes.sort_unstable();
        scopes.dedup();
        if scopes.is_empty() {
            return Err(KeyError::NoScope);
        }
        let created = seconds(now);
        if expires.is_some_and(|expires| expires <= created) {
            return Err(KeyError::Expired);
        }
        let _changing = lock(&self.changing);
        if self.keys().len() >= MAX_KEYS {
            return Err(KeyError::TooMany);
        }
        let id = KeyId::random().map_err(|_| KeyError::NoRandomness)?;
        let secret: [u8; 32] = random().map_err(|_| KeyError::NoRandomness)?;
        let text = format!("{PREFIX}{id}_{}", BASE64URL_NOPAD.encode(&secret));
        let hash = Fixed(sha256(text.as_bytes()));
        let record = StoredKey { name: name.to_owned(), hash, scopes, created, expires, used: None };
        self.write(id, &record)?;
        let description = described(id, &record);
        self.keys().insert(id, record);
        Ok((description, text))
    }

    /// The key that a text is, if it is one that has not ended.
    #[must_use]
    pub fn find(&self, text: &str, now: SystemTime) -> Option<KeyDescription> {
        let (id, _) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let id = id.parse().ok()?;
        let keys = self.keys();
        let record = keys.get(&id)?;
        let is_right = verify_slices_are_equal(&sha256(text.as_bytes()), &record.hash.0).is_ok();
        let is_over = record.expires.is_some_and(|expires| expires <= seconds(now));
        (is_right && !is_over).then(|| described(id, record))
    }

    /// Whether the use of a key now is to be recorded, which it is once an hour.
    #[must_use]
    pub fn is_first_use_of_hour(&self, id: KeyId, now: SystemTime) -> bool {
        self.keys().get(&id).is_some_and(|record| record.used != Some(hour(now)))
    }

    /// Records that a key was used. May block until it is stored.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record_use(&self, id: KeyId, now: SystemTime) -> Result<(), StorageError> {
        let _changing = lock(&self.changing);
        let Some(mut record) = self.keys().get(&id).cloned() else { return Ok(()) };
        if record.used == Some(hour(now)) {
            return Ok(());
        }
        record.used = Some(hour(now));
        // Even if it cannot be written, it is not tried again within the hour.
        self.keys().insert(id, record.clone());
        self.write(id, &record)
    }

    /// All keys, those that have ended among them, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<KeyDescription> {
        self.keys().iter().map(|(id, record)| described(*id, record)).collect()
    }

    /// Ends a key. Returns whether there was one. May block until that is stored.
    ///
    /// # Errors
    /// It cannot be stored; the key stays.
    pub fn revoke(&self, id: KeyId) -> Result<bool, StorageError> {
        let _changing = lock(&self.changing);
        if !self.keys().contains_key(&id) {
            return Ok(false);
        }
        if let Some(table) = &self.table {
            table.remove(&id.to_string())?;
        }
        Ok(self.keys().remove(&id).is_some())
    }

    fn write(&self, id: KeyId, record: &StoredKey) -> Result<(), StorageError> {
        self.table.as_ref().map_or(Ok(()), |table| table.put(&id.to_string(), record))
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyId, StoredKey>> {
        lock(&self.keys)
    }
}

fn described(id: KeyId, record: &StoredKey) -> KeyDescription {
    let StoredKey { name, scopes, created, expires, used, .. } = record.clone();
    KeyDescription { id, name, scopes, created, expires, used }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since: Duration| since.as_secs())
}

fn hour(time: SystemTime) -> u64 {
    let seconds = seconds(time);
    seconds - seconds % USE_STEP
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn key_opens_until_it_expires_or_is_revoked() {
        let keys = ApiKeys::default();
        let (key, text) = keys.create("shop", vec![Scope::RoomsWrite], Some(2_000), at(1_000)).unwrap();
        assert_eq!(keys.find(&text, at(1_999)), Some(key.clone()));
        assert_eq!(keys.find(&text, at(2_000)), None, "its end");
        for wrong in ["", "tacet_", &text[..text.len() - 1], &format!("{text}A"), &text.replace("tacet_", "tacet-")] {
            assert_eq!(keys.find(wrong, at(1_000)), None, "{wrong}");
        }
        let (other, _) = keys.create("other", vec![Scope::Keys], None, at(1_000)).unwrap();
        let swapped = text.replace(&key.id.to_string(), &other.id.to_string());
        assert_eq!(keys.find(&swapped, at(1_000)), None, "the secret of another");
        assert!(keys.revoke(key.id).unwrap() && !keys.revoke(key.id).unwrap());
        assert_eq!(keys.find(&text, at(1_000)), None);
    }

    #[test]
    fn keys_outlive_the_process_and_their_secrets_are_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let open = || ApiKeys::open(&DataDirectory::open(folder.path()).unwrap()).unwrap();
        let keys = open();
        let (key, text) = keys.create("shop", vec![Scope::Stats, Scope::Keys, Scope::Stats], None, at(7_300)).unwrap();
        assert_eq!(key.scopes, [Scope::Stats, Scope::Keys]);
        keys.record_use(key.id, at(7_300)).unwrap();
        assert!(!keys.is_first_use_of_hour(key.id, at(7_400)) && keys.is_first_use_of_hour(key.id, at(10_800)));
        drop(keys);
        let file = fs::read_to_string(folder.path().join("keys").join(format!("{}.json", key.id))).unwrap();
        assert!(!file.contains(text.rsplit('_').next().unwrap()), "{file}");
        let keys = open();
        assert_eq!(keys.list(), [KeyDescription { used: Some(7_200), ..key.clone() }], "to the hour");
        assert!(keys.find(&text, at(8_000)).is_some());
        keys.revoke(key.id).unwrap();
        drop(keys);
        assert!(open().list().is_empty());
    }

    #[test]
    fn key_has_a_name_a_scope_and_time_left() {
        let keys = ApiKeys::default();
        let create = |name: &str, scopes, expires| keys.create(name, scopes, expires, at(1_000)).map(|_| ());
        assert!(matches!(create("", vec![Scope::Keys], None), Err(KeyError::Name)));
        assert!(matches!(create("a\nb", vec![Scope::Keys], None), Err(KeyError::Name)));
        assert!(matches!(create(&"a".repeat(65), vec![Scope::Keys], None), Err(KeyError::Name)));
        assert!(matches!(create("a", vec![], None), Err(KeyError::NoScope)));
        assert!(matches!(create("a", vec![Scope::Keys], Some(1_000)), Err(KeyError::Expired)));
    }
}
