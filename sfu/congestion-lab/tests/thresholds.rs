//! The server's estimator in the cases of the RFCs, a test for each. `make cc` runs more seeds and shows the figures.

#![allow(clippy::unwrap_used)]

#[path = "../controllers/own.rs"]
mod own;

use own::Own;
use tacet_congestion_lab::{Controller, Start, Summary, named, run, scenarios, scores};

/// Seeds of each case; the median must keep the bounds.
const SEEDS: u64 = 5;
/// What probes may add to all bytes, in percent: packets without media, and with media that is sent again.
const PADDING: f64 = 2.0;
const PROBES: f64 = 6.0;

fn holds(name: &str) {
    let scenario = named(name).unwrap();
    let own = |start: &Start| -> Box<dyn Controller> { Box::new(Own::new(start)) };
    let seeds: Vec<_> = (1..=SEEDS).map(|seed| scores(&scenario, &run(&scenario, seed, &own))).collect();
    let summary = Summary::of(&seeds);
    let violations: Vec<_> = scenario.expectations.iter().filter_map(|e| e.violation(&summary)).collect();
    assert!(violations.is_empty(), "{}: {violations:#?}", scenario.title);
    // Of audio alone, few bytes are many percent.
    if name != "video_after_ten_minutes_of_audio" {
        for (score, most) in [("padding_percent", PADDING), ("probe_percent", PROBES)] {
            let figure = summary.figure(score).unwrap();
            assert!(figure.median < most, "{}: {score} is {figure}, not below {most}", scenario.title);
        }
    }
}

/// Every scenario is a test.
#[test]
fn no_scenario_is_left_out() {
    let source = include_str!("thresholds.rs");
    let missing: Vec<_> =
        scenarios().iter().map(|scenario| scenario.name).filter(|name| !source.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// A test of the name of each scenario.
macro_rules! thresholds {
    ($(#[$attribute:meta])* $($name:ident)*) => {
        thresholds! { @all [$(#[$attribute])*] $($name)* }
    };
    (@all $attributes:tt $($name:ident)*) => {
        $(thresholds! { @one $attributes $name })*
    };
    (@one [$(#[$attribute:meta])*] $name:ident) => {
        $(#[$attribute])*
        #[test]
        fn $name() {
            holds(stringify!($name));
        }
    };
}

thresholds! {
    rfc8867_5_1_variable_capacity_single_flow
    rfc8867_5_1_variable_capacity_single_flow_100_ms
    rfc8867_5_2_variable_capacity_multiple_flows
    rfc8867_5_3_congested_feedback
    rfc8867_5_4_competing_flows
    rfc8867_5_5_round_trip_time_fairness
    rfc8867_5_6_long_tcp
    rfc8867_5_6_long_tcp_deep_queue
    rfc8867_5_7_short_tcp
    rfc8867_5_8_pause_and_resume
    rfc8867_6_3_multiple_bottlenecks
    constant_300_kbit
    constant_1_mbit
    constant_3_mbit
    constant_10_mbit
    libwebrtc_follows_link_capacity
    libwebrtc_1_mbit
    rfc8868_loss_1_percent
    rfc8868_loss_2_percent
    rfc8868_loss_5_percent
    rfc8868_loss_10_percent
    rfc8868_loss_20_percent
    rfc8868_loss_5_percent_bursts
    rfc8868_delay_1_ms
    rfc8868_delay_50_ms
    rfc8868_delay_150_ms
    rfc8868_delay_300_ms
    rfc8868_jitter_60_ms
    rfc8868_jitter_100_ms
    rfc8868_queue_50_ms
    rfc8868_queue_70_ms
    rfc8868_queue_150_ms
    rfc8868_queue_500_ms
    rfc8868_queue_1500_ms
    rfc8869_wifi_to_lte
    rfc8869_lte_swings
    step_down_and_up
    two_subscribers_one_line
    video_after_ten_minutes_of_audio
    layered_5_1_variable_capacity
    layered_quiet_2_mbit
    layered_5_2_two_flows
    layered_5_4_competing_flows
    layered_5_8_pause_and_resume
    layered_loss_5_percent
    layered_step_down_and_up
    layered_wifi_to_lte
}

thresholds! {
    #[ignore = "the estimator misses a bound; docs/congestion.md has the figures"]
    rfc8868_jitter_30_ms
    rfc8869_lte_swings_codel
}
