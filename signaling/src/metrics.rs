//! What the control plane counts. Labels are of fixed sets: no room, no participant, no address, no name.

use histogram::{Histogram, PERSON_WAITS};
use std::{
    marker::PhantomData,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tacet_proto::{CloseCode, ErrorCode};

/// A thing of a fixed set.
pub trait Kind: Copy + PartialEq + 'static {
    /// The whole set.
    const ALL: &'static [Self];

    /// Its name in metrics.
    fn label(self) -> String;
}

/// Counts by kind. Kinds that never came are there with zero, so that a rate of the first is seen.
#[derive(Debug)]
pub struct Tally<K> {
    counts: Box<[AtomicU64]>,
    kind: PhantomData<K>,
}

impl<K: Kind> Default for Tally<K> {
    fn default() -> Self {
        Self { counts: K::ALL.iter().map(|_| AtomicU64::new(0)).collect(), kind: PhantomData }
    }
}

impl<K: Kind> Tally<K> {
    /// Counts one.
    pub fn count(&self, kind: K) {
        if let Some((count, _)) = self.counts.iter().zip(K::ALL).find(|(_, known)| **known == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All kinds with their numbers.
    pub fn read(&self) -> impl Iterator<Item = (K, u64)> {
        K::ALL.iter().zip(&self.counts).map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
    }
}

/// Why a connection was refused before it became a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A web page of an origin that may not connect.
    Origin,
    /// No protocol that the server speaks.
    Protocol,
    /// More new connections a second than one address may make.
    Rate,
    /// More connections at a time than one address may have.
    Connections,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Text,
    /// Keys and chat.
    Binary,
}

impl Kind for Refusal {
    const ALL: &'static [Self] = &[Self::Origin, Self::Protocol, Self::Rate, Self::Connections];

    fn label(self) -> String {
        let label = match self {
            Self::Origin => "origin",
            Self::Protocol => "protocol",
            Self::Rate => "rate",
            Self::Connections => "connections",
        };
        label.to_owned()
    }
}

impl Kind for Format {
    const ALL: &'static [Self] = &[Self::Text, Self::Binary];

    fn label(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Binary => "binary".to_owned(),
        }
    }
}

impl Kind for ErrorCode {
    const ALL: &'static [Self] = Self::ALL;

    /// As on the wire.
    fn label(self) -> String {
        self.name().to_owned()
    }
}

impl Kind for CloseCode {
    const ALL: &'static [Self] = Self::ALL;

    /// The number on the wire.
    fn label(self) -> String {
        self.code().to_string()
    }
}

/// Everything that is counted, since the start.
#[derive(Debug)]
pub struct Metrics {
    /// WebSocket connections that were made.
    pub connections: AtomicU64,
    /// Connections by the code with which they ended.
    pub closes: Tally<CloseCode>,
    /// Connections that were not made.
    pub refusals: Tally<Refusal>,
    /// Data messages of clients, accepted or not.
    pub received: Tally<Format>,
    /// Data messages to clients.
    pub sent: Tally<Format>,
    /// Errors that clients were told.
    pub errors: Tally<ErrorCode>,
    /// Rooms that panicked.
    pub room_faults: AtomicU64,
    joins: Mutex<Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            closes: Tally::default(),
            refusals: Tally::default(),
            received: Tally::default(),
            sent: Tally::default(),
            errors: Tally::default(),
            room_faults: AtomicU64::new(0),
            joins: Mutex::new(Histogram::new(PERSON_WAITS)),
        }
    }
}

impl Metrics {
    /// A participant's media are connected, so long after it has joined.
    pub(crate) fn connected(&self, waited: Duration) {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner).record(waited, 1);
    }

    /// How long participants waited for their media to be connected: signaling both ways, checks and the handshake.
    #[must_use]
    pub fn joins(&self) -> Histogram {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        let closed: u64 = self.closes.read().map(|(_, count)| count).sum();
        self.connections.load(Ordering::Relaxed).saturating_sub(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_found_by_its_kind_and_the_rest_is_zero() {
        let metrics = Metrics::default();
        metrics.connections.fetch_add(3, Ordering::Relaxed);
        metrics.closes.count(CloseCode::Rate);
        let labels: Vec<(String, u64)> = metrics.closes.read().map(|(code, count)| (code.label(), count)).collect();
        assert_eq!(labels.iter().find(|(_, count)| *count > 0), Some(&("4429".to_owned(), 1)));
        assert_eq!(labels.len(), CloseCode::ALL.len());
        assert_eq!(metrics.open_connections(), 2);
    }
}
