//! Measurement: packets sent and received, the server's process, the machine.

pub(crate) mod accounting;
pub(crate) mod affinity;
pub(crate) mod clock;
pub(crate) mod latencies;
pub(crate) mod layer;
pub(crate) mod machine_time;
pub(crate) mod received_track;
pub(crate) mod send_log;
pub(crate) mod server_load;
pub(crate) mod server_metrics;
pub(crate) mod server_process;
pub(crate) mod statistics;
pub(crate) mod thread_time;
