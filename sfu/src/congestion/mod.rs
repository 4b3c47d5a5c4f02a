//! What is known of the path of a transport: its round-trip time, what arrives over it in either direction, and how much
//! of it retransmissions may use.

pub(crate) mod delivery_rate;
mod downlink;
mod estimator;
mod repair_budget;
pub(crate) mod report;
pub(crate) mod rtt;
mod send_history;
pub(crate) mod twcc_recorder;

pub(crate) use downlink::wire_size;
pub use downlink::{DeliveryReport, Downlink};
pub use estimator::{BandwidthEstimator, Cause, ClusterId, PacketResult, ProbeCluster};
use twcc_recorder::TwccRecorder;

/// State of the path between the server and one client, in both directions. It belongs to a transport.
#[derive(Debug, Default)]
pub struct PathState {
    /// From the server to the client.
    pub downlink: Downlink,
    /// From the client to the server.
    pub(crate) uplink: TwccRecorder,
}
