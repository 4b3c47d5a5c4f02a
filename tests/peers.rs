//! The comparison with other servers, as far as it concerns this one.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used)]

use peers::{Load, PeerName, Setup, Times};
use std::{path::PathBuf, time::Duration};

#[tokio::test]
async fn server_forwards_the_comparison_load() {
    let nowhere = PathBuf::from("/no/such/program");
    let setup = Setup {
        own: nowhere.clone(),
        tacet: env!("CARGO_BIN_EXE_tacet").into(),
        janus: nowhere.clone(),
        livekit: nowhere,
        cores: None,
        subscribers: 3,
    };
    let times = Times { warmup: Duration::from_millis(500), measure: Duration::from_millis(500) };
    let run = peers::run(PeerName::Tacet, &setup, Load::Bursts.traffic(), 3, times).await.unwrap();
    // Almost all packets: on a busy machine, a socket may overflow.
    assert!(run.seen.expected > 0 && run.seen.loss() < 0.05, "{run:?}");
    assert!(run.rss_bytes_per_subscriber > 0 && run.cpu_s_per_million > 0.0, "{run:?}");
}
