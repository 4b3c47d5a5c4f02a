//! Progress of a run, for a terminal to show.
//!
//! A run calls [`Progress::stage`] when a part of it begins and for each bot that has joined; what is done with that (a
//! bar on a terminal, nothing) is not its business. The calls come in the order in which things happen, from one task.

use std::time::Duration;

/// Stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The server under test is being started or reached.
    Starting,
    /// Bots are joining.
    Joining {
        /// Bots that have all they need.
        ready: usize,
        /// All that join before the measured time.
        of: usize,
    },
    /// Media flows and is not measured yet.
    WarmingUp(Duration),
    /// Media is measured.
    Measuring(Duration),
    /// Packets that were late may still arrive, and bots leave.
    Draining,
}

/// Shows the progress of a run. Must not block, since the run waits for it.
pub trait Progress: Sync {
    /// A part of the run has begun, or one more bot has joined.
    fn stage(&self, stage: Stage);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: Stage) {}
}
