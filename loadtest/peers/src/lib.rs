//! The same load through other forwarding servers on the same machine, in alternating runs: `make peers`.
//!
//! ```text
//!   compare ──► peer (tacet, str0m, floor, Janus, LiveKit) ── signaling ──► the server's process, on its own core
//!      │                   │ Route, SSRCs                                        ▲ │
//!      ▼                   ▼                                                     │ ▼
//!   report            loadtest::fanout: one publisher, N receivers, on the other core
//! ```
//! A developer's tool: not part of the `tacet` binary. Bots, threads, load and measurement are one and the same for all;
//! only the signaling differs. `docs/benchmarks.md` describes what that favours.

mod amplification;
mod child;
mod compare;
mod flood;
pub mod floor;
mod json_socket;
mod limit;
mod load;
mod machine;
mod measure;
mod member_flood;
mod peer;
pub mod pin;
mod report;
mod sdp;
mod server;
pub mod str0m_sfu;

pub use amplification::{Amplification, Probe, Sample};
pub use compare::{Plan, compare};
pub use flood::{FloodPlan, FloodReport, FloodRun, Flooding, Kind, amplifications, flood};
pub use limit::{Limit, find_limits, limits_table};
pub use load::{Load, Traffic};
pub use machine::Machine;
pub use measure::{Run, Times, run};
pub use member_flood::MemberKind;
pub use peer::{PeerError, PeerName, Setup};
pub use report::{Comparison, Row};
