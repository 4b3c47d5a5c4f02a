//! The order of the runs: peers alternate, so that disturbances of the machine affect all of them alike.

use crate::{
    load::Load,
    measure::{Times, run},
    peer::{PeerError, PeerName, Setup},
    report::Row,
    server::ServerError,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// Pause between two runs, so that the next one does not measure the end of the last.
const PAUSE: Duration = Duration::from_millis(500);

/// Peers, loads, subscriber counts and durations of a comparison.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Peers, in the order in which they run.
    pub peers: Vec<PeerName>,
    /// The loads.
    pub loads: Vec<Load>,
    /// Numbers of subscribers.
    pub subscribers: Vec<usize>,
    /// Number of runs for each combination.
    pub runs: usize,
    /// Warm-up and measured time of a run.
    pub times: Times,
}

/// Runs the plan; `progress` gets a line for every run.
pub async fn compare(plan: &Plan, setup: &Setup, mut progress: impl FnMut(&str)) -> Vec<Row> {
    let mut rows = Vec::new();
    // A peer whose program is missing is tried once.
    let mut absent = BTreeMap::<PeerName, String>::new();
    for load in &plan.loads {
        for subscribers in &plan.subscribers {
            let row = |peer: &PeerName| Row::new(*peer, *load, *subscribers);
            let peers = plan.peers.iter().filter(|peer| load.rate().burst > 1 || !peer.wants_bursts());
            let mut of_peers: Vec<_> = peers.map(row).collect();
            for number in 1..=plan.runs {
                for row in &mut of_peers {
                    if let Some(reason) = absent.get(&row.peer) {
                        row.missing = Some(reason.clone());
                        continue;
                    }
                    let name = format!("{} to {subscribers}, {:?}, run {number}", load.title(), row.peer);
                    match run(row.peer, setup, load.traffic(), *subscribers, plan.times).await {
                        Ok(run) => {
                            progress(&format!("{name}: {:.2} s per million", run.cpu_s_per_million));
                            row.runs.push(run);
                        }
                        Err(error) => {
                            progress(&format!("{name}: {error}"));
                            let reason = error.to_string();
                            if matches!(error, PeerError::Server(ServerError::Start { .. })) {
                                absent.insert(row.peer, reason.clone());
                            }
                            row.missing = Some(reason);
                        }
                    }
                    sleep(PAUSE).await;
                }
            }
            rows.append(&mut of_peers);
        }
    }
    rows
}
