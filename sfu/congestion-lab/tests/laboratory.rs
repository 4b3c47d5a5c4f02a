//! The laboratory itself: with controllers so simple that the figures are known beforehand.

#![allow(clippy::unwrap_used)]

use std::time::Instant;
use tacet_congestion_lab::{
    Controller, PacketResult, ProbeCluster, Scenario, SentPacket, Start, Summary, named, run, scenarios, scores,
};

/// Always the same estimate.
struct Fixed {
    rate: f64,
    probes: u32,
}

impl Controller for Fixed {
    fn set_wanted(&mut self, _wanted: f64, _next: f64) {}
    fn on_sent(&mut self, _packet: &SentPacket, _in_flight: usize) {}
    fn on_report(&mut self, _now: Instant, _results: &[PacketResult], _in_flight: usize) {}
    fn on_tick(&mut self, _now: Instant, _queued: usize) {}
    fn next_probe(&mut self, _now: Instant) -> Option<ProbeCluster> {
        self.probes = self.probes.checked_sub(1)?;
        Some(ProbeCluster { id: 1, rate: 4e6, duration: std::time::Duration::from_millis(20), min_packets: 5 })
    }
    fn estimate(&self) -> f64 {
        self.rate
    }
}

fn figures(scenario: &Scenario, seed: u64, rate: f64) -> Summary {
    let fixed = move |_: &Start| -> Box<dyn Controller> { Box::new(Fixed { rate, probes: 0 }) };
    Summary::of(&[scores(scenario, &run(scenario, seed, &fixed))])
}

fn near(summary: &Summary, score: &str, expected: f64, tolerance: f64) {
    let median = summary.figure(score).unwrap().median;
    assert!((median - expected).abs() <= tolerance, "{score}: {median}, expected {expected} ± {tolerance}");
}

#[test]
fn fixed_rate_arrives_and_waits_for_nothing() {
    let scenario = named("constant_3_mbit").unwrap();
    let summary = figures(&scenario, 1, 1.5e6);
    // Video of 1.48 Mbit/s and 50 bytes of headers for each 1,150, audio of 40 kbit/s: just above half of the line.
    near(&summary, "rate_kbps_15_59", 1_480.0 * 1.05 + 40.0, 25.0);
    near(&summary, "utilisation", 0.53, 0.02);
    assert!(summary.figure("queue_p95_ms").unwrap().median < 30.0);
    near(&summary, "loss_percent", 0.0, 0.02);
    near(&summary, "padding_percent", 0.0, 0.0);
}

#[test]
fn too_much_fills_the_queue_and_the_line() {
    let scenario = named("constant_1_mbit").unwrap();
    let summary = figures(&scenario, 1, 2e6);
    near(&summary, "utilisation", 1.0, 0.01);
    near(&summary, "queue_p95_ms", 295.0, 10.0);
    // Half of the bytes; of packets less, since those of audio are small and find a place more easily.
    near(&summary, "loss_percent", 43.0, 5.0);
    let scenario = named("rfc8867_5_1_variable_capacity_single_flow").unwrap();
    near(&figures(&scenario, 1, 2e6), "down_s", 20.0, 0.1);
}

#[test]
fn equal_calls_share_equally() {
    let scenario = named("rfc8867_5_4_competing_flows").unwrap();
    let summary = figures(&scenario, 1, 1e6);
    near(&summary, "ratio", 1.0, 0.05);
}

#[test]
fn tcp_takes_what_is_left() {
    let scenario = named("rfc8867_5_6_long_tcp").unwrap();
    let summary = figures(&scenario, 1, 500e3);
    let tcp = summary.figure("tcp_share").unwrap().median;
    assert!((0.68..=0.76).contains(&tcp), "{tcp}: 0.55 of 2 Mbit/s are the call's");
}

#[test]
fn probes_are_sent_and_counted() {
    let probing = |_: &Start| -> Box<dyn Controller> { Box::new(Fixed { rate: 500e3, probes: 3 }) };
    // 20 ms at 4 Mbit/s are 10 kB; a part of it is media.
    let fills = 10_000..35_000;
    let with_video = &run(&named("constant_3_mbit").unwrap(), 1, &probing).media[0];
    assert_eq!((with_video.probes, with_video.padding), (3, 0));
    assert!(fills.contains(&with_video.repeated), "{}", with_video.repeated);
    // Before there is video, there is none to send again.
    let audio = &run(&named("video_after_ten_minutes_of_audio").unwrap(), 1, &probing).media[0];
    assert_eq!((audio.probes, audio.repeated), (3, 0));
    assert!(fills.contains(&audio.padding), "{}", audio.padding);
}

#[test]
fn same_seed_same_figures() {
    for name in ["rfc8867_5_3_congested_feedback", "rfc8869_lte_swings"] {
        let scenario = named(name).unwrap();
        assert_eq!(figures(&scenario, 3, 700e3), figures(&scenario, 3, 700e3));
        assert_ne!(figures(&scenario, 3, 700e3), figures(&scenario, 4, 700e3));
    }
}

#[test]
fn every_expectation_names_a_score() {
    for scenario in scenarios() {
        let short = Scenario { lasts: scenario.lasts.min(2.0), ..scenario.clone() };
        let summary = figures(&short, 1, 300e3);
        for expectation in &scenario.expectations {
            assert!(summary.figure(expectation.score).is_some(), "{}: {expectation}", scenario.name);
        }
    }
}

/// That a rate exists which keeps the bounds of the swinging link says that they are fair.
#[test]
fn bounds_of_lte_can_be_kept() {
    let scenario = named("rfc8869_lte_swings").unwrap();
    let summary = figures(&scenario, 1, 2.3e6);
    let violations: Vec<_> = scenario.expectations.iter().filter_map(|e| e.violation(&summary)).collect();
    assert!(violations.is_empty(), "{violations:?}");
}
