//! The load tester of tacet: bots, measurement, reports.
//!
//! ```text
//!   run ──► process    the server under test, its CPU and memory
//!    │  ──► light      joins of light bots: real signaling, real keys
//!    │  ──► canary     bots on the `webrtc` crate, an independent implementation
//!    ▼
//!  engine (a thread)   socket ── path ── sender (schedule, sendlog) │ receiver (reception, tally)
//!    ▼
//!  report
//! ```
//! One-way latency: the publisher notes when it sends each frame, by the clear KID and CTR of the SFrame header; a
//! receiver takes the kernel's receive time of the packet and looks the frame up. Both are the clock of this machine, so
//! all bots of a run are in this process.

mod canary;
mod clock;
pub mod csv;
mod engine;
pub mod fanout;
pub mod figure;
mod frame;
pub mod html;
pub mod json;
mod latencies;
mod light;
pub mod limit;
pub mod machine;
mod options;
mod path;
pub mod plan;
mod process;
mod progress;
mod receiver;
mod reception;
mod report;
mod rtcp;
mod rtp;
mod run;
mod schedule;
mod sender;
mod sendlog;
mod socket;
pub mod spread;
mod tally;
mod wait;

pub use canary::CanaryError;
pub use latencies::Latencies;
pub use light::LightError;
pub use options::{Options, OptionsError, Server};
pub use process::{ServerError, Usage};
pub use progress::{Progress, Silent, Stage};
pub use report::{CanaryReport, FirstMediaMs, GeneratorReport, JitterUs, JoinReport, KindReport, LatencyUs, Report};
pub use run::{LoadError, run};
pub use tacet_native::{link::RoomLink, sdp::parse_fingerprint, tls::Trust};
