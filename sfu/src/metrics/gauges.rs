//! What a worker has at the moment. It is counted once a second, not on the packet path.

use super::quantities;

quantities! {
    /// What is there now.
    pub enum Gauge;
    /// Rooms that somebody is in.
    Rooms = "rooms",
    /// Participants, connected or not.
    Participants = "participants",
    /// Published tracks.
    Tracks = "tracks",
    /// Transports with keys and with a client that is heard.
    Connected = "transports_connected",
    /// Handshakes under way.
    Handshakes = "handshakes",
    /// Datagrams received and sent in the last second.
    PacketRate = "datagrams_per_second",
}

/// The worker's gauges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges(pub(super) [u64; Gauge::COUNT]);

impl Default for Gauges {
    fn default() -> Self {
        Self([0; Gauge::COUNT])
    }
}

impl Gauges {
    /// Sets one.
    pub fn set(&mut self, gauge: Gauge, value: u64) {
        if let Some(place) = self.0.get_mut(gauge as usize) {
            *place = value;
        }
    }

    /// The value.
    #[must_use]
    pub fn get(&self, gauge: Gauge) -> u64 {
        self.0.get(gauge as usize).copied().unwrap_or_default()
    }
}
