//! The plots of a report: what is drawn from runs, from a search for the limit and from a plan.

use super::{
    plot::{At, Axis, Mark, Plot, Scale, Series, Shape},
    sections::load_name,
};
use crate::{
    limit::{LimitReport, Verdict},
    plan::Plan,
    report::Report,
    report::figures::Unit,
    report::repeats::Repeats,
};
use maud::{Markup, html};

/// Points of a distribution that is drawn.
pub(crate) const CDF_POINTS: usize = 200;

fn figure(caption: &str, plot: &Plot) -> Markup {
    html! { figure { figcaption { (caption) } (plot.draw()) } }
}

fn microseconds(value: f64) -> String {
    match value {
        0.0..1_000.0 => format!("{value:.0} µs"),
        1_000.0..1e6 => format!("{:.0} ms", value / 1e3),
        _ => format!("{:.0} s", value / 1e6),
    }
}

/// A share in percent, with as many digits as it needs.
fn percent(share: f64) -> String {
    let hundredths = (share * 1e4).round();
    match hundredths {
        n if n % 100.0 == 0.0 => format!("{:.0} %", n / 100.0),
        n if n % 10.0 == 0.0 => format!("{:.1} %", n / 100.0),
        n => format!("{:.2} %", n / 100.0),
    }
}

/// Packets a second, short.
fn rate(value: f64) -> String {
    match value {
        1e6.. => format!("{:.1} M", value / 1e6),
        1e4.. => format!("{:.0} k", value / 1e3),
        1e3.. => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}

/// Latencies of one run, or of several together.
struct Curve {
    name: Option<String>,
    colour: usize,
    shape: Shape,
    /// Microseconds, and the share of packets that took no longer.
    points: Vec<(u64, f64)>,
}

/// Of each load the curve of all its runs, and behind it those of the single runs.
fn curves(loads: &[Repeats]) -> Vec<Curve> {
    let mut curves = Vec::new();
    for (colour, load) in loads.iter().enumerate() {
        let runs = load.runs();
        let pooled = load.latencies().cdf(CDF_POINTS);
        // Reports that were read from a file have their curve and no histogram.
        let points = match runs {
            [only] if pooled.is_empty() => only.latency_cdf.clone(),
            _ => pooled,
        };
        let faint =
            |run: &Report| Curve { name: None, colour, shape: Shape::FaintLine, points: run.latency_cdf.clone() };
        if runs.len() > 1 {
            curves.extend(runs.iter().map(faint));
        }
        let name = match (loads.len(), runs) {
            (1, [_]) => None,
            (1, _) => Some(format!("{} runs together (thin: each run)", runs.len())),
            (_, runs) => runs.first().map(load_name),
        };
        curves.push(Curve { name, colour, shape: Shape::Line, points });
    }
    curves
}

/// Latency as a distribution, and the same seen from its slow end.
pub(super) fn latency(loads: &[Repeats]) -> Markup {
    let curves = curves(loads);
    if curves.iter().all(|curve| curve.points.is_empty()) {
        return html! {};
    }
    let mut marks = Vec::new();
    if let [load] = loads {
        for (name, label) in [("latency_us.p99", "p99"), ("latency_us.p50", "median")] {
            if let Some(value) = load.median(name) {
                marks.push(Mark { at: At::X(value), label: format!("{label} {}", Unit::Microseconds.show(value)) });
            }
        }
    }
    let series = |place: fn(u64, f64) -> Option<(f64, f64)>| {
        let points = |curve: &Curve| curve.points.iter().filter_map(|&(us, share)| place(us, share)).collect();
        let series = |curve: &Curve| Series {
            name: curve.name.clone(),
            colour: curve.colour,
            shape: curve.shape,
            points: points(curve),
        };
        curves.iter().map(series).collect::<Vec<_>>()
    };
    let latencies = || curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0 as f64));
    let whole = Plot {
        describes: "Cumulative distribution of the one-way latency".to_owned(),
        x: Axis::of(Scale::Log, latencies()),
        y: Axis::of(Scale::Linear, [1.0]),
        x_label: "one-way latency",
        y_label: "packets no slower",
        x_text: microseconds,
        y_text: percent,
        series: series(|us, share| Some((us as f64, share))),
        marks,
    };
    // One packet of how many is slower: 10 stands for 90 %, 100 for 99 %. The slowest of all has no place.
    let tail = series(|us, share| (share < 1.0).then(|| (1.0 / (1.0 - share), us as f64)));
    let slow = Plot {
        describes: "Latency of the slowest packets".to_owned(),
        x: Axis::of(Scale::Log, tail.iter().flat_map(|series| series.points.iter().map(|point| point.0)).chain([1.0])),
        y: Axis::of(Scale::Log, latencies()),
        x_label: "packets no slower",
        y_label: "one-way latency",
        x_text: percent_of_tail,
        y_text: microseconds,
        series: tail,
        marks: Vec::new(),
    };
    html! {
        (figure("How latency is distributed", &whole))
        (figure("The slowest packets", &slow))
    }
}

/// The share of packets that are no slower, when one of `one_of` is.
fn percent_of_tail(one_of: f64) -> String {
    let decimals = (one_of.log10().round() as usize).saturating_sub(2);
    format!("{:.decimals$} %", (1.0 - 1.0 / one_of) * 100.0)
}

/// Measurements at one load.
struct LoadPoint {
    pps: f64,
    cpu: Option<f64>,
    p99_us: f64,
    group: usize,
}

