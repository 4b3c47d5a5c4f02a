//! Which transport a datagram belongs to.
//!
//! A connectivity check names its transport by username fragment. Everything else belongs to the transport whose client has
//! sent an authentic check from the tuple. Datagrams come in trains of one tuple, and a train costs one look-up.

use super::transports::TransportKey;
use crate::transport::{ServerTransport, Tuple};
use is::stun::StunMessage;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(super) struct Demux {
    by_ufrag: HashMap<String, TransportKey>,
    by_tuple: HashMap<Tuple, TransportKey>,
    /// Result of the last look-up by tuple.
    last: Option<(Tuple, TransportKey)>,
}

impl Demux {
    /// Adds a transport by a username fragment of the server's. It has two while ICE restarts.
    pub(super) fn add(&mut self, key: TransportKey, ufrag: &str) {
        self.by_ufrag.insert(ufrag.to_owned(), key);
    }

    /// Removes a transport and its tuples.
    pub(super) fn remove(&mut self, key: TransportKey, transport: &ServerTransport) {
        transport.ufrags().for_each(|ufrag| self.remove_ufrag(key, ufrag));
        for tuple in transport.tuples() {
            if self.by_tuple.get(&tuple) == Some(&key) {
                self.by_tuple.remove(&tuple);
            }
        }
        self.last = None;
    }

    /// Removes a username fragment of a transport.
    pub(super) fn remove_ufrag(&mut self, key: TransportKey, ufrag: &str) {
        if self.by_ufrag.get(ufrag) == Some(&key) {
            self.by_ufrag.remove(ufrag);
        }
    }

    /// The transport that the tuple belongs to.
    pub(super) fn find(&mut self, tuple: Tuple) -> Option<TransportKey> {
        if let Some((_, key)) = self.last.filter(|(last, _)| *last == tuple) {
            return Some(key);
        }
        let key = self.owner(tuple)?;
        self.last = Some((tuple, key));
        Some(key)
    }

    /// The same, for what is rare enough not to be remembered.
    pub(super) fn owner(&self, tuple: Tuple) -> Option<TransportKey> {
        self.by_tuple.get(&tuple).copied()
    }

    /// The transport that a binding request names; `None` if it is no request, or its username fragment is unknown.
    pub(super) fn find_by_check(&self, request: &StunMessage<'_>) -> Option<TransportKey> {
        let (ufrag, _) = request.split_username().filter(|_| request.is_binding_request())?;
        self.by_ufrag.get(ufrag).copied()
    }

    /// Notes that a transport has the tuple; returns the transport that had it before, if it is another one.
    pub(super) fn assign(&mut self, tuple: Tuple, key: TransportKey) -> Option<TransportKey> {
        let previous = self.by_tuple.insert(tuple, key);
        if previous == Some(key) {
            return None;
        }
        self.last = None;
        previous
    }

    /// Forgets a tuple.
    pub(super) fn release(&mut self, tuple: Tuple) {
        self.by_tuple.remove(&tuple);
        self.last = None;
    }

    /// Number of username fragments and of tuples, for tests of what peers can make grow.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.by_ufrag.len(), self.by_tuple.len()]
    }
}
