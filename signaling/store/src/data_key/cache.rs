//! Opened data keys, for a minute at most.

use super::DataKey;
use crate::{database::Purpose, owner::Owner, time::Time};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// How long an opened data key is kept, in seconds.
const LIFE_SECONDS: u64 = 60;
/// Owners whose data keys are kept.
const CAPACITY: usize = 4_096;

/// The versions of a data key that exist.
#[derive(Clone, Default)]
pub(crate) struct Versions(pub(crate) Arc<BTreeMap<u32, DataKey>>);

impl Versions {
    pub(crate) fn get(&self, version: u32) -> Option<&DataKey> {
        self.0.get(&version)
    }

    /// The version that seals.
    pub(crate) fn newest(&self) -> Option<&DataKey> {
        self.0.last_key_value().map(|(_, key)| key)
    }
}

struct Entry {
    opened: Time,
    versions: Versions,
}

/// Keys are only dropped late, never wrong: rows name the version that they need, and a transaction that writes looks up
/// the lowest version that may.
#[derive(Default)]
pub(crate) struct Cache(Mutex<HashMap<(Owner, Purpose), Entry>>);

impl Cache {
    pub(crate) fn get(&self, owner: Owner, purpose: Purpose, now: Time) -> Option<Versions> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&(owner, purpose)).filter(|entry| entry.is_fresh(now)).map(|entry| entry.versions.clone())
    }

    pub(crate) fn put(&self, owner: Owner, purpose: Purpose, versions: Versions, now: Time) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.retain(|_, entry| entry.is_fresh(now));
        }
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        entries.insert((owner, purpose), Entry { opened: now, versions });
    }

    pub(crate) fn forget(&self, owner: Owner) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(of, _), _| *of != owner);
    }

    /// Drops what is too old: to be called now and then, so that keys do not stay because no one asks for them.
    pub(crate) fn expire(&self, now: Time) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, entry| entry.is_fresh(now));
    }
}

impl Entry {
    /// A clock that goes back makes it old.
    fn is_fresh(&self, now: Time) -> bool {
        now >= self.opened && now.seconds_since(self.opened) < LIFE_SECONDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_forgotten_after_a_minute() {
        let (cache, owner) = (Cache::default(), Owner::from_id([1; 16]));
        let at = Time::from_secs;
        cache.put(owner, Purpose::Content, Versions::default(), at(100));
        let has = |now| cache.get(owner, Purpose::Content, at(now)).is_some();
        assert!(has(100) && has(159) && !has(160) && !has(99));
        cache.expire(at(160));
        assert!(!has(100));
        cache.put(owner, Purpose::Content, Versions::default(), at(100));
        cache.forget(owner);
        assert!(!has(100));
    }
}
