//! The cases that a controller is judged by.
//!
//! RFC 8867 (test cases), with its defaults of section 4.2: 50 ms one way, a drop-tail queue of 300 ms, jitter with σ 5 ms
//! that keeps order, video of 150 kbit/s to 1.5 Mbit/s at 30 frames a second, audio of 20 kbit/s. RFC 8868 (sweeps of loss,
//! delay, jitter and queue). RFC 8869 (wireless). The bounds are ours where the RFCs have words only.

use crate::{
    expectation::Expectation,
    scenario::{MediaFlow, Pause, Scenario, SourceKind, TcpFlow, Window},
};
use std::time::Duration;
use tacet_impair::{Bitrate, Bottleneck, Impairment, Loss, RateSchedule, RateStep, Share};

const JITTER: Duration = Duration::from_millis(5);
const QUEUE: Duration = Duration::from_millis(300);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at_least(score: &'static str, bound: f64) -> Expectation {
    Expectation::at_least(score, bound)
}

fn at_most(score: &'static str, bound: f64) -> Expectation {
    Expectation::at_most(score, bound)
}

/// A line whose capacity in Mbit/s changes at these seconds; `0.0` is a stall.
fn line(changes: &[(f64, f64)], queue: Duration) -> Bottleneck {
    let steps: Vec<RateStep> = changes
        .iter()
        .map(|(at, mbit)| RateStep { at: Duration::from_secs_f64(*at), rate: Bitrate::new((mbit * 1e6) as u64) })
        .collect();
    let constant = || Bottleneck::new(Bitrate::mbit(1));
    RateSchedule::new(&steps).map_or_else(|_| constant(), Bottleneck::new).queue_time(queue)
}

fn windows(windows: &[(f64, f64)]) -> Vec<Window> {
    windows.iter().map(|(from, to)| Window { from: *from, to: *to }).collect()
}

/// A call with the defaults of RFC 8867.
fn call(from: f64, to: f64) -> MediaFlow {
    MediaFlow {
        active: Window { from, to },
        pause: None,
        video: (150e3, 1.5e6),
        first_rate: 300e3,
        delay: ms(50),
        route: vec![0],
    }
}

/// A call that can use much, for sweeps.
fn wide_call(delay: Duration) -> MediaFlow {
    MediaFlow { video: (100e3, 12e6), delay, ..call(0.0, 59.0) }
}

fn scenario(name: &'static str, title: impl Into<String>, capacity: &[(f64, f64)], media: Vec<MediaFlow>) -> Scenario {
    let lasts = media.iter().map(|flow| flow.active.to).fold(0.0, f64::max) + 1.0;
    Scenario {
        name,
        title: title.into(),
        forward: vec![line(capacity, QUEUE)],
        backward: None,
        path: Impairment::PERFECT.gaussian_jitter(JITTER),
        media,
        reverse: Vec::new(),
        tcp: Vec::new(),
        source: SourceKind::Continuous,
        lasts,
        windows: Vec::new(),
        changes: capacity.iter().filter(|(_, mbit)| *mbit > 0.0).map(|(at, mbit)| (*at, mbit * 1e6)).collect(),
        expectations: Vec::new(),
    }
}

/// The scenario of this name.
pub fn named(name: &str) -> Option<Scenario> {
    scenarios().into_iter().find(|scenario| scenario.name == name)
}

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = rfc8867();
    all.extend(constant());
    all.extend(libwebrtc());
    all.extend(rfc8868_loss());
    all.extend(rfc8868_paths());
    all.extend(rfc8869());
    all.extend(beyond());
    let layered = layered(&all);
    all.extend(layered);
    all.push(quiet());
    all
}

