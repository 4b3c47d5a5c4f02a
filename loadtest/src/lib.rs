//! The load tester of tacet: bots, measurement, reports.
//!
//! ```text
//!   scenario ──► cast ──► run ──► process │ metrics    the server under test, its CPU and memory
//!                          │ ───► light                light bots in calls: real signaling, real keys
//!                          │ ───► canary               bots on the `webrtc` crate, an independent implementation
//!                          ▼
//!        engines (threads)  socket ── path ──┬── sender ◄── feed ◄── pattern        ──► sendlog: what was sent when
//!                                            └── receiver ──► opening
//!                                                    └──► identity ──► tally  ◄──── sendlog
//!                          ▼
//!                       summary ──► report
//! ```
//! One-way latency: publishers note when they send each packet ([`sendlog`] tells how a receiver finds out which it has
//! got); a receiver takes the kernel's receive time. Both are the clock of this machine, so all bots of a run are in this
//! process.

mod affinity;
mod bot;
mod canary;
mod cast;
mod clock;
pub mod csv;
mod descriptors;
mod engine;
mod engines;
pub mod fanout;
mod feed;
pub mod figure;
mod frame;
mod gather;
pub mod html;
mod identity;
pub mod json;
mod latencies;
mod light;
pub mod limit;
pub mod machine;
mod measures;
mod metrics;
mod opening;
mod options;
mod pair;
mod path;
mod pattern;
pub mod plan;
mod process;
mod progress;
mod receiver;
mod reception;
mod report;
mod rtcp;
mod rtp;
mod run;
pub mod scenario;
mod schedule;
mod sender;
mod sendlog;
mod socket;
pub mod spread;
mod steal;
mod streams;
mod summary;
mod tally;
mod wait;

pub use canary::CanaryError;
pub use latencies::Latencies;
pub use light::LightError;
pub use metrics::{MetricsError, MetricsUrl};
pub use options::{ApiKey, Options, OptionsError, Rooms, Server, Threads};
pub use process::{ServerError, Usage, serve_command};
pub use progress::{Progress, Silent, Stage};
pub use report::{CanaryReport, FirstMediaMs, GeneratorReport, JitterUs, JoinReport, KindReport, LatencyUs, Report};
pub use run::{LoadError, run};
pub use tacet_native::{
    link::{Origin, RoomLink},
    sdp::parse_fingerprint,
    tls::Trust,
};
