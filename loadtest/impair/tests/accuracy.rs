//! The model does what was configured: measured over many packets in virtual time, against the configuration.
//!
//! Seeds are fixed, so a test that passes once passes always; the bounds are several standard deviations wide all the
//! same, so that they say something about the model and not about the seed.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};
use tacet_impair::{Bitrate, Bottleneck, Fate, Impairment, Link, Loss, Outage, Path, Share};

const PACKETS: usize = 200_000;
/// Between packets: 500 a second.
const SPACING: Duration = Duration::from_millis(2);
const BYTES: usize = 1_200;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn share(tenths_of_a_percent: u32) -> Share {
    Share::new(f64::from(tenths_of_a_percent) / 1_000.0).unwrap()
}

/// Number and travel time of a packet.
type Arrival = (usize, Duration);

/// Sends packets at an even pace; returns the number and the travel time of each, in the order of arrival.
fn travel(impairment: Impairment, seed: u64) -> (Vec<Arrival>, Link<(usize, Instant)>) {
    let start = Instant::now();
    let mut link = Link::new(impairment, seed, start);
    let mut arrivals = Vec::new();
    let mut take = |link: &mut Link<(usize, Instant)>, until: Option<Instant>| {
        while let Some(at) = link.next_arrival().filter(|at| until.is_none_or(|until| *at <= until)) {
            arrivals.extend(link.arrived(at).map(|(number, sent)| (number, at - sent)));
        }
    };
    for number in 0..PACKETS {
        let now = start + SPACING * number as u32;
        take(&mut link, Some(now));
        link.send(now, BYTES, (number, now));
    }
    take(&mut link, None);
    (arrivals, link)
}

