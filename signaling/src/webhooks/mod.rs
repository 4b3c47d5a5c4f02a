//! Webhooks: messages about rooms, sent to programs over HTTP as Standard Webhooks describes it.
//!
//! ```text
//!   rooms ──► events (bounded) ──► a delivery for each endpoint, on the disk ──► attempts ──► received, or failed
//!                                                                    ▲   pauses │               and kept as such
//!                                                                    └──────────┘
//! ```
//!
//! A room never waits for any of it. A message is sent at least once: it is on the disk before the first attempt, and is removed
//! after one that was answered with 2xx. Each endpoint has at most [`MAX_QUEUED`] deliveries, and [`MAX_ATTEMPTS_AT_ONCE`] attempts under way, so one
//! that is slow or gone delays no other.

mod event;
mod runner;
mod sending;
mod signature;
mod target;

pub use event::{Event, EventKind};
pub(crate) use runner::run;
pub use sending::Failure;
pub use target::InvalidTarget;

use crate::{
    api::{keys::seconds, short_id::short_id},
    config::WebhookSettings,
    lock::lock,
    metrics::Delivery,
    random::random,
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use signature::{EndpointSecret, Signer};
use std::{
    collections::BTreeMap,
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tacet_data::{DataDirectory, StorageError, Table};
use tacet_proto::bytes::Fixed;
use target::Target;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};

/// Maximum number of endpoints.
pub const MAX_ENDPOINTS: usize = 16;
/// Maximum number of deliveries of an endpoint, waiting and failed. The oldest make space, failed ones first.
pub const MAX_QUEUED: usize = 1_000;
/// Maximum number of attempts of an endpoint at the same time.
pub const MAX_ATTEMPTS_AT_ONCE: usize = 8;
/// Maximum number of events that wait to be written down.
const MAX_EVENTS: usize = 4_096;
/// The record of the server's key in its table.
const KEY: &str = "ed25519";

short_id!(EndpointId, InvalidEndpointId, "a webhook");

/// A delivery: an endpoint, and a number that counts up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DeliveryId {
    endpoint: EndpointId,
    number: u64,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.endpoint, self.number)
    }
}

impl FromStr for DeliveryId {
    type Err = InvalidEndpointId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (endpoint, number) = text.split_once('-').ok_or(InvalidEndpointId)?;
        let number = u64::from_str_radix(number, 16).map_err(|_| InvalidEndpointId)?;
        Ok(Self { endpoint: endpoint.parse()?, number })
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredEndpoint {
    url: String,
    events: Vec<EventKind>,
    secret: EndpointSecret,
    created: u64,
}

struct Endpoint {
    stored: StoredEndpoint,
    /// Deliveries that made space for others, since the server started.
    lost: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredDelivery {
    /// The message's id, the same in every attempt and for every endpoint.
    message: String,
    body: String,
    /// When it happened, in seconds since 1970.
    at: u64,
    attempts: u32,
    /// When the next attempt is due, in milliseconds since 1970.
    due: u64,
    /// Whether there is no further attempt.
    #[serde(default)]
    failed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Serialize, Deserialize)]
struct StoredSeed {
    seed: Fixed<32>,
}

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointDescription {
    /// Names it.
    pub id: EndpointId,
    /// Where messages go.
    pub url: String,
    /// What it is informed of.
    pub events: Vec<EventKind>,
    /// When it was added, in seconds since 1970.
    pub created: u64,
    /// Deliveries that wait for an attempt.
    pub waiting: usize,
    /// Deliveries that failed, and are kept.
    pub failed: usize,
    /// Deliveries that made space for others, since the server started.
    pub lost: u64,
}

/// A delivery that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedDelivery {
    /// The message's id.
    pub message: String,
    /// Its body.
    pub body: String,
    /// When it happened, in seconds since 1970.
    pub at: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub failure: Option<Failure>,
}

