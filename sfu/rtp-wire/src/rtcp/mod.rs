//! RTCP (RFC 3550 section 6): a compound packet is a sequence of parts, each with a header of its type and length.
//!
//! [`parse`] iterates over the parts of a packet, the functions of [`mod@write`] append parts, and [`twcc`] and [`ccfb`]
//! do both for congestion control feedback. [`SenderInfo`] and [`ReportBlock`] are the values that both directions share.

pub mod ccfb;
mod part;
mod read;
mod report;
pub mod twcc;
pub mod write;

pub use read::{Chunks, Compound, FirEntries, NackedSeqs, ReportBlocks, Rtcp, Sources, parse};
pub use report::{ReportBlock, SenderInfo};
