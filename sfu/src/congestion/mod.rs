//! What is known of the path of a transport: its round-trip time, what arrives over it in either direction, and how much
//! of it retransmissions may use.

mod downlink;
mod estimator;
mod pacer;
mod probe_sender;
mod repair_budget;
pub(crate) mod report;
mod reported_cause;
pub(crate) mod rtt;
mod send_history;
pub(crate) mod twcc_recorder;
mod video_budget;

pub use downlink::{DeliveryReport, Downlink, Needs};
pub(crate) use downlink::{about_on_wire, wire_size};
pub use estimator::{BandwidthEstimator, Cause, ClusterId, PacketResult, ProbeCluster};
pub(crate) use pacer::STEP as PACER_STEP;
pub(crate) use probe_sender::STEP as PROBE_STEP;
use twcc_recorder::TwccRecorder;
pub(crate) use video_budget::{USED, VideoBudget};

/// State of the path between the server and one client, in both directions. It belongs to a transport.
#[derive(Debug, Default)]
pub struct PathState {
    /// From the server to the client.
    pub downlink: Downlink,
    /// From the client to the server.
    pub(crate) uplink: TwccRecorder,
}
