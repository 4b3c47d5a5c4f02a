//! Counters of the control plane. Labels are from fixed sets: no rooms, participants, addresses or names.

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

/// An element of a fixed set, which becomes a label.
pub trait Kind: Copy + PartialEq + 'static {
    /// The whole set.
    const ALL: &'static [Self];

    /// The value of the label.
    fn label(self) -> String;
}

/// Counts by kind. A kind that never occurred is reported as zero, so that its first occurrence shows in a rate.
#[derive(Debug)]
pub struct CountByKind<K> {
    counts: Box<[AtomicU64]>,
    kind: PhantomData<K>,
}

impl<K: Kind> Default for CountByKind<K> {
    fn default() -> Self {
        Self { counts: K::ALL.iter().map(|_| AtomicU64::new(0)).collect(), kind: PhantomData }
    }
}

impl<K: Kind> CountByKind<K> {
    /// Counts one.
    pub fn count(&self, kind: K) {
        if let Some((count, _)) = self.counts.iter().zip(K::ALL).find(|(_, known)| **known == kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All kinds with their counts.
    pub fn read(&self) -> impl Iterator<Item = (K, u64)> {
        K::ALL.iter().zip(&self.counts).map(|(kind, count)| (*kind, count.load(Ordering::Relaxed)))
    }
}

/// Why a connection or a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The origin of the web page may not connect.
    Origin,
    /// The client offers no protocol that the server speaks.
    Protocol,
    /// Too many new connections per second of one address.
    Rate,
    /// Too many connections of one address.
    Connections,
    /// Too many rooms of one address that no one has entered.
    Rooms,
    /// Plain HTTP from an address that is no trusted proxy.
    Unencrypted,
    /// Too many TCP connections of one address.
    Sockets,
    /// Too many TCP connections in all.
    Full,
    /// The host that the client asked for is none of the server's.
    Host,
    /// A wrong API key.
    ApiKey,
    /// Too many wrong API keys of one address.
    ApiKeyGuesses,
    /// Too many requests of one API key.
    ApiRate,
}

/// What became of a client that asked to continue a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// It has everything.
    Session,
    /// It has its seat, on a server that had forgotten the rest.
    Seat,
    /// It is the same participant.
    Participant,
    /// Its session is over for good.
    Refused,
    /// Its token or proof is not valid.
    Invalid,
}

/// What became of an attempt to call a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The message was received.
    Received,
    /// It will be tried again.
    Postponed,
    /// It will not be tried again.
    Failed,
}

/// Format of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Text,
    /// Key traffic.
    Binary,
}

impl Kind for Refusal {
    const ALL: &'static [Self] = &[
        Self::Origin,
        Self::Protocol,
        Self::Rate,
        Self::Connections,
        Self::Rooms,
        Self::Unencrypted,
        Self::Sockets,
        Self::Full,
        Self::Host,
        Self::ApiKey,
        Self::ApiKeyGuesses,
        Self::ApiRate,
    ];

    fn label(self) -> String {
        let label = match self {
            Self::Origin => "origin",
            Self::Protocol => "protocol",
            Self::Rate => "rate",
            Self::Connections => "connections",
            Self::Rooms => "rooms",
            Self::Unencrypted => "unencrypted",
            Self::Sockets => "sockets",
            Self::Full => "full",
            Self::Host => "host",
            Self::ApiKey => "api_key",
            Self::ApiKeyGuesses => "api_key_guesses",
            Self::ApiRate => "api_rate",
        };
        label.to_owned()
    }
}

impl Kind for Resumption {
    const ALL: &'static [Self] = &[Self::Session, Self::Seat, Self::Participant, Self::Refused, Self::Invalid];

    fn label(self) -> String {
        let label = match self {
            Self::Session => "session",
            Self::Seat => "seat",
            Self::Participant => "participant",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
        };
        label.to_owned()
    }
}

impl Kind for Delivery {
    const ALL: &'static [Self] = &[Self::Received, Self::Postponed, Self::Failed];

    fn label(self) -> String {
        let label = match self {
            Self::Received => "received",
            Self::Postponed => "postponed",
            Self::Failed => "failed",
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

/// All counters, since the start.
#[derive(Debug)]
pub struct Metrics {
    /// WebSocket connections that were accepted.
    pub connections: AtomicU64,
    /// Connections by the code with which they ended.
    pub closes: CountByKind<CloseCode>,
    /// Connections that were refused.
    pub refusals: CountByKind<Refusal>,
    /// Data messages of clients, accepted or not.
    pub received: CountByKind<Format>,
    /// Data messages to clients.
    pub sent: CountByKind<Format>,
    /// Errors sent to clients.
    pub errors: CountByKind<ErrorCode>,
    /// Clients that asked to continue a session, by what became of it.
    pub resumptions: CountByKind<Resumption>,
    /// Attempts to call webhooks, by what became of them.
    pub deliveries: CountByKind<Delivery>,
    /// Participants whose place is held although they have no connection, now.
    pub held: AtomicU64,
    /// Rooms that await the participants of a call after a start, now.
    pub gathering: AtomicU64,
    /// Attempts to accept a connection that failed, for example because no file descriptor was free.
    pub accept_errors: AtomicU64,
    /// TCP connections that are open now.
    pub sockets_open: AtomicU64,
    /// Maximum number of TCP connections.
    pub sockets_most: AtomicU64,
    /// TCP connections that were closed because the client took too long.
    pub sockets_late: AtomicU64,
    /// TCP connections that were closed to make space for new ones.
    pub sockets_replaced: AtomicU64,
    /// Rooms that panicked.
    pub room_faults: AtomicU64,
    joins: Mutex<Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            closes: CountByKind::default(),
            refusals: CountByKind::default(),
            received: CountByKind::default(),
            sent: CountByKind::default(),
            errors: CountByKind::default(),
            resumptions: CountByKind::default(),
            deliveries: CountByKind::default(),
            held: AtomicU64::new(0),
            gathering: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            sockets_open: AtomicU64::new(0),
            sockets_most: AtomicU64::new(0),
            sockets_late: AtomicU64::new(0),
            sockets_replaced: AtomicU64::new(0),
            room_faults: AtomicU64::new(0),
            joins: Mutex::new(Histogram::new(PERSON_WAITS)),
        }
    }
}

impl Metrics {
    /// Records how long after `join` a participant's media were connected.
    pub(crate) fn connected(&self, waited: Duration) {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner).record(waited, 1);
    }

    /// How long participants waited until their media were connected: signaling both ways, connectivity checks and the
    /// handshake.
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
    fn counts_are_reported_for_every_kind() {
        let metrics = Metrics::default();
        metrics.connections.fetch_add(3, Ordering::Relaxed);
        metrics.closes.count(CloseCode::Rate);
        let labels: Vec<(String, u64)> = metrics.closes.read().map(|(code, count)| (code.label(), count)).collect();
        assert_eq!(labels.iter().find(|(_, count)| *count > 0), Some(&("4429".to_owned(), 1)));
        assert_eq!(labels.len(), CloseCode::ALL.len());
        assert_eq!(metrics.open_connections(), 2);
    }
}
