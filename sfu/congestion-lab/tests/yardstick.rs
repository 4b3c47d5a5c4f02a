//! libwebrtc's controller gets here what it got in an independent simulation, which ticked each 250 µs and shares no code with
//! this one: so the figures say something about the controller, not about the laboratory.

#![allow(clippy::unwrap_used)]

#[path = "../controllers/goog_cc.rs"]
mod gcc;

use gcc::GoogCc;
use tacet_congestion_lab::{Controller, Start, Summary, named, run, scores};

/// Medians of five seeds of that simulation.
const ELSEWHERE: [(&str, &str, f64); 6] = [
    ("constant_1_mbit", "utilisation", 0.94),
    ("rfc8868_loss_2_percent", "utilisation", 0.88),
    ("rfc8868_loss_5_percent", "utilisation", 0.85),
    ("rfc8868_loss_10_percent", "utilisation", 0.48),
    ("rfc8868_delay_150_ms", "utilisation", 0.91),
    ("rfc8867_5_4_competing_flows", "utilisation", 0.96),
];

#[test]
fn goog_cc_does_as_in_another_simulation() {
    let goog_cc = |start: &Start| -> Box<dyn Controller> { Box::new(GoogCc::new(start)) };
    for (name, score, expected) in ELSEWHERE {
        let scenario = named(name).unwrap();
        let seeds: Vec<_> = (1..=3).map(|seed| scores(&scenario, &run(&scenario, seed, &goog_cc))).collect();
        let median = Summary::of(&seeds).figure(score).unwrap().median;
        assert!((median / expected - 1.0).abs() < 0.15, "{name}: {score} {median}, elsewhere {expected}");
    }
}
