//! The figures of a report that are compared, tabulated and plotted: each with its name, its unit and where it stands.
//!
//! One list for the spread of repeated runs, the columns of the CSV file and the table of the HTML report, so that a
//! figure has the same name everywhere.

use crate::report::Report;

/// How a figure is written for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Things a second.
    PerSecond,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// CPU seconds.
    CpuSeconds,
    /// A share of one.
    Share,
    /// Bytes.
    Bytes,
    /// Bytes a second, written as bits a second as links are.
    BytesPerSecond,
}

/// One figure.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its path in the JSON report, with dots. Stable.
    pub name: &'static str,
    /// What it is, for people.
    pub label: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Whether a wide spread of it makes comparisons meaningless. Counts of rare events always vary.
    pub compared: bool,
    /// Takes it from a report; `None` when it was not measured.
    pub get: fn(&Report) -> Option<f64>,
}

const fn figure(
    name: &'static str,
    label: &'static str,
    unit: Unit,
    compared: bool,
    get: fn(&Report) -> Option<f64>,
) -> Figure {
    Figure { name, label, unit, compared, get }
}

fn some(count: u64) -> Option<f64> {
    Some(count as f64)
}

fn maybe(count: Option<u64>) -> Option<f64> {
    count.map(|count| count as f64)
}

/// All figures, in the order in which they are shown.
#[rustfmt::skip]
pub const FIGURES: &[Figure] = &[
    figure("forwarded_pps", "Forwarded", Unit::PerSecond, true, |r| Some(r.forwarded_pps)),
    figure("received_pps", "Received by the server", Unit::PerSecond, false, |r| Some(r.received_pps)),
    figure("forwarded_bytes_per_s", "Forwarded payload", Unit::BytesPerSecond, false, |r| Some(r.forwarded_bytes_per_s)),
    figure("expected", "Packets expected", Unit::Count, false, |r| some(r.expected)),
    figure("delivered", "Packets delivered", Unit::Count, false, |r| some(r.delivered)),
    figure("lost", "Packets lost", Unit::Count, false, |r| some(r.lost)),
    figure("lost_before_repair", "Packets lost before repair", Unit::Count, false, |r| some(r.lost_before_repair)),
    figure("reordered", "Packets reordered", Unit::Count, false, |r| some(r.reordered)),
    figure("duplicates", "Duplicates", Unit::Count, false, |r| some(r.duplicates)),
    figure("undecryptable", "Frames undecryptable", Unit::Count, false, |r| some(r.undecryptable)),
    figure("before_key", "Frames before their key", Unit::Count, false, |r| some(r.before_key)),
    figure("latency_us.p50", "Latency, median", Unit::Microseconds, true, |r| some(r.latency_us.p50)),
    figure("latency_us.p95", "Latency, p95", Unit::Microseconds, false, |r| some(r.latency_us.p95)),
    figure("latency_us.p99", "Latency, p99", Unit::Microseconds, true, |r| some(r.latency_us.p99)),
    figure("latency_us.max", "Latency, largest", Unit::Microseconds, false, |r| some(r.latency_us.max)),
    figure("jitter_us.interarrival_p50", "Jitter, median", Unit::Microseconds, false, |r| some(r.jitter_us.interarrival_p50)),
    figure("jitter_us.interarrival_p99", "Jitter, p99", Unit::Microseconds, false, |r| some(r.jitter_us.interarrival_p99)),
    figure("jitter_us.deviation_p99", "Latency step, p99", Unit::Microseconds, false, |r| some(r.jitter_us.deviation_p99)),
    figure("joins.first_media_ms.p50", "Join to first media, median", Unit::Milliseconds, false, |r| maybe(r.joins.first_media_ms.map(|ms| ms.p50))),
    figure("joins.first_media_ms.p95", "Join to first media, p95", Unit::Milliseconds, false, |r| maybe(r.joins.first_media_ms.map(|ms| ms.p95))),
    figure("join_cpu_ms", "Server CPU per join", Unit::Milliseconds, false, |r| r.join_cpu_ms),
    figure("server_cpu_s_per_mpkt", "Server CPU per million packets", Unit::CpuSeconds, true, |r| r.server_cpu_s_per_mpkt),
    figure("server_cpu", "Server CPU, of a core", Unit::Share, true, |r| r.server_cpu),
    figure("server_rss_bytes", "Server memory", Unit::Bytes, false, |r| maybe(r.server_rss_bytes)),
    figure("rss_bytes_per_subscriber", "Server memory per subscriber", Unit::Bytes, false, |r| maybe(r.rss_bytes_per_subscriber)),
    figure("rss_bytes_per_participant", "Server memory per participant", Unit::Bytes, false, |r| maybe(r.rss_bytes_per_participant)),
    figure("server_socket_drops", "Dropped by the server's sockets", Unit::Count, false, |r| maybe(r.server_socket_drops)),
    figure("generator.busiest_thread", "Busiest generator thread", Unit::Share, false, |r| Some(r.generator.busiest_thread)),
    figure("generator.schedule_lag_us_p99", "Generator late, p99", Unit::Microseconds, false, |r| some(r.generator.schedule_lag_us_p99)),
    figure("generator.skipped", "Generator did not send", Unit::Count, false, |r| some(r.generator.skipped)),
    figure("generator.receive_drops", "Generator dropped", Unit::Count, false, |r| some(r.generator.receive_drops)),
    figure("generator.server_waited", "Server waited for a core", Unit::Share, false, |r| Some(r.generator.server_waited)),
];

