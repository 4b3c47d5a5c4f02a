//! Flows through common bottlenecks: rates, delays as queueing theory has them, and the same bytes for the same seed.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};
use tacet_impair::{Bitrate, Bottleneck, FlowId, Impairment, Network, Random, RateSchedule, Share};

const BYTES: usize = 1_250;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Sends at twice what the line takes, one flow after the other; returns the bytes that each flow gets within a time.
fn greedy(
    network: &mut Network<()>,
    start: Instant,
    flows: &[FlowId],
    spacing: Duration,
    from: Duration,
    to: Duration,
) -> Vec<usize> {
    let mut got = vec![0; flows.len()];
    let mut now = start;
    for step in 0.. {
        now += spacing;
        if now > start + to {
            break;
        }
        while let Some(arrival) = network.arrived(now) {
            let place = flows.iter().position(|flow| *flow == arrival.flow).unwrap();
            got[place] += if arrival.at > start + from { BYTES } else { 0 };
        }
        network.send(now, flows[step % flows.len()], BYTES, ());
    }
    got
}

fn near(measured: f64, expected: f64, share: f64) {
    assert!((measured - expected).abs() <= share * expected, "measured {measured}, expected {expected} ± {share}");
}

#[test]
fn greedy_flow_gets_the_rate() {
    for kbit in [300, 1_000, 10_000] {
        let start = Instant::now();
        let mut network = Network::new(1, start);
        let rate = Bitrate::kbit(kbit);
        let line = network.add_bottleneck(Bottleneck::new(rate).queue_time(ms(300)));
        let flow = network.add_flow(Impairment::PERFECT.delay(ms(50)).gaussian_jitter(ms(5)), &[line]);
        let got = greedy(&mut network, start, &[flow], rate.time_for(BYTES as u64) / 2, seconds(5), seconds(65));
        near(got[0] as f64 * 8.0, f64::from(kbit) * 60e3, 0.01);
    }
}

#[test]
fn greedy_flow_follows_the_schedule() {
    let start = Instant::now();
    let mut network = Network::new(1, start);
    let schedule: RateSchedule = "1mbit:2500kbit@40s:600kbit@60s:1mbit@80s".parse().unwrap();
    let line = network.add_bottleneck(Bottleneck::new(schedule).queue_time(ms(300)));
    let flow = network.add_flow(Impairment::PERFECT, &[line]);
    let got = greedy(&mut network, start, &[flow], ms(2), Duration::ZERO, seconds(100));
    near(got[0] as f64 * 8.0, 1e6 * 40.0 + 2.5e6 * 20.0 + 0.6e6 * 20.0 + 1e6 * 20.0, 0.01);
}

#[test]
fn flows_share_a_line_and_differ_in_delay() {
    let start = Instant::now();
    let mut network = Network::new(1, start);
    let line = network.add_bottleneck(Bottleneck::new(Bitrate::mbit(4)));
    let flows = [10, 150].map(|delay| network.add_flow(Impairment::PERFECT.delay(ms(delay)), &[line]));
    let got = greedy(&mut network, start, &flows, ms(1), seconds(1), seconds(31));
    near(got.iter().sum::<usize>() as f64 * 8.0, 4e6 * 30.0, 0.01);
    near(got[0] as f64, got[1] as f64, 0.02);
}

#[test]
fn second_bottleneck_limits_only_its_flows() {
    let start = Instant::now();
    let mut network = Network::new(1, start);
    let wide = network.add_bottleneck(Bottleneck::new(Bitrate::mbit(4)));
    let narrow = network.add_bottleneck(Bottleneck::new(Bitrate::mbit(1)));
    let through_one = network.add_flow(Impairment::PERFECT, &[wide]);
    let through_both = network.add_flow(Impairment::PERFECT, &[wide, narrow]);
    let got = greedy(&mut network, start, &[through_one, through_both], ms(1), seconds(1), seconds(31));
    near(got[0] as f64 * 8.0, 2e6 * 30.0, 0.02);
    near(got[1] as f64 * 8.0, 1e6 * 30.0, 0.01);
    let counts = network.counts(through_both);
    assert_eq!(counts.received + counts.duplicated, counts.dropped + counts.forwarded + counts.under_way());
}

#[test]
fn stall_keeps_what_is_queued() {
    let start = Instant::now();
    let mut network = Network::new(1, start);
    let schedule: RateSchedule = "1mbit:0@1s:1mbit@2s".parse().unwrap();
    let line = network.add_bottleneck(Bottleneck::new(schedule).queue_time(ms(100)));
    let flow = network.add_flow(Impairment::PERFECT, &[line]);
    for number in 0..20 {
        network.send(start + ms(1_500), flow, BYTES, number);
    }
    let end = start + seconds(3);
    let arrivals: Vec<_> =
        std::iter::from_fn(|| network.arrived(end)).map(|arrival| (arrival.item, arrival.at - start)).collect();
    let expected: Vec<_> = (0..10).map(|number| (number, ms(2_000 + 10 * (number as u64 + 1)))).collect();
    assert_eq!(arrivals, expected, "100 ms of it wait, the rest is dropped");
}

