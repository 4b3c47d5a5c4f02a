//! What the server knows of the path to a receiver.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An estimate of a downlink, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownlinkState {
    /// Bitrate that the path carries, on the wire, in kbit/s.
    pub kbps: u32,
    /// What changed it last, or keeps it from changing.
    pub cause: DownlinkCause,
    /// How long packets wait in the queues of the path.
    pub queue: Duration,
    /// Bitrate of all that the receiver wishes, in kbit/s.
    pub wanted_kbps: u32,
}

/// Why an estimate is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DownlinkCause {
    /// Nothing is known yet.
    Start,
    /// It grows: no signal objects.
    Growth,
    /// A probe has shown it.
    Probe,
    /// Less is sent than the estimate, so that it is not tested.
    Limited,
    /// The queue of the bottleneck grows.
    Trend,
    /// The queue of the bottleneck stands still, and is drained.
    Queue,
    /// Packets are lost.
    Loss,
    /// The receiver sends no feedback.
    NoFeedback,
    /// The receiver has moved to another address.
    PathChange,
}