/// Figures of the bots on the independent stack, never mixed with the others.
#[rustfmt::skip]
pub const CANARY_FIGURES: &[Figure] = &[
    figure("canaries.bots", "Bots", Unit::Count, false, |r| some(r.canaries.bots as u64)),
    figure("canaries.expected", "Packets expected", Unit::Count, false, |r| some(r.canaries.expected)),
    figure("canaries.delivered", "Packets delivered", Unit::Count, false, |r| some(r.canaries.delivered)),
    figure("canaries.lost", "Packets lost", Unit::Count, false, |r| some(r.canaries.lost)),
    figure("canaries.opened", "Frames opened", Unit::Count, false, |r| some(r.canaries.opened)),
    figure("canaries.undecryptable", "Frames undecryptable", Unit::Count, false, |r| some(r.canaries.undecryptable)),
    figure("canaries.latency_us.p50", "Latency until read, median", Unit::Microseconds, false, |r| some(r.canaries.latency_us.p50)),
    figure("canaries.latency_us.p99", "Latency until read, p99", Unit::Microseconds, false, |r| some(r.canaries.latency_us.p99)),
    figure("canaries.first_media_ms.p50", "Join to first frame, median", Unit::Milliseconds, false, |r| maybe(r.canaries.first_media_ms.map(|ms| ms.p50))),
];

/// All figures, those of the canaries last.
pub fn all() -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().chain(CANARY_FIGURES)
}

impl Unit {
    /// Writes a value with its unit, as short as is exact enough to compare by eye.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Count => grouped(value),
            Self::PerSecond => format!("{}/s", grouped(value)),
            Self::Microseconds if value >= 100_000.0 => format!("{:.2} s", value / 1e6),
            Self::Microseconds if value >= 10_000.0 => format!("{:.1} ms", value / 1e3),
            Self::Microseconds => format!("{} µs", grouped(value)),
            Self::Milliseconds if value < 10.0 => format!("{value:.2} ms"),
            Self::Milliseconds => format!("{} ms", grouped(value)),
            Self::CpuSeconds => format!("{value:.2} s"),
            Self::Share => format!("{:.1} %", value * 100.0),
            Self::Bytes if value >= 1e9 => format!("{:.2} GB", value / 1e9),
            Self::Bytes if value >= 1e6 => format!("{:.1} MB", value / 1e6),
            Self::Bytes => format!("{:.0} kB", value / 1e3),
            Self::BytesPerSecond if value >= 1.25e8 => format!("{:.2} Gbit/s", value * 8.0 / 1e9),
            Self::BytesPerSecond => format!("{:.1} Mbit/s", value * 8.0 / 1e6),
        }
    }
}

/// A whole number with a thin space between groups of three digits.
#[must_use]
pub fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::with_capacity(digits.len() * 2);
    if value < 0.0 && digits != "0" {
        text.push('−');
    }
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::FirstMediaMs;
    use std::collections::HashSet;

    #[test]
    fn every_figure_stands_in_the_json_report_under_its_name() {
        let mut report = Report::default();
        (report.server_cpu, report.server_cpu_s_per_mpkt) = (Some(0.25), Some(1.5));
        report.rss_bytes_per_subscriber = Some(64_000);
        report.latency_us.p99 = 77;
        report.joins.first_media_ms = Some(FirstMediaMs { p50: 40, p95: 90, max: 100 });
        (report.canaries.bots, report.server_socket_drops) = (2, Some(3));
        let json = serde_json::to_value(&report).unwrap();
        let mut names = HashSet::new();
        for figure in all() {
            let value = figure.name.split('.').fold(&json, |value, part| &value[part]);
            assert_eq!(value.as_f64(), (figure.get)(&report), "{}", figure.name);
            assert!(names.insert(figure.name), "{} twice", figure.name);
        }
    }

    #[test]
    fn values_are_short_and_carry_their_unit() {
        for (unit, value, text) in [
            (Unit::Count, 0.0, "0"),
            (Unit::Count, 1_234_567.0, "1\u{2009}234\u{2009}567"),
            (Unit::PerSecond, 999.6, "1\u{2009}000/s"),
            (Unit::Microseconds, 87.0, "87 µs"),
            (Unit::Microseconds, 12_345.0, "12.3 ms"),
            (Unit::Microseconds, 1_500_000.0, "1.50 s"),
            (Unit::Milliseconds, 0.456, "0.46 ms"),
            (Unit::Milliseconds, 1_456.0, "1\u{2009}456 ms"),
            (Unit::BytesPerSecond, 2.5e6, "20.0 Mbit/s"),
            (Unit::BytesPerSecond, 1.25e9, "10.00 Gbit/s"),
            (Unit::Share, 0.123, "12.3 %"),
            (Unit::Bytes, 64_400.0, "64 kB"),
            (Unit::Bytes, 3.2e9, "3.20 GB"),
            (Unit::Count, -1_000.0, "−1\u{2009}000"),
            (Unit::Count, f64::NAN, "–"),
        ] {
            assert_eq!(unit.show(value), text);
        }
    }
}
