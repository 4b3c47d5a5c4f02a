//! Gauges of a worker: current quantities, updated once per second and not on the packet path.

use super::quantities;

quantities! {
    /// A gauge.
    pub enum Gauge;
    /// Rooms with participants.
    Rooms = "rooms",
    /// Participants, connected or not.
    Participants = "participants",
    /// Published tracks.
    Tracks = "tracks",
    /// Transports with keys whose client is reachable.
    Connected = "transports_connected",
    /// Handshakes in progress.
    Handshakes = "handshakes",
    /// Datagrams received and sent in the last second.
    PacketRate = "datagrams_per_second",
    /// Whether video to each receiver is limited because the worker has more to send than it can, and has been for seconds without
    /// any time to spare: it should get no more participants. Then 1, otherwise 0.
    Overloaded = "overloaded",
    /// Bytes of video a second that each receiver gets at most because the worker has more to send than it can; otherwise 0.
    VideoLimit = "overload_video_limit_bytes_per_second",
    /// Videos of which a receiver gets nothing because the worker has more to send than it can.
    PausedVideos = "overload_paused_videos",
}

/// All gauges of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gauges(pub(super) [u64; Gauge::COUNT]);

impl Default for Gauges {
    fn default() -> Self {
        Self([0; Gauge::COUNT])
    }
}

impl Gauges {
    /// Sets a gauge.
    pub fn set(&mut self, gauge: Gauge, value: u64) {
        if let Some(place) = self.0.get_mut(gauge as usize) {
            *place = value;
        }
    }

    /// Returns the value of a gauge.
    #[must_use]
    pub fn get(&self, gauge: Gauge) -> u64 {
        self.0.get(gauge as usize).copied().unwrap_or_default()
    }
}