/// Groups of points: name, colour, shape.
const GROUPS: [(&str, usize, Shape); 4] = [
    ("carried", 0, Shape::Dots),
    ("not carried by the server", 1, Shape::Dots),
    ("generator in doubt", 5, Shape::Rings),
    ("a run", 0, Shape::Dots),
];

impl LoadPoint {
    fn of_limit(limit: &LimitReport) -> Vec<Self> {
        let group = |verdict| match verdict {
            Verdict::Pass => 0,
            Verdict::Server => 1,
            Verdict::Generator => 2,
        };
        let measured = limit.samples.iter().filter(|sample| sample.forwarded_pps > 0.0);
        measured
            .map(|sample| Self {
                pps: sample.forwarded_pps,
                cpu: sample.server_cpu,
                p99_us: sample.p99_us as f64,
                group: group(sample.verdict),
            })
            .collect()
    }

    fn of_loads(loads: &[Repeats]) -> Vec<Self> {
        let runs = loads.iter().flat_map(|load| load.runs());
        runs.map(|run| Self {
            pps: run.forwarded_pps,
            cpu: run.server_cpu,
            p99_us: run.latency_us.p99 as f64,
            group: if run.generator.limits.is_empty() { 3 } else { 2 },
        })
        .collect()
    }
}

/// CPU and latency against load: where latency leaves the ground is the knee.
pub(super) fn against_load(loads: &[Repeats], limit: Option<&LimitReport>) -> Markup {
    let points = limit.map_or_else(|| LoadPoint::of_loads(loads), LoadPoint::of_limit);
    let mut knee = Vec::new();
    if let Some(limit) = limit {
        let label = match (limit.limit_pps, limit.at_least_pps) {
            (Some(pps), _) => Some((pps, format!("limit {}/s", rate(pps)))),
            (None, Some(pps)) => Some((pps, format!("at least {}/s", rate(pps)))),
            _ => None,
        };
        knee.extend(label.map(|(pps, label)| (At::X(pps), label)));
    }
    let series = |value: fn(&LoadPoint) -> Option<f64>| {
        let in_group = |group| {
            let of_group = points.iter().filter(move |point| point.group == group);
            of_group.filter_map(|point| Some((point.pps, value(point)?))).collect::<Vec<_>>()
        };
        let groups = GROUPS.iter().enumerate().map(|(group, &(name, colour, shape))| Series {
            name: Some(name.to_owned()),
            colour,
            shape,
            points: in_group(group),
        });
        groups.filter(|series| !series.points.is_empty()).collect::<Vec<_>>()
    };
    let marks = |threshold: Option<(f64, String)>| {
        let threshold = threshold.map(|(value, label)| (At::Y(value), label));
        knee.iter().cloned().chain(threshold).map(|(at, label)| Mark { at, label }).collect::<Vec<_>>()
    };
    let x = Axis::of(Scale::Linear, points.iter().map(|point| point.pps));
    let cpus = || points.iter().filter_map(|point| point.cpu);
    let cpu = Plot {
        describes: "CPU of the server against the packets it forwarded".to_owned(),
        x,
        y: Axis::of(Scale::Linear, cpus().chain([0.1])),
        x_label: "packets/s forwarded",
        y_label: "server CPU, of a core",
        x_text: rate,
        y_text: percent,
        series: series(|point| point.cpu),
        marks: marks(None),
    };
    let threshold = limit.map(|limit| limit.criteria.p99_us as f64);
    let p99 = Plot {
        describes: "99th percentile of latency against the packets forwarded".to_owned(),
        x,
        y: Axis::of(Scale::Log, points.iter().map(|point| point.p99_us).chain(threshold)),
        x_label: "packets/s forwarded",
        y_label: "latency, p99",
        x_text: rate,
        y_text: microseconds,
        series: series(|point| Some(point.p99_us)),
        marks: marks(threshold.map(|us| (us, format!("{} allowed", microseconds(us))))),
    };
    html! {
        @if cpus().next().is_some() { (figure("CPU against load", &cpu)) }
        (figure("Latency against load: the knee", &p99))
    }
}

/// Predicted against measured CPU; on the line, they are equal.
pub(super) fn predictions(plan: &Plan) -> Markup {
    let group = |held_out: bool| {
        let points = plan.predictions.iter().filter(move |prediction| prediction.held_out == held_out);
        points.map(|prediction| (prediction.measured_cpu, prediction.predicted_cpu)).collect::<Vec<_>>()
    };
    let all = || plan.predictions.iter().flat_map(|p| [p.measured_cpu, p.predicted_cpu]);
    let axis = Axis::of(Scale::Linear, all());
    let end = axis.end();
    let dots = |name: &str, colour, shape, points| Series { name: Some(name.to_owned()), colour, shape, points };
    let plot = Plot {
        describes: "Predicted against measured CPU of the server".to_owned(),
        x: axis,
        y: axis,
        x_label: "CPU measured, of a core",
        y_label: "predicted",
        x_text: percent,
        y_text: percent,
        series: vec![
            Series { name: None, colour: 5, shape: Shape::FaintLine, points: vec![(0.0, 0.0), (end, end)] },
            dots("costs taken from it", 0, Shape::Dots, group(false)),
            dots("held out", 1, Shape::Rings, group(true)),
        ],
        marks: Vec::new(),
    };
    figure("Predicted against measured", &plot)
}
