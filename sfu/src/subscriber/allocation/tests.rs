use super::*;
use crate::{keys::EncodingKey, units::DataSize};
use proptest::prelude::*;
use slotmap::SlotMap;
use std::{cmp::Ordering, fmt::Write as _};

/// Lines, and kilobits a second at a quarter, a half and all of the frame rate.
type Resolution = (u16, [u64; 3]);

const CAMERA: [Resolution; 3] = [(180, [50, 90, 150]), (360, [180, 300, 500]), (720, [600, 1_000, 1_700])];
/// Spatial layers, which cost less together than three encodings.
const SVC: [Resolution; 3] = [(180, [40, 65, 110]), (360, [125, 210, 350]), (720, [385, 660, 1_100])];
const SCREEN: [Resolution; 2] = [(360, [50, 90, 150]), (1_080, [875, 1_500, 2_500])];

/// A ladder with an encoding for each resolution.
fn ladder(resolutions: &[Resolution]) -> Vec<Step> {
    let mut keys = SlotMap::<EncodingKey, ()>::default();
    let mut steps = Vec::new();
    for &(height, rates) in resolutions {
        let encoding = keys.insert(());
        for (temporal, kbps) in (0..).zip(rates) {
            let rate = Bitrate::from_kbps(kbps);
            steps.push(Step {
                encoding,
                target: temporal,
                height: Some(height),
                temporal,
                rate,
                sustained: rate,
                key_frame: DataSize::ZERO,
                active: true,
            });
        }
    }
    steps
}

/// A camera that is sent in one layer, of which nothing but the bitrate is known.
fn single(kbps: u64) -> Vec<Step> {
    let rate = Bitrate::from_kbps(kbps);
    vec![Step {
        encoding: EncodingKey::default(),
        target: 0,
        height: None,
        temporal: 0,
        rate,
        sustained: rate,
        key_frame: DataSize::ZERO,
        active: true,
    }]
}

fn demand(steps: &[Step], height: u16) -> Demand<'_> {
    Demand { steps, tile: Tile { height, pinned: false }, role: Role::Other, current: None, may_rise: true }
}