fn rfc8867() -> Vec<Scenario> {
    let variable = |name, title: &str, delay| {
        let capacity = [(0.0, 1.0), (40.0, 2.5), (60.0, 0.6), (80.0, 1.0)];
        Scenario {
            windows: windows(&[(10.0, 40.0), (50.0, 60.0), (65.0, 80.0), (85.0, 99.0)]),
            expectations: vec![
                at_least("utilisation", 0.90),
                at_most("queue_p95_ms", 100.0),
                at_most("up_s", 5.0),
                at_most("down_s", 3.0),
            ],
            ..scenario(name, title, &capacity, vec![MediaFlow { delay, ..call(0.0, 99.0) }])
        }
    };
    let tcp = |queue: u64, name, title: &str, share| Scenario {
        forward: vec![line(&[(0.0, 2.0)], ms(queue))],
        tcp: vec![TcpFlow { active: Window { from: 0.0, to: 119.0 }, short: false, begins: true, delay: ms(50) }],
        windows: windows(&[(20.0, 60.0), (60.0, 119.0)]),
        expectations: vec![at_least("share_60_119", share), at_most("starved_s", 1.0), at_least("tcp_share", 0.5)],
        changes: Vec::new(),
        ..scenario(name, title, &[(0.0, 2.0)], vec![call(5.0, 119.0)])
    };
    let rtt = [10, 25, 50, 100, 150].into_iter().enumerate();
    let pausing = MediaFlow { pause: Some(Pause { from: 40.0, to: 60.0, audio: false }), ..call(0.0, 119.0) };
    vec![
        variable("rfc8867_5_1_variable_capacity_single_flow", "5.1 single flow, variable capacity, 50 ms", ms(50)),
        variable(
            "rfc8867_5_1_variable_capacity_single_flow_100_ms",
            "5.1 single flow, variable capacity, 100 ms",
            ms(100),
        ),
        Scenario {
            windows: windows(&[(10.0, 25.0), (30.0, 50.0), (60.0, 75.0), (80.0, 100.0), (110.0, 124.0)]),
            expectations: vec![at_most("ratio", 2.0), at_most("up_s", 5.0), at_most("down_s", 3.0)],
            ..scenario(
                "rfc8867_5_2_variable_capacity_multiple_flows",
                "5.2 two flows, variable capacity",
                &[(0.0, 4.0), (25.0, 2.0), (50.0, 3.5), (75.0, 1.0), (100.0, 2.0)],
                vec![call(0.0, 124.0); 2],
            )
        },
        Scenario {
            backward: Some(line(&[(0.0, 2.0), (35.0, 0.8), (70.0, 2.0)], QUEUE)),
            reverse: vec![call(0.0, 99.0)],
            windows: windows(&[(10.0, 20.0), (25.0, 40.0), (45.0, 60.0), (70.0, 99.0)]),
            expectations: vec![at_least("utilisation", 0.81), at_most("queue_p95_ms", 180.0), at_most("down_s", 3.0)],
            ..scenario(
                "rfc8867_5_3_congested_feedback",
                "5.3 congested feedback, both ways",
                &[(0.0, 2.0), (20.0, 1.0), (40.0, 0.5), (60.0, 2.0)],
                vec![call(0.0, 99.0)],
            )
        },
        Scenario {
            windows: windows(&[(50.0, 80.0), (80.0, 119.0)]),
            expectations: vec![at_least("utilisation", 0.93), at_most("ratio", 1.8), at_most("queue_p95_ms", 100.0)],
            changes: Vec::new(),
            ..scenario(
                "rfc8867_5_4_competing_flows",
                "5.4 three flows, at 0, 20 and 40 s",
                &[(0.0, 3.5)],
                vec![call(0.0, 119.0), call(20.0, 119.0), call(40.0, 119.0)],
            )
        },
        Scenario {
            windows: windows(&[(120.0, 200.0), (200.0, 299.0)]),
            expectations: vec![at_most("ratio", 2.0), at_most("queue_p95_ms", 130.0)],
            changes: Vec::new(),
            ..scenario(
                "rfc8867_5_5_round_trip_time_fairness",
                "5.5 five flows, 10 to 150 ms",
                &[(0.0, 4.0)],
                rtt.map(|(n, delay)| MediaFlow { delay: ms(delay), ..call(10.0 * n as f64, 299.0) }).collect(),
            )
        },
        tcp(300, "rfc8867_5_6_long_tcp", "5.6 long TCP, queue of 300 ms", 0.10),
        tcp(1_000, "rfc8867_5_6_long_tcp_deep_queue", "5.6 long TCP, queue of 1,000 ms", 0.13),
        Scenario {
            tcp: (0..10)
                .map(|n| TcpFlow { active: Window { from: 0.0, to: 299.0 }, short: true, begins: n < 2, delay: ms(50) })
                .collect(),
            windows: windows(&[(20.0, 150.0), (150.0, 299.0)]),
            expectations: vec![
                at_most("starved_s", 5.0),
                at_least("utilisation", 0.40),
                at_most("queue_p95_ms", 200.0),
            ],
            changes: Vec::new(),
            ..scenario(
                "rfc8867_5_7_short_tcp",
                "5.7 ten short TCP, two flows",
                &[(0.0, 2.0)],
                vec![call(5.0, 299.0); 2],
            )
        },
        Scenario {
            windows: windows(&[(20.0, 40.0), (45.0, 60.0), (60.0, 70.0), (70.0, 119.0)]),
            expectations: vec![at_least("share_45_60", 0.86), at_most("ratio", 1.7), at_most("queue_p95_ms", 200.0)],
            changes: Vec::new(),
            ..scenario(
                "rfc8867_5_8_pause_and_resume",
                "5.8 one of three pauses, 40 to 60 s",
                &[(0.0, 3.5)],
                vec![call(0.0, 119.0), pausing, call(0.0, 119.0)],
            )
        },
        Scenario {
            forward: [2.0, 8.0, 1.5].map(|mbit| line(&[(0.0, mbit)], QUEUE)).to_vec(),
            windows: windows(&[(30.0, 119.0)]),
            expectations: vec![at_least("used_0", 0.9), at_least("used_2", 0.9), at_least("least_kbps_30_119", 250.0)],
            changes: Vec::new(),
            ..scenario(
                "rfc8867_6_3_multiple_bottlenecks",
                "6.3 two bottlenecks, 2 and 1.5 Mbit/s",
                &[(0.0, 2.0)],
                vec![
                    MediaFlow { delay: ms(100), route: vec![0, 1, 2], ..call(0.0, 119.0) },
                    MediaFlow { delay: ms(40), route: vec![0], ..call(0.0, 119.0) },
                    MediaFlow { delay: ms(40), route: vec![2], ..call(0.0, 119.0) },
                ],
            )
        },
    ]
}

