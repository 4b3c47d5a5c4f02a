//! The figures of a report that are compared, tabulated and plotted: each with its name, its label and its unit.
//!
//! They are declared with the fields that hold them. One list serves the spread of repeated runs, the columns of the CSV
//! file and the tables of the HTML report, so that a figure has the same name everywhere.

use crate::report::Report;
pub use crate::report::{CANARY_FIGURES, FIGURES};

/// Unit of a figure, and so its format.
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
    /// Label in reports.
    pub label: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Whether a wide spread of it makes comparisons meaningless. Counts of rare events always vary.
    pub compared: bool,
    /// Takes it from a report; `None` when it was not measured.
    pub get: fn(&Report) -> Option<f64>,
}

/// A number in a report.
pub(super) trait Value {
    /// `None` when it was not measured.
    fn value(self) -> Option<f64>;
}

impl Value for u64 {
    fn value(self) -> Option<f64> {
        Some(self as f64)
    }
}

impl Value for usize {
    fn value(self) -> Option<f64> {
        Some(self as f64)
    }
}

impl Value for f64 {
    fn value(self) -> Option<f64> {
        Some(self)
    }
}

impl<T: Value> Value for Option<T> {
    fn value(self) -> Option<f64> {
        self.and_then(Value::value)
    }
}

/// Declares a struct and the list of figures in it. The list has a name, a prefix for the names of its figures, and a
/// function from a report to the struct.
///
/// A field is a figure if a label and a [`Unit`] follow its type. A field whose parts are figures has a list of them in
/// braces: the rest of the name, how to get there, label and unit. `compared` sets [`Figure::compared`].
macro_rules! figures {
    (
        $(#[$list_doc:meta])* $list:ident $prefix:literal ($of:expr)
        $(#[$meta:meta])* pub struct $name:ident {
            $(
                $(#[$doc:meta])* pub $field:ident: $type:ty
                $(= $label:literal $unit:ident $($compared:ident)?)?
                $({ $($part:literal ($($path:tt)+) $part_label:literal $part_unit:ident $($part_compared:ident)?;)+ })?
            ;)*
        }
    ) => {
        $(#[$meta])* pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        $(#[$list_doc])*
        pub const $list: &[Figure] = &[
            $(
                $(Figure {
                    name: concat!($prefix, stringify!($field)),
                    label: $label,
                    unit: Unit::$unit,
                    compared: !concat!("" $(, stringify!($compared))?).is_empty(),
                    get: |report| {
                        const OF: fn(&Report) -> &$name = $of;
                        OF(report).$field.value()
                    },
                },)?
                $($(Figure {
                    name: concat!($prefix, stringify!($field), ".", $part),
                    label: $part_label,
                    unit: Unit::$part_unit,
                    compared: !concat!("" $(, stringify!($part_compared))?).is_empty(),
                    get: |report| {
                        const OF: fn(&Report) -> &$name = $of;
                        OF(report).$field$($path)+.value()
                    },
                },)+)?
            )*
        ];
    };
}
pub(super) use figures;

/// All figures, those of the canaries last.
pub fn all() -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().chain(CANARY_FIGURES)
}

impl Unit {
    /// Formats a value with its unit, rounded to what can be compared by eye.
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
    fn figures_are_in_json() {
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
    fn unit_formats() {
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
