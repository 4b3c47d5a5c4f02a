//! The comparison with other servers, as far as it concerns this one.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

use peers::{Load, PeerName, Run, Setup, Times};
use std::{path::PathBuf, time::Duration};

/// This server to three receivers.
async fn run(load: Load, warmup: Duration) -> Run {
    let nowhere = PathBuf::from("/no/such/program");
    let setup = Setup {
        own: nowhere.clone(),
        tacet: env!("CARGO_BIN_EXE_tacet").into(),
        janus: nowhere.clone(),
        livekit: nowhere,
        cores: None,
        subscribers: 3,
    };
    let times = Times { warmup, measure: Duration::from_millis(500) };
    peers::run(PeerName::Tacet, &setup, load.traffic(), 3, times).await.unwrap()
}

#[tokio::test]
async fn server_forwards_the_comparison_load() {
    let run = run(Load::Bursts, Duration::from_millis(500)).await;
    // Almost all packets: on a busy machine, a socket may overflow.
    assert!(run.seen.expected > 0 && run.seen.loss() < 0.05, "{run:?}");
    assert!(run.rss_bytes_per_subscriber > 0 && run.cpu_s_per_million > 0.0, "{run:?}");
}

/// A run in which an encoding reached no receiver is an error.
#[tokio::test]
async fn receivers_get_the_encodings_that_they_ask_for() {
    let run = run(Load::Layers, Duration::from_secs(2)).await;
    assert!(run.seen.expected > 0 && run.seen.loss() < 0.05, "{run:?}");
}