/// From nothing to a constant capacity.
fn constant() -> Vec<Scenario> {
    [
        ("constant_300_kbit", 0.3, 5.0),
        ("constant_1_mbit", 1.0, 5.0),
        ("constant_3_mbit", 3.0, 6.0),
        ("constant_10_mbit", 10.0, 12.0),
    ]
    .map(|(name, mbit, up)| Scenario {
        windows: windows(&[(15.0, 59.0)]),
        expectations: vec![at_least("utilisation", 0.85), at_most("up_s", up)],
        ..scenario(name, format!("constant {mbit} Mbit/s"), &[(0.0, mbit)], vec![wide_call(ms(25))])
    })
    .into()
}

/// What libwebrtc's own scenario tests ask of its controller.
fn libwebrtc() -> Vec<Scenario> {
    let call = || MediaFlow { video: (30e3, 1.5e6), delay: ms(100), ..call(0.0, 95.0) };
    vec![
        Scenario {
            windows: windows(&[(20.0, 25.0), (40.0, 45.0), (85.0, 95.0)]),
            expectations: vec![
                at_least("estimate_kbps_20_25", 350.0),
                at_most("estimate_kbps_20_25", 550.0),
                at_least("estimate_kbps_40_45", 600.0),
                at_most("estimate_kbps_40_45", 900.0),
                at_least("estimate_kbps_85_95", 65.0),
                at_most("estimate_kbps_85_95", 115.0),
            ],
            changes: Vec::new(),
            ..scenario(
                "libwebrtc_follows_link_capacity",
                "libwebrtc: 500, 800, 100 kbit/s",
                &[(0.0, 0.5), (25.0, 0.8), (45.0, 0.1)],
                vec![call()],
            )
        },
        Scenario {
            windows: windows(&[(20.0, 30.0)]),
            expectations: vec![at_least("estimate_kbps_20_30", 750.0), at_most("estimate_kbps_20_30", 1_050.0)],
            changes: Vec::new(),
            ..scenario(
                "libwebrtc_1_mbit",
                "libwebrtc: 1 Mbit/s",
                &[(0.0, 1.0)],
                vec![MediaFlow { active: Window { from: 0.0, to: 30.0 }, ..call() }],
            )
        },
    ]
}

