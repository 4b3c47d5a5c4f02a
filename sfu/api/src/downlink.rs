//! What the server knows of the path to a receiver.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An estimate of a downlink, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownlinkState {
    /// Bitrate that the path carries, on the wire, in kbit/s.
    pub kbps: u32,
    /// The last change that matters, or what keeps it from changing. A fall matters for five seconds, or until it is made up for.
    pub cause: DownlinkCause,
    /// How long packets wait in the queues of the path.
    pub queue: Duration,
    /// Bitrate of all that the receiver wishes, in kbit/s.
    pub wanted_kbps: u32,
}

/// What changed an estimate last, or keeps it from changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DownlinkCause {
    /// Nothing yet: it is the assumption that a call starts with.
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
    /// Packets are lost: it has fallen for that, or many are while it is below the wish.
    Loss,
    /// Feedback does not arrive, or much too late.
    NoFeedback,
    /// The path has changed.
    PathChange,
}

impl DownlinkCause {
    /// A name for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Growth => "growth",
            Self::Probe => "probe",
            Self::Limited => "limited",
            Self::Trend => "trend",
            Self::Queue => "queue",
            Self::Loss => "loss",
            Self::NoFeedback => "no_feedback",
            Self::PathChange => "path_change",
        }
    }
}
