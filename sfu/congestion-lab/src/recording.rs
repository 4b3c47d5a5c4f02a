//! What a run leaves behind.

/// Bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delivery {
    /// Second.
    pub at: f64,
    /// On the wire.
    pub bytes: usize,
}

/// How long a packet was in the bottlenecks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueueSample {
    /// Second at which it left the last one.
    pub at: f64,
    /// Milliseconds, its own transmission included.
    pub ms: f64,
}

/// Of one call.
#[derive(Clone, Debug, Default)]
pub struct MediaRecording {
    /// What arrived.
    pub deliveries: Vec<Delivery>,
    /// Estimates, each from its second on.
    pub estimates: Vec<(f64, f64)>,
    /// Reasons for them, each from its second on.
    pub causes: Vec<(f64, String)>,
    /// Changes of the layer: second, and the rate from then on.
    pub switches: Vec<(f64, f64)>,
    /// Packets sent, and bytes.
    pub sent: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets of audio: sent and arrived.
    pub audio: (u64, u64),
    /// Packets that arrived.
    pub arrived: u64,
    /// Bytes of probes that were media sent before.
    pub repeated: u64,
    /// Bytes of probes that were no media.
    pub padding: u64,
    /// Probes.
    pub probes: u32,
}

/// Of a run.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// By call.
    pub media: Vec<MediaRecording>,
    /// By call in the other direction.
    pub reverse: Vec<MediaRecording>,
    /// By download.
    pub tcp: Vec<Vec<Delivery>>,
    /// Of all packets of the way there.
    pub queue: Vec<QueueSample>,
}
