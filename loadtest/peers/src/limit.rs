//! The maximum rate that a server forwards from one core without loss.

use crate::{
    load::Load,
    measure::{Run, Times, run},
    peer::{PeerName, Setup},
};
use loadtest::fanout::Rate;
use serde::{Deserialize, Serialize};

/// Loss and p99 latency above which a load counts as not carried.
const MAX_LOSS: f64 = 1e-4;
const MAX_P99_US: u64 = 5_000;
/// Number of bisection steps after doubling has bracketed the limit.
const HALVINGS: usize = 3;
/// Maximum rate that is tried, in packets per second of the publisher.
const MAX_PPS: u32 = 64_000;
/// CPU load of the generator (CPU time by wall time) from which it may itself be the bottleneck.
const GENERATOR_FULL: f64 = 0.9;

/// The limit of one peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The peer.
    pub peer: PeerName,
    /// Number of subscribers.
    pub subscribers: usize,
    /// Forwarded packets per second at the highest load that was carried.
    pub forwarded_pps: f64,
    /// CPU load of the server at that load (CPU time by wall time).
    pub server_busy: f64,
    /// Whether the generator or the server failed at the next step.
    pub generator_was_the_limit: bool,
    /// Why there is no result.
    pub missing: Option<String>,
}

fn is_carried(run: &Run) -> bool {
    run.seen.loss() <= MAX_LOSS && run.seen.p99_us <= MAX_P99_US
}

/// Searches the limit of each peer: by doubling, then by halving the interval.
pub async fn find_limits(
    peers: &[PeerName],
    burst: u32,
    subscribers: usize,
    setup: &Setup,
    times: Times,
    mut progress: impl FnMut(&str),
) -> Vec<Limit> {
    let mut limits = Vec::new();
    for peer in peers {
        let none = Limit {
            peer: *peer,
            subscribers,
            forwarded_pps: 0.0,
            server_busy: 0.0,
            generator_was_the_limit: false,
            missing: None,
        };
        let mut search = Search::new(250);
        let mut limit = none;
        while let Some(pps) = search.next() {
            let rate = Rate { pps, burst, size: Load::PAYLOAD_BYTES };
            match run(*peer, setup, rate.into(), subscribers, times).await {
                Ok(run) => {
                    let carried = is_carried(&run);
                    let seen = &run.seen;
                    progress(&format!(
                        "{peer:?} at {pps} to {subscribers}: lost {:.3} %, p99 {} µs, server {:.0} %, generator {:.0} %",
                        seen.loss() * 100.0,
                        seen.p99_us,
                        run.server_busy * 100.0,
                        seen.generator_busy * 100.0
                    ));
                    if carried {
                        limit.forwarded_pps = seen.delivered as f64 / times.measure.as_secs_f64();
                        limit.server_busy = run.server_busy;
                    } else {
                        let full = seen.generator_busy > GENERATOR_FULL || seen.receive_drops > 0 || seen.unsent > 0;
                        limit.generator_was_the_limit = full;
                    }
                    search.tell(carried);
                }
                Err(error) => {
                    progress(&format!("{peer:?} at {pps} to {subscribers}: {error}"));
                    if search.carried == 0 {
                        limit.missing = Some(error.to_string());
                        break;
                    }
                    search.tell(false);
                }
            }
        }
        limits.push(limit);
    }
    limits
}

/// The table of limits, in Markdown.
#[must_use]
pub fn limits_table(limits: &[Limit]) -> String {
    let mut table =
        "| server | most packets/s without loss | server busy | what failed next |\n|---|---|---|---|\n".to_owned();
    for limit in limits {
        let row = match &limit.missing {
            Some(reason) => format!("missing: {} | | ", reason.replace(['|', '\n'], " ")),
            None => format!(
                "{:.0} | {:.0} % | {}",
                limit.forwarded_pps,
                limit.server_busy * 100.0,
                if limit.generator_was_the_limit { "the generator" } else { "the server" }
            ),
        };
        table.push_str(&format!("| {} | {row} |\n", limit.peer.title()));
    }
    table
}

/// Packets per second to try.
struct Search {
    carried: u32,
    failed: Option<u32>,
    tried: u32,
    halvings: usize,
}

impl Search {
    fn new(first: u32) -> Self {
        Self { carried: 0, failed: None, tried: first, halvings: 0 }
    }

    fn next(&mut self) -> Option<u32> {
        if self.carried == 0 && self.failed.is_none() {
            return Some(self.tried);
        }
        self.tried = match self.failed {
            None if self.carried >= MAX_PPS => return None,
            None => self.carried.saturating_mul(2),
            Some(_) if self.halvings == HALVINGS => return None,
            Some(failed) => {
                self.halvings += 1;
                u32::midpoint(self.carried, failed)
            }
        };
        Some(self.tried)
    }

    fn tell(&mut self, carried: bool) {
        if carried {
            self.carried = self.tried;
        } else {
            self.failed = Some(self.tried);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(limit: u32) -> (u32, usize) {
        let (mut search, mut tries) = (Search::new(250), 0);
        while let Some(pps) = search.next() {
            search.tell(pps <= limit);
            tries += 1;
        }
        (search.carried, tries)
    }

    #[test]
    fn search_resolution() {
        assert_eq!(found(7_100), (7_000, 9));
        assert_eq!(found(100), (93, 4), "below the first step");
        assert_eq!(found(u32::MAX), (MAX_PPS, 9));
    }
}