/// Mean delay of packets that come at random times, in transmission times.
fn poisson_delay(load: f64, seed: u64) -> f64 {
    const PACKETS: u32 = 400_000;
    let start = Instant::now();
    let mut network = Network::new(1, start);
    let rate = Bitrate::mbit(1);
    let line = network.add_bottleneck(Bottleneck::new(rate).queue_time(seconds(60)));
    let flow = network.add_flow(Impairment::PERFECT, &[line]);
    let mut random = Random::new(seed);
    let (mut now, mut sum, mut count) = (start, 0.0, 0u32);
    for _ in 0..PACKETS {
        now += ms(10).mul_f64(-(1.0 - random.fraction()).ln() / load);
        while let Some(arrival) = network.arrived(now) {
            (sum, count) = (sum + arrival.queued.as_secs_f64() / 0.01, count + 1);
        }
        network.send(now, flow, BYTES, ());
    }
    sum / f64::from(count)
}

/// M/D/1 (Pollaczek and Khinchine): a packet is in the system for 1 + ρ ∕ (2 (1 − ρ)) transmission times on average: 1.5
/// at half load, 2.167 at 0.7, 5.5 at 0.9.
#[test]
fn random_arrivals_wait_as_in_m_d_1() {
    near(poisson_delay(0.5, 1), 1.5, 0.01);
    near(poisson_delay(0.7, 2), 1.0 + 0.7 / 0.6, 0.02);
    near(poisson_delay(0.9, 3), 5.5, 0.05);
}

#[test]
fn same_seed_same_bytes() {
    let run =
        |seed| {
            let start = Instant::now();
            let mut network = Network::new(seed, start);
            let schedule = RateSchedule::swinging(Bitrate::mbit(3), Share::percent(30), seconds(10), seed).unwrap();
            let line = network.add_bottleneck(Bottleneck::new(schedule).queue_time(ms(100)));
            let bad: Impairment = "loss=2%,delay=20ms,jitter=gauss 5ms,duplicate=1%".parse().unwrap();
            let flows = [bad.clone(), bad.delay(ms(70))].map(|path| network.add_flow(path, &[line]));
            let mut all = Vec::new();
            for number in 0..4_000usize {
                let now = start + ms(2) * number as u32;
                all.extend(std::iter::from_fn(|| network.arrived(now)).map(|arrival| {
                    (arrival.flow, arrival.at - start, arrival.left - start, arrival.queued, arrival.item)
                }));
                network.send(now, flows[number % 2], 200 + number % 1_000, number);
            }
            all
        };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// RFC 8868 section 3.3: packets keep their order, the mean is that of the distribution, and none is beyond 3 σ.
#[test]
fn gaussian_jitter_keeps_order_and_is_cut() {
    let start = Instant::now();
    let mut network = Network::new(3, start);
    let flow = network.add_flow(Impairment::PERFECT.delay(ms(50)).gaussian_jitter(ms(5)), &[]);
    let mut delays = Vec::new();
    for number in 0..100_000u32 {
        // So far apart that none waits for another.
        let now = start + ms(40) * number;
        network.send(now, flow, BYTES, now);
        delays.extend(
            std::iter::from_fn(|| network.arrived(now)).map(|arrival| (arrival.at - arrival.item).as_secs_f64() * 1e3),
        );
    }
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    let deviation = (delays.iter().map(|delay| (delay - mean).powi(2)).sum::<f64>() / delays.len() as f64).sqrt();
    near(mean, 65.0, 0.001);
    near(deviation, 5.0, 0.02);
    assert!(delays.iter().all(|delay| (50.0..=80.0).contains(delay)));
    let within_one = delays.iter().filter(|delay| (*delay - 65.0).abs() < 5.0).count();
    near(within_one as f64 / delays.len() as f64, 0.683, 0.012);
}

/// A flow that does not yield keeps a drop-tail queue full; CoDel drops more and more of it, as long as it waits.
#[test]
fn codel_shortens_the_queue() {
    let median = |bottleneck: Bottleneck| {
        let start = Instant::now();
        let mut network = Network::new(1, start);
        let line = network.add_bottleneck(bottleneck.queue_time(ms(300)));
        let flow = network.add_flow(Impairment::PERFECT, &[line]);
        let mut waits = Vec::new();
        for number in 0..20_000u32 {
            // 1.05 Mbit/s on a line of 1.
            let now = start + Duration::from_micros(9_524) * number;
            network.send(now, flow, BYTES, ());
            waits.extend(std::iter::from_fn(|| network.arrived(now)).map(|arrival| arrival.queued));
        }
        waits.sort_unstable();
        waits[waits.len() / 2]
    };
    let plain = median(Bottleneck::new(Bitrate::mbit(1)));
    let managed = median(Bottleneck::new(Bitrate::mbit(1)).with_codel());
    assert!(plain > ms(280) && managed < ms(60), "{plain:?} {managed:?}");
}
