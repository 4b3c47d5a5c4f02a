//! The servers of this program, each in its own process, forward to three subscribers.

#![allow(clippy::unwrap_used)]

use loadtest::fanout::Rate;
use peers::{PeerName, Setup, Times};
use std::{path::PathBuf, time::Duration};

const RATE: Rate = Rate { pps: 200, burst: 4, size: 1_000 };
const TIMES: Times = Times { warmup: Duration::from_millis(200), measure: Duration::from_millis(500) };

fn setup() -> Setup {
    let nowhere = PathBuf::from("/no/such/program");
    Setup {
        own: env!("CARGO_BIN_EXE_tacet-peers").into(),
        tacet: nowhere.clone(),
        janus: nowhere.clone(),
        livekit: nowhere,
        cores: None,
        subscribers: 3,
    }
}

async fn run(peer: PeerName) {
    let run = peers::run(peer, &setup(), RATE.into(), 3, TIMES).await.unwrap();
    assert!(run.seen.expected > 0 && run.seen.expected.is_multiple_of(3), "{run:?}");
    // Nearly all: on a machine that is busy with other tests, a socket may overflow.
    assert!(run.seen.loss() < 0.05, "{peer:?}: {run:?}");
    assert_eq!(run.seen.profile.as_deref(), Some("AEAD_AES_256_GCM"));
}

#[tokio::test]
async fn str0m_forwards_everything() {
    run(PeerName::Str0m).await;
}

#[tokio::test]
async fn floor_forwards_everything() {
    for peer in [PeerName::Floor, PeerName::FloorGso4, PeerName::FloorGso16] {
        run(peer).await;
    }
}

#[tokio::test]
async fn absent_peers_are_listed() {
    let plan = peers::Plan {
        peers: vec![PeerName::Livekit, PeerName::Janus],
        loads: vec![peers::Load::Singles],
        subscribers: vec![1],
        runs: 2,
        times: TIMES,
    };
    let mut lines = Vec::new();
    let rows = peers::compare(&plan, &setup(), |line| lines.push(line.to_owned())).await;
    assert_eq!(lines.len(), 2, "asked once each: {lines:?}");
    for row in rows {
        assert!(row.to_string().contains("missing: /no/such/program does not start"), "{row}");
    }
}
