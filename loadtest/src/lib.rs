//! The load tester of tacet: bots, measurement, reports.
//!
//! ```text
//!   scenario ──► cast ──► run ──► server process │ metrics    the server under test, its CPU and memory
//!                          │ ───► light bots                  in calls: real signaling, real keys
//!                          │ ───► canaries                    on the `webrtc` crate, an independent implementation
//!                          ▼
//!        engines (threads)  socket ── path ──┬── sender ◄── feed ◄── pattern      ──► send log: which packet left when
//!                                            └── receiver ──► frame opener
//!                                                    └──► packet identity ──► accounting  ◄──── send log
//!                          ▼
//!                       summary ──► report
//! ```
//! Latency is one-way: publishers record when they send each packet (the send log explains how a receiver finds out
//! which one it got), and receivers take the kernel's receive time. Both are read from this machine's clock, so all bots
//! of a run are in this process.

mod bots;
pub mod limit;
mod measure;
pub mod plan;
mod report;
mod run;
pub mod scenario;

pub use bots::{canary::CanaryError, light::LightError};
pub use measure::{
    latencies::Latencies,
    server_metrics::{MetricsError, MetricsUrl},
    server_process::{ServerError, Usage, serve_command},
};
pub use report::{
    CanaryReport, FirstMediaMs, GeneratorReport, JitterUs, JoinReport, KindReport, LatencyUs, LayerReport,
    LayersReport, Notices, OverloadReport, Report, VideoLayer, WaitMs, csv, figures, html, json, machine, repeats,
};
pub use run::{
    LoadError, fanout,
    options::{ApiKey, Options, OptionsError, Rooms, Server, Threads},
    progress::{Progress, Silent, Stage},
    run,
    stop::{Stop, Stopper},
};
pub use tacet_native::{
    link::{Origin, RoomLink},
    sdp::parse_fingerprint,
    tls::Trust,
};