fn rfc8868_loss() -> Vec<Scenario> {
    let random = |percent: u8| Loss::independent(Share::percent(percent));
    let bursts = |percent: u8| Loss::bursts(Share::percent(percent), 4.0).unwrap_or_default();
    [
        ("rfc8868_loss_1_percent", "1 % lost", random(1), 0.85),
        ("rfc8868_loss_2_percent", "2 % lost", random(2), 0.85),
        ("rfc8868_loss_5_percent", "5 % lost", random(5), 0.80),
        ("rfc8868_loss_10_percent", "10 % lost", random(10), 0.65),
        ("rfc8868_loss_20_percent", "20 % lost", random(20), 0.45),
        ("rfc8868_loss_5_percent_bursts", "5 % lost in bursts of 4", bursts(5), 0.78),
    ]
    .map(|(name, title, loss, bound)| Scenario {
        path: Impairment::PERFECT.gaussian_jitter(JITTER).loss(loss),
        windows: windows(&[(15.0, 59.0)]),
        expectations: vec![at_least("utilisation", bound)],
        changes: Vec::new(),
        ..scenario(name, format!("{title}, 3 Mbit/s"), &[(0.0, 3.0)], vec![wide_call(ms(25))])
    })
    .into()
}

fn rfc8868_paths() -> Vec<Scenario> {
    let with = |name, title: String, delay: Duration, path: Impairment, queue: Duration| Scenario {
        forward: vec![line(&[(0.0, 3.0)], queue)],
        path,
        windows: windows(&[(15.0, 59.0)]),
        expectations: vec![at_least("utilisation", 0.80), at_most("queue_p95_ms", 60.0)],
        changes: Vec::new(),
        ..scenario(name, format!("{title}, 3 Mbit/s"), &[(0.0, 3.0)], vec![wide_call(delay)])
    };
    let gauss = || Impairment::PERFECT.gaussian_jitter(JITTER);
    let delay = |name, delay| with(name, format!("{delay} ms one way"), ms(delay), gauss(), QUEUE);
    let jitter =
        |name, most| with(name, format!("jitter up to {most} ms"), ms(25), Impairment::PERFECT.jitter(ms(most)), QUEUE);
    let queue = |name, queue| with(name, format!("queue of {queue} ms"), ms(25), gauss(), ms(queue));
    vec![
        delay("rfc8868_delay_1_ms", 1),
        delay("rfc8868_delay_50_ms", 50),
        delay("rfc8868_delay_150_ms", 150),
        delay("rfc8868_delay_300_ms", 300),
        jitter("rfc8868_jitter_30_ms", 30),
        jitter("rfc8868_jitter_60_ms", 60),
        jitter("rfc8868_jitter_100_ms", 100),
        queue("rfc8868_queue_50_ms", 50),
        queue("rfc8868_queue_70_ms", 70),
        queue("rfc8868_queue_150_ms", 150),
        queue("rfc8868_queue_500_ms", 500),
        queue("rfc8868_queue_1500_ms", 1_500),
    ]
}

fn rfc8869() -> Vec<Scenario> {
    // 3 Mbit/s on average: the middle of 0.3 and 1.
    let best = Bitrate::kbit(4_615);
    let swinging = RateSchedule::swinging(best, Share::percent(30), Duration::from_secs(60), 1);
    let lte = swinging.map_or_else(|_| Bottleneck::new(best), Bottleneck::new).queue_time(QUEUE);
    let wifi = [(0.0, 20.0), (30.0, 0.0), (30.8, 4.0)];
    let swings = |name, title: &str, lte| Scenario {
        forward: vec![lte],
        windows: windows(&[(15.0, 59.0)]),
        expectations: vec![at_least("utilisation", 0.75), at_most("queue_p95_ms", 250.0)],
        changes: Vec::new(),
        ..scenario(name, title, &[(0.0, 3.0)], vec![wide_call(ms(25))])
    };
    vec![
        Scenario {
            windows: windows(&[(31.0, 36.0)]),
            expectations: vec![at_least("utilisation", 0.85)],
            changes: Vec::new(),
            ..scenario(
                "rfc8869_wifi_to_lte",
                "8869: Wi-Fi 20 to LTE 4 Mbit/s, 0.8 s of nothing",
                &wifi,
                vec![wide_call(ms(25))],
            )
        },
        swings("rfc8869_lte_swings", "8869: LTE, swings each 100 ms, 3 Mbit/s", lte.clone()),
        swings("rfc8869_lte_swings_codel", "8869: the same with CoDel", lte.with_codel()),
    ]
}