/// For each packet whether it was lost.
fn losses(loss: Loss, seed: u64) -> Vec<bool> {
    let start = Instant::now();
    let mut path = Path::new(Impairment::PERFECT.loss(loss), seed, start);
    (0..PACKETS).map(|_| path.send(start, BYTES) == Fate::Lost).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Mean of a function from 0 to `end`.
fn mean_over(end: f64, function: impl Fn(f64) -> f64) -> f64 {
    mean((0..10_000).map(|step| function(end * (f64::from(step) + 0.5) / 10_000.0)))
}

fn share_of(flags: &[bool]) -> f64 {
    flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64
}

/// Lengths of the runs of lost packets.
fn bursts(lost: &[bool]) -> Vec<usize> {
    lost.split(|lost| !lost).map(<[bool]>::len).filter(|length| *length > 0).collect()
}

fn near(measured: f64, expected: f64, tolerance: f64) {
    assert!((measured - expected).abs() <= tolerance, "measured {measured}, expected {expected} ± {tolerance}");
}

#[test]
fn independent_loss_rate_and_runs() {
    for (seed, percent) in [(1, 1), (2, 5), (3, 30)] {
        let lost = losses(Loss::independent(Share::percent(percent)), seed);
        let p = f64::from(percent) / 100.0;
        near(share_of(&lost), p, 5.0 * (p * (1.0 - p) / PACKETS as f64).sqrt());
        let after_a_loss: Vec<bool> = lost.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
        near(share_of(&after_a_loss), p, 5.0 * (p * (1.0 - p) / after_a_loss.len() as f64).sqrt());
    }
}

#[test]
fn burst_length_is_geometric() {
    for (seed, percent, length) in [(1, 5, 3.0), (2, 2, 8.0), (3, 20, 2.0)] {
        let lost = losses(Loss::bursts(Share::percent(percent), length).unwrap(), seed);
        let bursts = bursts(&lost);
        let count = bursts.len() as f64;
        // A geometric length has the standard deviation √(L(L−1)).
        near(mean(bursts.iter().map(|&l| l as f64)), length, 5.0 * (length * (length - 1.0) / count).sqrt());
        // Losses of a burst come together: the share varies more than that of independent ones, by about 2L.
        let p = f64::from(percent) / 100.0;
        near(share_of(&lost), p, 5.0 * (p * 2.0 * length / PACKETS as f64).sqrt());
        for shortest in 1..8u8 {
            let longer = bursts.iter().filter(|&&l| l > usize::from(shortest)).count() as f64 / count;
            let expected = (1.0 - 1.0 / length).powi(shortest.into());
            near(longer, expected, 5.0 * (expected * (1.0 - expected) / count).sqrt());
        }
    }
}

#[test]
fn burst_model_uses_all_parameters() {
    // One packet in a hundred begins a bad time of ten, in which half are lost; of the others one in two hundred.
    let loss = Loss::gilbert_elliott(share(10), share(100), share(5), share(500));
    let lost = losses(loss, 4);
    let bad = 0.01 / (0.01 + 0.1);
    let expected = (1.0 - bad) * 0.005 + bad * 0.5;
    near(loss.mean().value(), expected, 1e-12);
    near(share_of(&lost), expected, 0.003);
    // Given a loss, the state was bad with this probability, and is still with 0.9; or it was good, and is bad with 0.01.
    let was_bad = bad * 0.5 / expected;
    let is_bad = was_bad * 0.9 + (1.0 - was_bad) * 0.01;
    let again = is_bad * 0.5 + (1.0 - is_bad) * 0.005;
    let after_a_loss: Vec<bool> = lost.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
    near(share_of(&after_a_loss), again, 5.0 * (again / after_a_loss.len() as f64).sqrt());
}

#[test]
fn loss_is_stationary_from_the_start() {
    let loss = Loss::bursts(Share::percent(20), 10.0).unwrap();
    let first: Vec<bool> = (0..5_000)
        .map(|seed| {
            let start = Instant::now();
            Path::new(Impairment::PERFECT.loss(loss), seed, start).send(start, BYTES) == Fate::Lost
        })
        .collect();
    near(share_of(&first), 0.2, 5.0 * (0.2f64 * 0.8 / 5_000.0).sqrt());
}

#[test]
fn jitter_is_uniform_above_delay() {
    let (arrivals, link) = travel(Impairment::PERFECT.delay(ms(20)).reordering_jitter(ms(10)), 5);
    let mut times: Vec<Duration> = arrivals.iter().map(|(_, time)| *time).collect();
    times.sort_unstable();
    assert!(times[0] >= ms(20) && *times.last().unwrap() <= ms(30));
    for percent in [1, 5, 25, 50, 75, 95, 99] {
        let measured = times[PACKETS * percent / 100].as_secs_f64() * 1_000.0;
        near(measured, 20.0 + percent as f64 / 10.0, 0.06);
    }
    // Behind a later packet is who has the jitter x, if one of those 2i later has less than x − 2i.
    let none_overtakes = |x: f64| (1..5).map(|i| 1.0 - (x - 2.0 * f64::from(i)).max(0.0) / 10.0).product::<f64>();
    let expected = mean_over(10.0, |x| 1.0 - none_overtakes(x));
    near(link.counts().reordered as f64 / PACKETS as f64, expected, 0.005);
}

#[test]
fn ordered_jitter_only_delays() {
    let (arrivals, link) = travel(Impairment::PERFECT.delay(ms(20)).jitter(ms(10)), 5);
    assert!(arrivals.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(arrivals.iter().all(|(_, time)| (ms(20)..=ms(30)).contains(time)));
    assert_eq!((link.counts().reordered, link.counts().forwarded), (0, PACKETS as u64));
    let average = mean(arrivals.iter().map(|(_, time)| time.as_secs_f64() * 1_000.0));
    // The greatest of x₀, x₁ − 2, x₂ − 4, …, each x even over 10 ms: the integral of 1 − ∏ P(xᵢ < t + 2i).
    let all_below = |t: f64| (0..5).map(|i| ((t + 2.0 * f64::from(i)) / 10.0).min(1.0)).product::<f64>();
    near(average, 20.0 + 10.0 * mean_over(10.0, |t| 1.0 - all_below(t)), 0.05);
}

#[test]
fn delay_is_exact_without_jitter() {
    let (arrivals, link) = travel(Impairment::PERFECT.delay(ms(35)), 1);
    assert!(arrivals.iter().enumerate().all(|(place, arrival)| *arrival == (place, ms(35))));
    assert_eq!(link.counts().forwarded, PACKETS as u64);
}

#[test]
fn reordered_share() {
    let (arrivals, link) = travel(Impairment::PERFECT.delay(ms(5)).reorder(Share::percent(3), ms(7)), 6);
    let held_back = arrivals.iter().filter(|(_, time)| *time == ms(12)).count();
    near(held_back as f64 / PACKETS as f64, 0.03, 5.0 * (0.03f64 * 0.97 / PACKETS as f64).sqrt());
    assert!(arrivals.iter().all(|(_, time)| *time == ms(5) || *time == ms(12)));
    // Overtaken by the three packets of the next 7 ms, unless those are all held back as well.
    let overtaken = link.counts().reordered as usize;
    assert!(held_back - overtaken <= 3, "{held_back} held back, {overtaken} overtaken");
}

#[test]
fn duplicated_share() {
    let (arrivals, link) = travel(Impairment::PERFECT.delay(ms(5)).jitter(ms(1)).duplicate(Share::percent(4)), 7);
    let mut seen = vec![0u8; PACKETS];
    arrivals.iter().for_each(|(number, _)| seen[*number] += 1);
    assert!(seen.iter().all(|times| (1..=2).contains(times)));
    let twice = seen.iter().filter(|times| **times == 2).count();
    near(twice as f64 / PACKETS as f64, 0.04, 5.0 * (0.04f64 * 0.96 / PACKETS as f64).sqrt());
    assert_eq!(link.counts().duplicated, twice as u64);
    assert_eq!(link.counts().reordered, 0, "a copy is no reordering");
}

#[test]
fn bottleneck_rate_and_queue() {
    // 1,200 bytes each 2 ms are 4.8 Mbit/s; 3 Mbit/s pass, and the queue of 30,000 bytes takes 80 ms.
    let rate = Bitrate::mbit(3);
    let bottleneck = Bottleneck::new(rate).queue_bytes(30_000);
    let (arrivals, link) = travel(Impairment::PERFECT.delay(ms(10)).bottleneck(bottleneck), 8);
    let counts = link.counts();
    assert_eq!(counts.dropped + counts.forwarded, PACKETS as u64);
    let seconds = (SPACING * PACKETS as u32).as_secs_f64();
    near(counts.forwarded as f64 * BYTES as f64 * 8.0 / seconds, 3e6, 3e3);
    assert!(arrivals.windows(2).all(|pair| pair[0].0 < pair[1].0), "a queue keeps order");
    let full = &arrivals[arrivals.len() / 2..];
    let longest = full.iter().map(|(_, time)| *time).max().unwrap();
    assert!((ms(86)..=ms(90)).contains(&longest), "{longest:?}: 10 ms, and at most 80 ms in the queue");
    assert_eq!(arrivals[0].1, ms(10) + rate.time_for(BYTES as u64), "the first only has to be sent");
}

#[test]
fn bottleneck_below_rate_drops_nothing() {
    let (arrivals, link) = travel(Impairment::PERFECT.rate(Bitrate::mbit(5)), 8);
    assert_eq!(link.counts().forwarded, PACKETS as u64);
    assert!(arrivals.iter().all(|(_, time)| *time == Bitrate::mbit(5).time_for(BYTES as u64)));
    let tiny = Bottleneck::new(Bitrate::kbit(64)).queue_bytes(0);
    let start = Instant::now();
    let mut path = Path::new(Impairment::PERFECT.bottleneck(tiny), 1, start);
    assert!(matches!(path.send(start, BYTES), Fate::Arrives { .. }), "an idle link takes any packet");
    assert_eq!(path.send(start, 1), Fate::Dropped);
}

#[test]
fn outage_passes_nothing() {
    let outage = Outage { after: ms(3_000), lasts: ms(500), every: Some(ms(10_000)) };
    let (arrivals, link) = travel(Impairment::PERFECT.outage(outage), 9);
    assert_eq!(link.counts().down as usize, PACKETS / 20);
    assert!(arrivals.iter().all(|(number, _)| !(1_500..1_750).contains(&(number % 5_000))));
}

#[test]
fn seed_fixes_each_impairment() {
    let loss = Loss::bursts(Share::percent(5), 3.0).unwrap();
    let plain = Impairment::PERFECT.loss(loss);
    let rich =
        plain.clone().delay(ms(5)).reordering_jitter(ms(50)).duplicate(Share::percent(9)).reorder(share(70), ms(90));
    let lost = |impairment: &Impairment, seed| {
        let start = Instant::now();
        let mut path = Path::new(impairment.clone(), seed, start);
        (0..5_000u32).map(|n| path.send(start + SPACING * n, BYTES) == Fate::Lost).collect::<Vec<_>>()
    };
    assert_eq!(lost(&plain, 1), lost(&rich, 1), "the same packets are lost, whatever else happens");
    assert_ne!(lost(&plain, 1), lost(&plain, 2));
    assert_eq!(travel(rich.clone(), 3).0, travel(rich, 3).0);
}

#[test]
fn change_keeps_order() {
    let start = Instant::now();
    let mut link = Link::new(Impairment::PERFECT.delay(ms(100)), 1, start);
    link.send(start, BYTES, 'a');
    link.set_impairment(Impairment::PERFECT.delay(ms(1)));
    link.send(start + ms(1), BYTES, 'b');
    assert_eq!(link.arrived(start + ms(99)).count(), 0);
    assert_eq!(link.arrived(start + ms(100)).collect::<String>(), "ab");
    link.send(start + ms(200), BYTES, 'c');
    assert_eq!(link.next_arrival(), Some(start + ms(201)));
    assert_eq!(link.under_way(), 1);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn impairments() -> impl Strategy<Value = Impairment> {
        let texts = [
            prop::sample::select(vec!["loss=0%", "loss=30%", "gilbert-elliott=5%/20%/1%/90%"]).boxed(),
            (0u32..50).prop_map(|ms| format!("delay={ms}ms").leak() as &str).boxed(),
            (0u32..50).prop_map(|ms| format!("jitter={ms}ms").leak() as &str).boxed(),
            prop::sample::select(vec!["", "rate=2mbit,queue=5kB", "rate=64kbit"]).boxed(),
            prop::sample::select(vec!["", "reorder=20%", "reorder=20%,held-back=3ms"]).boxed(),
            prop::sample::select(vec!["", "duplicate=20%"]).boxed(),
            prop::sample::select(vec!["", "down-for=20ms,down-every=50ms"]).boxed(),
        ];
        texts.to_vec().prop_map(|texts| texts.join(",").parse().unwrap())
    }

    proptest! {
        #[test]
        fn counts_delay_and_order_are_consistent(
            impairment in impairments(),
            seed in any::<u64>(),
            steps in prop::collection::vec((0u64..5_000, 0usize..1_500), 1..300),
        ) {
            let start = Instant::now();
            let mut link = Link::new(impairment.clone(), seed, start);
            let mut now = start;
            let mut ordered = Vec::new();
            let mut arrived = 0;
            for (place, (wait, bytes)) in steps.into_iter().enumerate() {
                now += Duration::from_micros(wait);
                for (place, fate) in link.arrived(now) {
                    arrived += 1;
                    // Of what is not held back and no copy, nothing overtakes.
                    if fate { ordered.push(place); }
                }
                let plain = impairment.reorder.is_none() && impairment.duplicate.is_none();
                let fate = link.send(now, bytes, (place, plain));
                if let Fate::Arrives { at, again, .. } = fate {
                    prop_assert!(at >= now + impairment.delay);
                    prop_assert!(again.is_none_or(|again| again >= now + impairment.delay));
                }
                let counts = link.counts();
                prop_assert_eq!(counts.under_way(), link.under_way() as u64);
                prop_assert_eq!(counts.forwarded, arrived);
            }
            prop_assert!(ordered.is_sorted());
        }
    }
}
