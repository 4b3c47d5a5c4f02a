//! The order of the runs: all peers take turns, so that what the machine does meanwhile hits all of them alike.

use crate::{
    measure::{Times, run},
    peer::{PeerError, PeerName, Setup},
    report::Row,
    server::ServerError,
};
use loadtest::fanout::Rate;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// Between two runs, so that the end of one is not measured by the next.
const PAUSE: Duration = Duration::from_millis(500);

/// A shape of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// 500 single packets a second.
    Singles,
    /// 960 packets a second, 16 at once: a large frame sixty times a second.
    Bursts,
}

impl Load {
    /// RTP payload of a packet at most: with header, one extension and the tag of GCM, a datagram has about 1,200 bytes.
    pub const PAYLOAD_BYTES: usize = 1_164;

    /// Its rate.
    #[must_use]
    pub fn rate(self) -> Rate {
        let size = Self::PAYLOAD_BYTES;
        match self {
            Self::Singles => Rate { pps: 500, burst: 1, size },
            Self::Bursts => Rate { pps: 960, burst: 16, size },
        }
    }

    /// What it is, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Singles => "single packets, 500 a second",
            Self::Bursts => "bursts of 16 packets, 960 a second",
        }
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who, in this order.
    pub peers: Vec<PeerName>,
    /// Under which loads.
    pub loads: Vec<Load>,
    /// With how many subscribers.
    pub subscribers: Vec<usize>,
    /// How often.
    pub runs: usize,
    /// How long.
    pub times: Times,
}

/// Runs the plan; `progress` is told of every run in a line.
pub async fn compare(plan: &Plan, setup: &Setup, mut progress: impl FnMut(&str)) -> Vec<Row> {
    let mut rows = Vec::new();
    // Peers whose program is not there are asked once.
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
                    match run(row.peer, setup, load.rate(), *subscribers, plan.times).await {
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