/// Further cases.
fn beyond() -> Vec<Scenario> {
    let idle = MediaFlow { pause: Some(Pause { from: 0.0, to: 600.0, audio: true }), ..call(0.0, 620.0) };
    vec![
        Scenario {
            windows: windows(&[(10.0, 20.0), (22.0, 35.0), (36.0, 41.0), (45.0, 59.0)]),
            expectations: vec![at_most("down_s", 3.0), at_most("up_s_at_35", 9.0)],
            ..scenario(
                "step_down_and_up",
                "5, 0.5, 5 Mbit/s at 20 and 35 s",
                &[(0.0, 5.0), (20.0, 0.5), (35.0, 5.0)],
                vec![wide_call(ms(25))],
            )
        },
        Scenario {
            windows: windows(&[(30.0, 119.0)]),
            expectations: vec![at_most("ratio", 2.0)],
            changes: Vec::new(),
            ..scenario(
                "two_subscribers_one_line",
                "two flows, 2 Mbit/s",
                &[(0.0, 2.0)],
                vec![call(0.0, 119.0), call(5.0, 119.0)],
            )
        },
        Scenario {
            windows: windows(&[(605.0, 620.0)]),
            expectations: vec![at_least("utilisation", 0.85)],
            changes: Vec::new(),
            ..scenario("video_after_ten_minutes_of_audio", "audio for 600 s, then video", &[(0.0, 3.0)], vec![idle])
        },
    ]
}

/// A path that nothing else uses, for ten minutes, with layers of which none fits just so.
fn quiet() -> Scenario {
    Scenario {
        source: SourceKind::Layered,
        windows: windows(&[(15.0, 599.0)]),
        expectations: vec![at_least("estimate_near_percent", 95.0), at_most("audio_excess_percent", 1.0)],
        changes: Vec::new(),
        ..scenario(
            "layered_quiet_2_mbit",
            "2 Mbit/s for ten minutes; nine layers",
            &[(0.0, 2.0)],
            vec![MediaFlow { active: Window { from: 0.0, to: 599.0 }, ..wide_call(ms(25)) }],
        )
    }
}

/// Some of them with a source of nine layers, which must not flicker, nor cost audio.
fn layered(all: &[Scenario]) -> Vec<Scenario> {
    [
        ("rfc8867_5_1_variable_capacity_single_flow", "layered_5_1_variable_capacity", Some(5.0)),
        ("rfc8867_5_2_variable_capacity_multiple_flows", "layered_5_2_two_flows", None),
        ("rfc8867_5_4_competing_flows", "layered_5_4_competing_flows", None),
        ("rfc8867_5_8_pause_and_resume", "layered_5_8_pause_and_resume", None),
        ("rfc8868_loss_5_percent", "layered_loss_5_percent", None),
        ("rfc8869_wifi_to_lte", "layered_wifi_to_lte", None),
        ("step_down_and_up", "layered_step_down_and_up", Some(5.0)),
    ]
    .into_iter()
    .filter_map(|(of, name, next_layer)| {
        let scenario = all.iter().find(|scenario| scenario.name == of)?.clone();
        let mut expectations = vec![at_most("undone_ups_in_20_s", 1.0), at_most("audio_excess_percent", 1.0)];
        expectations.extend(next_layer.map(|bound| at_most("next_layer_s", bound)));
        Some(Scenario {
            name,
            title: format!("{}; nine layers", scenario.title),
            source: SourceKind::Layered,
            expectations,
            ..scenario
        })
    })
    .collect()
}