/// Why a webhook is not added.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Its URL is not accepted.
    #[error(transparent)]
    Target(#[from] InvalidTarget),
    /// It would be informed of nothing.
    #[error("events: name at least one, or leave it out for all")]
    NoEvents,
    /// There are too many.
    #[error("there are {MAX_ENDPOINTS} webhooks; remove one first")]
    TooMany,
    /// The operating system provides no random numbers.
    #[error("no randomness")]
    NoRandomness,
    /// The record cannot be written.
    #[error("the webhook cannot be stored")]
    Storage(#[from] StorageError),
}

struct Tables {
    endpoints: Table<StoredEndpoint>,
    deliveries: Table<StoredDelivery>,
    keys: Table<StoredSeed>,
}

/// The endpoints, and their deliveries.
pub struct Webhooks {
    endpoints: Mutex<BTreeMap<EndpointId, Endpoint>>,
    deliveries: Mutex<BTreeMap<DeliveryId, StoredDelivery>>,
    signer: Mutex<Option<Arc<Signer>>>,
    tables: Option<Tables>,
    /// Held from reading a record to writing its successor.
    changing: Mutex<()>,
    /// Number of the next delivery.
    next: AtomicU64,
    /// Whether there is an endpoint. Rooms take no lock.
    watched: AtomicBool,
    /// Events that could not wait to be written down, since the server started.
    missed: AtomicU64,
    events: mpsc::Sender<Event>,
    happened: AsyncMutex<mpsc::Receiver<Event>>,
    /// A delivery became due otherwise than by time.
    wake: Notify,
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        let (events, happened) = mpsc::channel(MAX_EVENTS);
        Self {
            endpoints: Mutex::default(),
            deliveries: Mutex::default(),
            signer: Mutex::default(),
            tables: None,
            changing: Mutex::default(),
            next: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            events,
            happened: AsyncMutex::new(happened),
            wake: Notify::new(),
        }
    }
}

