//! A laboratory for congestion control: media and TCP over a network, in virtual time, by a seed.
//!
//! ```text
//!   video frames ─► pacer ─┐                                     ┌─► receiver ─► reports ─┐
//!   audio ─────────────────┴─► network (bottlenecks, flows) ─────┤                        │
//!   TCP ─────────────────────►                                   └─► acknowledgements     │
//!        ▲ rate, probes                                                                   │
//!   Controller ◄────────────────────────── way back (clear, or a network too) ◄───────────┘
//! ```
//! * [`Controller`] is what is under test: it sees what was sent and what reports say, and names a rate and probes.
//! * [`Scenario`] says what the network does, who sends, and what a controller must achieve. [`scenarios`] are those of
//!   RFC 8867, the sweeps of RFC 8868 and the wireless cases of RFC 8869, named by their sections.
//! * [`run`] runs one by a seed and returns a [`Recording`], [`scores`] computes its figures, and [`Summary`] the medians of
//!   several seeds.
//!
//! Rates are in bits per second, on the wire (IP and UDP headers included); times of scenarios in seconds since the start.

#![deny(unsafe_code)]

mod clock;
mod controller;
mod encoder;
mod expectation;
mod ladder;
mod receiver;
mod recording;
mod scenario;
mod scenarios;
mod scores;
mod sender;
mod simulation;
mod summary;
mod tcp;

pub use controller::{Controller, PacketResult, ProbeCluster, SentPacket, Start};
pub use expectation::{Bound, Expectation};
pub use recording::{Delivery, MediaRecording, QueueSample, Recording};
pub use scenario::{MediaFlow, Pause, Scenario, SourceKind, TcpFlow, Window};
pub use scenarios::{named, scenarios};
pub use scores::{Score, scores};
pub use simulation::run;
pub use summary::{Figure, Summary};
