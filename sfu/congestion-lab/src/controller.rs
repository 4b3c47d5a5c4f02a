//! What is under test.

use std::time::{Duration, Instant};

/// Where a controller begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// When the run, and with it the receiver's clock, begins.
    pub epoch: Instant,
    /// When its flow begins.
    pub at: Instant,
    /// Rate before anything is known.
    pub rate: f64,
    /// What the source needs at least.
    pub least: f64,
    /// What the source, audio included, uses at most.
    pub most: f64,
}

/// A group of packets to be sent at a rate, so that reports show whether the network carries it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeCluster {
    /// Marks its packets.
    pub id: u32,
    /// At which to send, in bits per second.
    pub rate: f64,
    /// For how long.
    pub duration: Duration,
    /// At least this many.
    pub min_packets: u32,
}

/// A packet that was handed to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// Transport-wide sequence number, unwrapped.
    pub number: u64,
    /// When.
    pub at: Instant,
    /// On the wire.
    pub bytes: usize,
    /// The probe that it is part of.
    pub cluster: Option<u32>,
    /// Audio is sent at once, past the pacer.
    pub audio: bool,
}

/// What a report says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketResult {
    /// The packet.
    pub packet: SentPacket,
    /// By the receiver's clock; `None` if it did not arrive.
    pub received_micros: Option<u64>,
}

/// A congestion controller of one sender. Time never decreases.
pub trait Controller {
    /// How much would be used, and how much the cheapest improvement needs.
    fn set_wanted(&mut self, wanted: f64, next: f64);
    /// A packet has left; with bytes in flight, this one included.
    fn on_sent(&mut self, packet: &SentPacket, in_flight: usize);
    /// A report has arrived; with bytes in flight behind it. Results ascend by number.
    fn on_report(&mut self, now: Instant, results: &[PacketResult], in_flight: usize);
    /// Time has passed: [`Self::tick_every`]. With bytes in the queue of the pacer.
    fn on_tick(&mut self, now: Instant, queued: usize);
    /// The next probe to send, if there is one.
    fn next_probe(&mut self, now: Instant) -> Option<ProbeCluster>;
    /// What the network is thought to carry.
    fn estimate(&self) -> f64;
    /// Why the estimate is what it is, in a word or two.
    fn cause(&self) -> String {
        String::new()
    }
    /// Rate at which queued packets leave.
    fn pacing_rate(&self) -> f64 {
        2.5 * self.estimate()
    }
    /// Time between ticks.
    fn tick_every(&self) -> Duration {
        Duration::from_millis(25)
    }
}