impl Webhooks {
    /// The webhooks of a data folder.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn open(data: &DataDirectory) -> Result<Self, StorageError> {
        let (endpoints, stored_endpoints) = data.table("webhooks")?;
        let (deliveries, stored_deliveries) = data.table("webhook-deliveries")?;
        let (keys, seeds) = data.table("webhook-keys")?;
        let known: BTreeMap<EndpointId, Endpoint> = stored_endpoints
            .into_iter()
            .filter_map(|(key, stored)| Some((key.parse().ok()?, Endpoint { stored, lost: 0 })))
            .collect();
        let waiting: BTreeMap<DeliveryId, StoredDelivery> =
            stored_deliveries.into_iter().filter_map(|(key, stored)| Some((key.parse().ok()?, stored))).collect();
        let next = waiting.keys().map(|id| id.number).max().map_or(0, |last| last.saturating_add(1));
        let seed = seeds.into_iter().find(|(key, _): &(_, StoredSeed)| key == KEY);
        Ok(Self {
            watched: AtomicBool::new(!known.is_empty()),
            endpoints: Mutex::new(known),
            deliveries: Mutex::new(waiting),
            signer: Mutex::new(seed.and_then(|(_, StoredSeed { seed })| Signer::new(&seed.0)).map(Arc::new)),
            tables: Some(Tables { endpoints, deliveries, keys }),
            next: AtomicU64::new(next),
            ..Self::default()
        })
    }

    /// Something has happened in a room. Never waits: if more happens than can be written down, it is lost, and counted.
    pub fn notify(&self, event: Event) {
        if self.watched.load(Ordering::Relaxed) && self.events.try_send(event).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds an endpoint; returns what is known of it, and its secret. May block until that is stored.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn add(
        &self,
        url: &str,
        events: Option<Vec<EventKind>>,
        settings: &WebhookSettings,
        now: SystemTime,
    ) -> Result<(EndpointDescription, String), EndpointError> {
        Target::new(url, settings.private)?;
        let mut events = events.unwrap_or_else(|| EventKind::ALL.into());
        events.sort_unstable();
        events.dedup();
        if events.is_empty() {
            return Err(EndpointError::NoEvents);
        }
        let _changing = lock(&self.changing);
        if self.endpoints().len() >= MAX_ENDPOINTS {
            return Err(EndpointError::TooMany);
        }
        self.make_signer()?;
        let id = EndpointId::random().map_err(|_| EndpointError::NoRandomness)?;
        let secret = Fixed(random().map_err(|_| EndpointError::NoRandomness)?);
        let stored = StoredEndpoint { url: url.to_owned(), events, secret, created: seconds(now) };
        if let Some(tables) = &self.tables {
            tables.endpoints.put(&id.to_string(), &stored)?;
        }
        let endpoint = Endpoint { stored, lost: 0 };
        let description = self.described(id, &endpoint);
        self.endpoints().insert(id, endpoint);
        self.watched.store(true, Ordering::Relaxed);
        Ok((description, signature::shown(&secret)))
    }

    /// All endpoints, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<EndpointDescription> {
        self.endpoints().iter().map(|(id, endpoint)| self.described(*id, endpoint)).collect()
    }

    /// The public half of the key that signs all messages, once there is a webhook.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        lock(&self.signer).as_ref().map(|signer| signer.public_key())
    }

    /// Removes an endpoint with its deliveries. Returns whether there was one. May block until that is stored.
    ///
    /// # Errors
    /// It cannot be stored; the endpoint stays.
    pub fn remove(&self, id: EndpointId) -> Result<bool, StorageError> {
        let _changing = lock(&self.changing);
        if !self.endpoints().contains_key(&id) {
            return Ok(false);
        }
        if let Some(tables) = &self.tables {
            tables.endpoints.remove(&id.to_string())?;
        }
        let others = {
            let mut endpoints = self.endpoints();
            endpoints.remove(&id);
            endpoints.len()
        };
        self.watched.store(others > 0, Ordering::Relaxed);
        let deliveries: Vec<_> = self.deliveries().keys().filter(|delivery| delivery.endpoint == id).copied().collect();
        for delivery in deliveries {
            self.erase(delivery)?;
        }
        Ok(true)
    }

    /// The deliveries of an endpoint that failed, the oldest first; `None` if there is no such endpoint.
    #[must_use]
    pub fn failed(&self, id: EndpointId) -> Option<Vec<FailedDelivery>> {
        self.endpoints().get(&id)?;
        let deliveries = self.deliveries();
        let failed = deliveries.iter().filter(|(delivery, stored)| delivery.endpoint == id && stored.failed);
        let described = failed.map(|(_, stored)| {
            let StoredDelivery { message, body, at, attempts, failure, .. } = stored.clone();
            FailedDelivery { message, body, at, attempts, failure }
        });
        Some(described.collect())
    }

    /// Sends all deliveries of an endpoint again that failed. Returns how many, or `None` if there is no such endpoint. May
    /// block until that is stored.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn resend(&self, id: EndpointId, now: SystemTime) -> Result<Option<usize>, StorageError> {
        let _changing = lock(&self.changing);
        if !self.endpoints().contains_key(&id) {
            return Ok(None);
        }
        let failed = |(delivery, stored): &(&DeliveryId, &StoredDelivery)| delivery.endpoint == id && stored.failed;
        let failed: Vec<_> =
            self.deliveries().iter().filter(failed).map(|(delivery, stored)| (*delivery, stored.clone())).collect();
        for (delivery, stored) in &failed {
            let due = milliseconds(now);
            self.put(*delivery, StoredDelivery { failed: false, attempts: 0, due, ..stored.clone() })?;
        }
        self.wake.notify_one();
        Ok(Some(failed.len()))
    }

    /// Makes deliveries of an event. May block until they are stored; those that cannot be, are made in this process alone.
    fn enqueue(&self, event: &Event, now: SystemTime) -> Result<(), EndpointError> {
        let wants = |endpoint: &Endpoint| endpoint.stored.events.contains(&event.kind);
        let _changing = lock(&self.changing);
        let endpoints: Vec<_> =
            self.endpoints().iter().filter(|(_, endpoint)| wants(endpoint)).map(|(id, _)| *id).collect();
        let random: [u8; 12] = random().map_err(|_| EndpointError::NoRandomness)?;
        let (message, at) = (format!("msg_{}", HEXLOWER.encode(&random)), seconds(now));
        let mut stored_all = Ok(());
        for endpoint in endpoints {
            let has_space = self.make_space(endpoint);
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let stored = StoredDelivery {
                message: message.clone(),
                body: event.body(at),
                at,
                attempts: 0,
                due: milliseconds(now),
                failed: false,
                failure: None,
            };
            stored_all = stored_all.and(has_space).and(self.put(DeliveryId { endpoint, number }, stored));
        }
        Ok(stored_all?)
    }

    /// Lets go of the oldest delivery of an endpoint that has too many, a failed one if there is one.
    fn make_space(&self, endpoint: EndpointId) -> Result<(), StorageError> {
        let oldest = {
            let deliveries = self.deliveries();
            let own = || deliveries.iter().filter(|(id, _)| id.endpoint == endpoint);
            if own().count() < MAX_QUEUED {
                return Ok(());
            }
            own().find(|(_, stored)| stored.failed).or_else(|| own().next()).map(|(id, _)| *id)
        };
        let Some(oldest) = oldest else { return Ok(()) };
        if let Some(endpoint) = self.endpoints().get_mut(&endpoint) {
            endpoint.lost += 1;
        }
        self.erase(oldest)
    }

    /// An attempt has ended. May block until that is stored.
    fn attempted(
        &self,
        id: DeliveryId,
        result: Result<(), Failure>,
        settings: &WebhookSettings,
        now: SystemTime,
    ) -> Result<Delivery, StorageError> {
        let _changing = lock(&self.changing);
        // It may have made space, or its endpoint may be gone.
        let Some(stored) = self.deliveries().get(&id).cloned() else {
            return Ok(if result.is_ok() { Delivery::Received } else { Delivery::Failed });
        };
        let Err(failure) = result else { return self.erase(id).map(|()| Delivery::Received) };
        let attempts = stored.attempts.saturating_add(1);
        let pause = settings.pauses.get(stored.attempts as usize).map(|pause| pause.mul_f64(jitter()));
        if pause.is_none() {
            tracing::warn!(endpoint = %id.endpoint, ?failure, "a message to a webhook failed for the last time");
        }
        let due = milliseconds(now.checked_add(pause.unwrap_or_default()).unwrap_or(now));
        let failed = pause.is_none();
        let written = self.put(id, StoredDelivery { attempts, due, failed, failure: Some(failure), ..stored });
        written.map(|()| if failed { Delivery::Failed } else { Delivery::Postponed })
    }

    /// Takes over what is known of a delivery. It holds for this process even if it cannot be stored.
    fn put(&self, id: DeliveryId, stored: StoredDelivery) -> Result<(), StorageError> {
        self.deliveries().insert(id, stored.clone());
        self.tables.as_ref().map_or(Ok(()), |tables| tables.deliveries.put(&id.to_string(), &stored))
    }

    /// Lets go of a delivery. One whose record cannot be removed is sent again by the next process, with the same id.
    fn erase(&self, id: DeliveryId) -> Result<(), StorageError> {
        self.deliveries().remove(&id);
        self.tables.as_ref().map_or(Ok(()), |tables| tables.deliveries.remove(&id.to_string()))
    }

    /// Draws the key of the server, unless there is one.
    fn make_signer(&self) -> Result<(), EndpointError> {
        let mut signer = lock(&self.signer);
        if signer.is_none() {
            let seed = Fixed(random().map_err(|_| EndpointError::NoRandomness)?);
            if let Some(tables) = &self.tables {
                tables.keys.put(KEY, &StoredSeed { seed })?;
            }
            *signer = Signer::new(&seed.0).map(Arc::new);
        }
        Ok(())
    }

    fn described(&self, id: EndpointId, Endpoint { stored, lost }: &Endpoint) -> EndpointDescription {
        let StoredEndpoint { url, events, created, .. } = stored.clone();
        let deliveries = self.deliveries();
        let own = || deliveries.iter().filter(|(delivery, _)| delivery.endpoint == id);
        let failed = own().filter(|(_, stored)| stored.failed).count();
        let lost = lost.saturating_add(self.missed.load(Ordering::Relaxed));
        EndpointDescription { id, url, events, created, waiting: own().count() - failed, failed, lost }
    }

    fn endpoints(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Endpoint>> {
        lock(&self.endpoints)
    }

    fn deliveries(&self) -> MutexGuard<'_, BTreeMap<DeliveryId, StoredDelivery>> {
        lock(&self.deliveries)
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// By how much a pause is longer: 0.8 to 1.2, so that many failed deliveries do not come back at the same moment.
fn jitter() -> f64 {
    let random = random().map_or(u16::MAX / 2, u16::from_be_bytes);
    0.8 + 0.4 * f64::from(random) / f64::from(u16::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tacet_proto::{CallId, RoomId};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    const EVENT: Event = Event {
        kind: EventKind::RoomStarted,
        room: RoomId(Fixed([1; 16])),
        call: CallId(Fixed([2; 16])),
        participant: None,
    };

    fn added(webhooks: &Webhooks) -> EndpointId {
        webhooks.add("https://shop.example/", None, &WebhookSettings::default(), at(0)).unwrap().0.id
    }

    fn first(webhooks: &Webhooks) -> (DeliveryId, StoredDelivery) {
        webhooks.deliveries().iter().map(|(id, stored)| (*id, stored.clone())).next().unwrap()
    }

    #[test]
    fn pauses_grow_until_a_delivery_has_failed() {
        let (webhooks, settings) = (Webhooks::default(), WebhookSettings::default());
        let endpoint = added(&webhooks);
        webhooks.enqueue(&EVENT, at(0)).unwrap();
        let (id, _) = first(&webhooks);
        for pause in &settings.pauses {
            webhooks.attempted(id, Err(Failure::Status(500)), &settings, at(0)).unwrap();
            let waits = Duration::from_millis(first(&webhooks).1.due - milliseconds(at(0)));
            let range = pause.mul_f64(0.79)..pause.mul_f64(1.21);
            assert!(range.contains(&waits) && !first(&webhooks).1.failed, "{waits:?} of {pause:?}");
        }
        assert_eq!(webhooks.failed(endpoint).unwrap(), []);
        webhooks.attempted(id, Err(Failure::Timeout), &settings, at(0)).unwrap();
        let failed = webhooks.failed(endpoint).unwrap();
        assert_eq!((failed.len(), failed[0].attempts, failed[0].failure), (1, 9, Some(Failure::Timeout)));
        assert_eq!(webhooks.resend(endpoint, at(5)).unwrap(), Some(1));
        assert_eq!((first(&webhooks).1.due, first(&webhooks).1.attempts), (milliseconds(at(5)), 0));
        webhooks.attempted(id, Ok(()), &settings, at(5)).unwrap();
        assert!(webhooks.deliveries().is_empty());
    }

    #[test]
    fn deliveries_of_an_endpoint_are_bounded() {
        let (webhooks, settings) =
            (Webhooks::default(), WebhookSettings { pauses: Vec::new(), ..WebhookSettings::default() });
        let endpoint = added(&webhooks);
        for _ in 0..MAX_QUEUED {
            webhooks.enqueue(&EVENT, at(0)).unwrap();
        }
        let second = webhooks.deliveries().keys().nth(1).copied().unwrap();
        webhooks.attempted(second, Err(Failure::Name), &settings, at(0)).unwrap();
        webhooks.enqueue(&EVENT, at(0)).unwrap();
        assert!(!webhooks.deliveries().contains_key(&second), "a failed one goes first");
        let (oldest, _) = first(&webhooks);
        webhooks.enqueue(&EVENT, at(0)).unwrap();
        assert!(!webhooks.deliveries().contains_key(&oldest));
        let described = webhooks.list();
        assert_eq!((described[0].waiting, described[0].failed, described[0].lost), (MAX_QUEUED, 0, 2));
        assert!(webhooks.remove(endpoint).unwrap() && webhooks.deliveries().is_empty());
        assert!(!webhooks.remove(endpoint).unwrap() && webhooks.failed(endpoint).is_none());
    }

    #[test]
    fn endpoints_and_deliveries_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Webhooks::open(&DataDirectory::open(folder.path()).unwrap()).unwrap();
        let webhooks = open();
        added(&webhooks);
        webhooks.enqueue(&EVENT, at(0)).unwrap();
        let (listed, key, (id, stored)) = (webhooks.list(), webhooks.public_key(), first(&webhooks));
        drop(webhooks);
        let webhooks = open();
        assert_eq!((webhooks.list(), webhooks.public_key(), first(&webhooks)), (listed, key, (id, stored)));
        webhooks.enqueue(&EVENT, at(1)).unwrap();
        assert!(webhooks.deliveries().keys().any(|later| later.number > id.number), "numbers go on");
    }

    /// Nothing takes events here, as if the disk stood still.
    #[test]
    fn room_does_not_wait_for_webhooks() {
        let webhooks = Webhooks::default();
        webhooks.notify(EVENT);
        assert!(webhooks.happened.try_lock().unwrap().try_recv().is_err(), "no one is informed");
        added(&webhooks);
        (0..MAX_EVENTS + 3).for_each(|_| webhooks.notify(EVENT));
        assert_eq!(webhooks.list()[0].lost, 3);
    }

    #[test]
    fn webhooks_are_few_and_informed_of_something() {
        let (webhooks, settings) = (Webhooks::default(), WebhookSettings::default());
        let add = |events| webhooks.add("https://shop.example/", events, &settings, at(0)).map(|_| ());
        assert!(matches!(add(Some(Vec::new())), Err(EndpointError::NoEvents)));
        (0..MAX_ENDPOINTS).for_each(|_| add(Some(vec![EventKind::RoomEnded])).unwrap());
        assert!(matches!(add(None), Err(EndpointError::TooMany)));
        webhooks.enqueue(&EVENT, at(0)).unwrap();
        assert!(webhooks.deliveries().is_empty(), "none asked for it");
    }
}