fn pinned(demand: Demand<'_>) -> Demand<'_> {
    Demand { tile: Tile { pinned: true, ..demand.tile }, ..demand }
}

fn set(kbps: u64) -> Limits {
    Limits { set: Bitrate::from_kbps(kbps), measured: None, sendable: None }
}

fn measured(now: u64, steady: u64) -> Limits {
    let budget = VideoBudget {
        now: Bitrate::from_kbps(now),
        steady: Bitrate::from_kbps(steady),
        drained: Bitrate::from_kbps(now),
    };
    Limits { set: Bitrate::MAX, measured: Some(budget), sendable: None }
}

fn steps(demands: &[Demand<'_>], limits: Limits, occasion: Occasion) -> Vec<Option<usize>> {
    allocate(demands, limits, occasion).iter().map(|share| share.step).collect()
}

/// Height and temporal layer of what a slot gets.
fn layer(demand: &Demand<'_>, share: Share) -> Option<(u16, u8)> {
    let step = demand.steps[share.step?];
    Some((step.height.unwrap_or_default(), step.temporal))
}

fn layers(demands: &[Demand<'_>], limits: Limits) -> Vec<Option<(u16, u8)>> {
    let shares = allocate(demands, limits, Occasion::Wishes);
    demands.iter().zip(shares).map(|(demand, share)| layer(demand, share)).collect()
}

#[test]
fn tile_gets_the_smallest_layer_that_fills_it() {
    let steps = ladder(&CAMERA);
    for (tile, height) in [(1, 180), (180, 180), (181, 360), (700, 720), (2_000, 720)] {
        assert_eq!(layers(&[demand(&steps, tile)], set(4_000)), [Some((height, 2))], "{tile} lines");
    }
}

/// A lower resolution at the full frame rate is worth more than a higher one that jerks.
#[test]
fn one_video_has_the_size_that_fits_at_its_full_frame_rate() {
    let steps = ladder(&CAMERA);
    let of = |limits| layers(&[demand(&steps, 720)], limits)[0];
    let cases =
        [(1_700, (720, 2)), (1_699, (360, 2)), (500, (360, 2)), (499, (180, 2)), (149, (180, 1)), (89, (180, 0))];
    for (kbps, expected) in cases {
        assert_eq!((of(measured(kbps, kbps)), of(set(kbps))), (Some(expected), Some(expected)), "{kbps} kbit/s");
    }
}

#[test]
fn only_a_measured_budget_cuts_to_nothing() {
    let steps = ladder(&CAMERA);
    let tiles = [demand(&steps, 720), demand(&steps, 720)];
    assert_eq!(layers(&tiles, set(10)), [Some((180, 0)); 2]);
    assert_eq!(layers(&tiles, measured(99, 99)), [Some((180, 1)), None]);
    let both = Limits { set: Bitrate::from_kbps(10), ..measured(99, 99) };
    assert_eq!(layers(&tiles, both), [Some((180, 0)), None], "the operator's limit decides about better steps");
    let alone = [demand(&steps, 720)];
    let cut = |limits| allocate(&alone, limits, Occasion::Wishes)[0];
    assert_eq!(cut(measured(49, 49)), Share { step: None, is_cut: true });
    assert_eq!(cut(measured(1_700, 0)), Share { step: Some(8), is_cut: false });
}

#[test]
fn least_limit_is_the_reason() {
    let kbps = Bitrate::from_kbps;
    let limits = |set, carried, sendable| {
        let sendable = Some(Sendable { rate: kbps(sendable), pauses: true });
        Limits { set: kbps(set), sendable, ..measured(carried, 0) }
    };
    let of = |limits: Limits| (limits.reason(Some(0)), limits.reason(None));
    let (bandwidth, network, server) = (LayerReason::Bandwidth, LayerReason::Network, LayerReason::Server);
    assert_eq!(of(limits(100, 200, 300)), (bandwidth, network), "what is set pauses nothing");
    assert_eq!(of(limits(100, 300, 200)), (bandwidth, server));
    assert_eq!(of(limits(300, 100, 200)), (network, network));
    assert_eq!(of(limits(300, 200, 100)), (server, server));
    assert_eq!(set(100).reason(Some(0)), bandwidth);
    let kept = Some(Sendable { rate: kbps(100), pauses: false });
    assert_eq!(of(Limits { sendable: kept, ..limits(300, 200, 0) }), (server, network), "it pauses nothing");
}

#[test]
fn overloaded_worker_pauses_what_it_cannot_send() {
    let steps = ladder(&CAMERA);
    let tiles = [demand(&steps, 720), demand(&steps, 720)];
    let overloaded = |limits: Limits, kbps, pauses| {
        let sendable = Some(Sendable { rate: Bitrate::from_kbps(kbps), pauses });
        layers(&tiles, Limits { sendable, ..limits })
    };
    assert_eq!(overloaded(set(4_000), 99, true), [Some((180, 1)), None]);
    assert_eq!(overloaded(set(4_000), 0, true), [None; 2]);
    assert_eq!(overloaded(measured(99, 99), 4_000, true), [Some((180, 1)), None], "the least counts");
    assert_eq!(overloaded(set(4_000), 0, false), [Some((180, 0)); 2], "unless lowest layers are to be kept");
    assert_eq!(overloaded(measured(99, 99), 0, false), [Some((180, 0)), None], "which the downlink has to carry");
}

#[test]
fn camera_with_one_layer_counts_and_is_cut_too() {
    let (one, three) = (single(800), ladder(&CAMERA));
    let tiles = [demand(&one, 720), demand(&three, 720)];
    let costs = |kbps| steps(&tiles, measured(kbps, kbps), Occasion::Wishes);
    assert_eq!(costs(1_300), [Some(0), Some(5)]);
    assert_eq!(costs(850), [Some(0), Some(0)]);
    assert_eq!(costs(799), [None, Some(5)]);
}

#[test]
fn rates_that_vary_change_nothing() {
    let steps = ladder(&CAMERA);
    let of = |current, kbps| {
        let demand = Demand { current: Some(current), ..demand(&steps, 720) };
        self::steps(&[demand], measured(kbps, kbps), Occasion::Rates)[0]
    };
    assert_eq!(of(8, 1_670), Some(8), "is 2 % over the budget");
    assert_eq!(of(8, 1_600), Some(5), "the full frame rate of the next lower size");
    assert_eq!(of(5, 1_820), Some(5), "would leave less than 7 %");
    assert_eq!(of(5, 1_830), Some(8));
}

#[test]
fn what_is_added_has_to_fit_the_steady_budget() {
    let steps = ladder(&CAMERA);
    let of = |current, (now, steady), may_rise| {
        let demand = Demand { current, may_rise, ..demand(&steps, 720) };
        self::steps(&[demand], measured(now, steady), Occasion::Rates)[0]
    };
    assert_eq!(of(Some(5), (4_000, 4_000), true), Some(8));
    assert_eq!(of(Some(5), (4_000, 1_700), true), Some(5), "was less a moment ago");
    assert_eq!(of(Some(5), (4_000, 4_000), false), Some(5), "has fallen a moment ago");
    assert_eq!(of(Some(5), (500, 200), true), Some(5), "is sent already");
    assert_eq!(of(Some(5), (400, 200), false), Some(2));
    assert_eq!(of(Some(0), (40, 40), true), None);
    assert_eq!(of(None, (52, 52), true), None);
    assert_eq!(of(None, (4_000, 54), true), Some(0));
    assert_eq!(of(None, (4_000, 4_000), false), None, "was cut a moment ago");
}

#[test]
fn what_was_cut_comes_back_smallest_first() {
    let (large, small) = (single(400), single(150));
    let tiles = [demand(&large, 720), demand(&small, 180)];
    assert_eq!(steps(&tiles, measured(440, 440), Occasion::Rates), [None, Some(0)]);
    assert_eq!(steps(&tiles, measured(440, 440), Occasion::Wishes), [Some(0), None], "from nothing, large ones first");
}

/// A key frame of 100 kB takes 2 s at 400 kbit/s, and 3 s at 267.
#[test]
fn size_whose_key_frames_take_too_long_is_not_shown() {
    let mut steps = ladder(&[(180, [10, 20, 30]), (360, [40, 50, 60])]);
    steps
        .iter_mut()
        .filter(|step| step.height == Some(360))
        .for_each(|step| step.key_frame = DataSize::from_bytes(100_000));
    let of = |current, kbps, occasion| {
        let demand = Demand { current, ..demand(&steps, 360) };
        self::steps(&[demand], measured(kbps, kbps), occasion)[0]
    };
    for occasion in [Occasion::Wishes, Occasion::Rates] {
        assert_eq!([of(Some(2), 400, occasion), of(Some(2), 399, occasion)], [Some(5), Some(2)]);
        assert_eq!([of(Some(5), 267, occasion), of(Some(5), 266, occasion)], [Some(5), Some(2)]);
    }
}

/// Half a second after a key frame of 100 kB, 360 lines seem to take 400 kbit/s more than they do.
#[test]
fn key_frame_undoes_no_step() {
    let mut steps = ladder(&[(180, [10, 20, 30]), (360, [40, 50, 60])]);
    steps.iter_mut().filter(|step| step.height == Some(360)).for_each(|step| step.rate = Bitrate::from_kbps(460));
    let of = |current| {
        let demand = Demand { current: Some(current), ..demand(&steps, 360) };
        self::steps(&[demand], measured(300, 300), Occasion::Rates)[0]
    };
    assert_eq!([of(5), of(2)], [Some(5), Some(2)]);
}

/// A larger share of the bits goes to what comes first, even if another one has to fall for it.
#[test]
fn screen_that_could_be_readable_takes_the_place_of_better_cameras() {
    let (camera, screen) = (ladder(&CAMERA), ladder(&SCREEN));
    let share = Demand { role: Role::Screen, current: Some(2), ..demand(&screen, 1_080) };
    let tiles = [share, Demand { current: Some(5), ..demand(&camera, 360) }];
    assert_eq!(steps(&tiles, measured(1_000, 1_000), Occasion::Rates), [Some(3), Some(0)]);
    let fallen = [Demand { may_rise: false, ..share }, tiles[1]];
    assert_eq!(steps(&fallen, measured(1_000, 1_000), Occasion::Rates), [Some(2), Some(5)]);
}

/// RFC 8867 section 6.1: weights of 2:1:1 in one downlink, within 25 %. Ladders of browsers have three sizes, so this one has
/// many: a size has 1.15 times the bitrate of the next lower one.
#[test]
fn rfc8867_6_1_media_flows_with_priority() {
    let sizes: Vec<_> = (0..40).map(|n| 90.0 * 1.07_f64.powi(n)).collect();
    let mut keys = SlotMap::<EncodingKey, ()>::default();
    let steps: Vec<_> = sizes
        .iter()
        .map(|lines| {
            let rate = Bitrate::from_kbps((40.0 * (lines / 90.0).powi(2)) as u64);
            let height = Some(*lines as u16);
            Step {
                encoding: keys.insert(()),
                target: 0,
                height,
                temporal: 0,
                rate,
                sustained: rate,
                key_frame: DataSize::ZERO,
                active: true,
            }
        })
        .collect();
    let tiles = [pinned(demand(&steps, 1_200)), demand(&steps, 1_200), demand(&steps, 1_200)];
    for kbps in (2_000..=8_000).step_by(250) {
        let shares = allocate(&tiles, measured(kbps, kbps), Occasion::Wishes);
        let rates: Vec<_> = shares.iter().map(|share| steps[share.step.unwrap()].rate.bps() as f64).collect();
        for other in &rates[1..] {
            let ratio = rates[0] / other;
            assert!((1.5..=2.5).contains(&ratio), "{kbps} kbit/s: {rates:?}");
        }
        assert!(rates.iter().sum::<f64>() > kbps as f64 * 1_000.0 * 0.85, "{kbps} kbit/s: {rates:?}");
    }
}

/// Ten meetings, each with what its slots get at some bitrates.
#[test]
fn ten_meetings() {
    let (camera, svc, screen, one) = (ladder(&CAMERA), ladder(&SVC), ladder(&SCREEN), single(600));
    let speaker = |demand| Demand { role: Role::Speaker, ..demand };
    let share = |height| Demand { role: Role::Screen, ..demand(&screen, height) };
    let tiles = |count, height| vec![demand(&camera, height); count];
    let meetings = [
        ("two people", tiles(1, 720)),
        ("four cameras", tiles(4, 540)),
        ("four cameras, the last one speaks", [tiles(3, 540), vec![speaker(demand(&camera, 540))]].concat()),
        ("nine spatial cameras", vec![demand(&svc, 360); 9]),
        ("page of 25 cameras", tiles(25, 180)),
        ("a pinned camera and five small ones", [vec![pinned(demand(&camera, 900))], tiles(5, 150)].concat()),
        ("a screen and ten small cameras", [vec![share(1_000)], tiles(10, 150)].concat()),
        (
            "a screen, the speaker, two others",
            [vec![share(1_000), speaker(demand(&camera, 300))], tiles(2, 300)].concat(),
        ),
        ("a small screen beside a pinned camera", vec![share(200), pinned(demand(&camera, 720))]),
        ("cameras of one layer", vec![demand(&one, 720), demand(&one, 360), demand(&camera, 360)]),
    ];
    let mut table = String::new();
    for (meeting, demands) in &meetings {
        writeln!(table, "{meeting}").unwrap();
        for kbps in [60, 250, 500, 1_000, 2_000, 4_000, 10_000] {
            let mut cells: Vec<(String, usize)> = Vec::new();
            for layer in layers(demands, measured(kbps, kbps)) {
                let cell = layer.map_or("-".to_owned(), |(height, temporal)| format!("{height}/T{temporal}"));
                match cells.last_mut() {
                    Some((last, count)) if *last == cell => *count += 1,
                    _ => cells.push((cell, 1)),
                }
            }
            let cells: Vec<_> = cells
                .iter()
                .map(|(cell, count)| match count {
                    1 => cell.clone(),
                    _ => format!("{count}×{cell}"),
                })
                .collect();
            writeln!(table, "{kbps:>7} kbit/s  {}", cells.join("  ")).unwrap();
        }
    }
    let golden = include_str!("meetings.txt");
    assert!(table == golden, "meetings.txt should be:\n{table}");
}

/// What makes one allocation better than another: what comes first, then what all of it is worth.
fn rank(demands: &[Demand<'_>], shares: &[Option<usize>]) -> Vec<f64> {
    let mut order: Vec<_> = (0..demands.len()).collect();
    order.sort_by_key(|slot| demands[*slot].importance());
    let is_screen = |slot: &&usize| demands[**slot].role == Role::Screen;
    let flag = |is: bool| f64::from(u8::from(is));
    let readable = order
        .iter()
        .filter(is_screen)
        .map(|slot| flag(shares[*slot].is_some()) + flag(shares[*slot] >= Some(demands[*slot].readable())));
    let lit = order.iter().map(|slot| flag(shares[*slot].is_some()));
    let screens = order
        .iter()
        .filter(is_screen)
        .map(|slot| shares[*slot].filter(|step| *step >= demands[*slot].readable()).map_or(-1.0, |step| step as f64));
    let worths = demands.iter().zip(shares).map(|(demand, step)| step.map_or(0.0, |step| demand.worths()[step]));
    let lead = |slot: &usize| flag(shares[*slot].is_some()) + flag(shares[*slot] >= Some(demands[*slot].lead()));
    let pins: Vec<_> = order.iter().filter(|slot| !is_screen(slot) && demands[**slot].tile.pinned).collect();
    let speakers: Vec<_> = order.iter().filter(|slot| demands[**slot].role == Role::Speaker).collect();
    let leads = if pins.is_empty() { speakers } else { pins }.into_iter().map(lead);
    readable.chain(leads).chain(lit).chain(screens).chain([worths.sum()]).collect()
}

fn compare(one: &[f64], other: &[f64]) -> Ordering {
    let differ = one.iter().zip(other).find(|(one, other)| (*one - *other).abs() > 1e-6);
    differ.map_or(Ordering::Equal, |(one, other)| one.total_cmp(other))
}

prop_compose! {
    fn any_demand()(
        kind in 0u8..10,
        height in 1u16..1_200,
        pinned in prop::bool::weighted(0.2),
        speaks in prop::bool::weighted(0.1),
        count in 1usize..=9,
        factor in 60u64..=140,
        current in prop::option::of(0usize..9),
        may_rise in any::<bool>(),
    ) -> (Vec<Step>, Demand<'static>) {
        let mut steps = match kind {
            0..=4 => ladder(&CAMERA),
            5 | 6 => ladder(&SVC),
            7 | 8 => ladder(&SCREEN),
            _ => single(600),
        };
        steps.truncate(count);
        for step in &mut steps {
            step.rate = Bitrate::from_bps(step.rate.bps() * factor / 100);
            step.sustained = step.rate;
        }
        let role = match kind {
            7 | 8 => Role::Screen,
            _ if speaks => Role::Speaker,
            _ => Role::Other,
        };
        let current = current.filter(|current| *current < steps.len());
        (steps, Demand { steps: &[], tile: Tile { height, pinned }, role, current, may_rise })
    }
}

fn demands<'a>(parts: &'a [(Vec<Step>, Demand<'static>)]) -> Vec<Demand<'a>> {
    parts.iter().map(|(steps, demand)| Demand { steps, ..*demand }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Never more lines than a tile shows, never more than the budget, nothing at zero that would fit; and the same again.
    #[test]
    fn measured_budget_is_kept_and_used(
        parts in prop::collection::vec(any_demand(), 1..12),
        kbps in 0u64..8_000,
        by_rates in any::<bool>(),
    ) {
        let demands = demands(&parts);
        let occasion = if by_rates { Occasion::Rates } else { Occasion::Wishes };
        let shares = allocate(&demands, measured(kbps, kbps), occasion);
        prop_assert_eq!(&shares, &allocate(&demands, measured(kbps, kbps), occasion));
        let steps: Vec<_> = shares.iter().map(|share| share.step).collect();
        let sum = cost(&demands, &steps);
        prop_assert!(sum <= kbps * 1_020, "{} bit/s of {} kbit/s", sum, kbps);
        for (share, demand) in shares.iter().zip(&demands) {
            prop_assert!(share.step <= Some(demand.goal()));
            prop_assert_eq!(share.is_cut, share.step < Some(demand.goal()));
            let may_have = occasion == Occasion::Wishes || demand.may_rise;
            if share.step.is_none() && may_have {
                let margin = if by_rates { 930 } else { 1_000 };
                // What fell a moment ago makes room for what may rise only at the next look.
                let fell = by_rates && cost(&demands, &demands.iter().map(|demand| demand.current).collect::<Vec<_>>()) > kbps * 930;
                prop_assert!(fell || sum + demand.cost(Some(0)) > kbps * margin, "the lowest step would fit");
            }
        }
    }

    /// More budget is never worse: in what comes first, and if that is the same, in what all of it is worth.
    #[test]
    fn allocation_is_monotone_in_the_budget(
        parts in prop::collection::vec(any_demand(), 1..12),
        less in 0u64..8_000,
        more in 0u64..2_000,
    ) {
        let demands = demands(&parts);
        let [less, more] = [less, less + more].map(|kbps| steps(&demands, measured(kbps, kbps), Occasion::Wishes));
        let ranks = [&less, &more].map(|steps| rank(&demands, steps));
        prop_assert_ne!(compare(&ranks[0], &ranks[1]), Ordering::Greater, "{:?} {:?}", less, more);
    }

    /// What comes first is not left out for what comes later.
    #[test]
    fn order_is_kept(parts in prop::collection::vec(any_demand(), 1..12), kbps in 0u64..8_000) {
        let demands = demands(&parts);
        let steps = steps(&demands, measured(kbps, kbps), Occasion::Wishes);
        let screens: Vec<_> = demands.iter().zip(&steps).filter(|(demand, _)| demand.role == Role::Screen).collect();
        let is_readable = |demand: &Demand<'_>, step: Option<usize>| step >= Some(demand.readable());
        let first = |(demand, step): &(&Demand<'_>, &Option<usize>)| {
            let least = if is_readable(demand, **step) { demand.readable() } else { 0 };
            demand.cost(step.map(|_| least))
        };
        let spent: u64 = screens.iter().map(first).sum();
        for (screen, step) in screens.iter().filter(|(demand, step)| !is_readable(demand, **step)) {
            let others = spent - first(&(screen, step));
            prop_assert!(others + screen.cost(Some(screen.readable())) > kbps * 1_000, "a screen would be readable");
        }
    }

    /// Rule 8: by a limit that is set, no slot is cut to nothing; and only within it has any slot more than its lowest step.
    #[test]
    fn rule_8_no_slot_is_cut_to_nothing(
        parts in prop::collection::vec(any_demand(), 1..12),
        kbps in 0u64..8_000,
        by_rates in any::<bool>(),
    ) {
        let demands = demands(&parts);
        let occasion = if by_rates { Occasion::Rates } else { Occasion::Wishes };
        let steps = steps(&demands, set(kbps), occasion);
        prop_assert!(steps.iter().all(Option::is_some));
        let lowest = steps.iter().all(|step| *step == Some(0));
        let sum = cost(&demands, &steps);
        prop_assert!(lowest || sum <= kbps * 1_020, "{} bit/s of {} kbit/s", sum, kbps);
    }
}
