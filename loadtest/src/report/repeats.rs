//! Repeated runs: how much the figures differ from run to run.
//!
//! A figure of repeated runs is the median of the runs, with the smallest and the largest value. Runs are never
//! pooled, since one disturbed run would colour everything; only the curve of latencies is drawn from all together.

use crate::{
    measure::latencies::Latencies,
    report::Report,
    report::figures::{self, Figure},
    report::notes::gathered,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

/// One figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Middle one of the values; the mean of the two middle ones when their number is even.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Largest less smallest, as a share of the median; `null` for a median of zero.
    pub relative: Option<f64>,
}

impl Spread {
    /// The spread of these values; `None` when there are none, or one of them is not finite.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        if !sorted.iter().all(|value| value.is_finite()) {
            return None;
        }
        let upper = *sorted.get(sorted.len() / 2)?;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper)
        } else {
            upper
        };
        let relative = (median != 0.0).then(|| (max - min) / median.abs());
        Some(Self { median, min, max, relative })
    }
}

/// Several runs of the same load.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeats {
    runs: Vec<Report>,
}

impl Repeats {
    /// Spread from which a few runs cannot distinguish two medians.
    pub(crate) const WIDE: f64 = 0.25;
    /// Minimum number of runs whose spread means something.
    const ENOUGH: usize = 3;

    /// These runs, in the order in which they were made.
    #[must_use]
    pub fn new(runs: Vec<Report>) -> Self {
        Self { runs }
    }

    /// Adds a run.
    pub fn push(&mut self, run: Report) {
        self.runs.push(run);
    }

    /// The runs, in the order in which they were made.
    #[must_use]
    pub fn runs(&self) -> &[Report] {
        &self.runs
    }

    /// The figures that every run measured.
    pub fn figures(&self) -> impl Iterator<Item = (&'static Figure, Spread)> {
        figures::all().filter_map(|figure| {
            let values: Option<Vec<f64>> = self.runs.iter().map(figure.get).collect();
            Some((figure, Spread::of(&values?)?))
        })
    }

    /// The same by name.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<&'static str, Spread> {
        self.figures().map(|(figure, spread)| (figure.name, spread)).collect()
    }

    /// One-way latencies of all runs together.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let mut all = Latencies::new();
        for run in &self.runs {
            all.add(&run.latencies);
        }
        all
    }

    /// Median of one figure; `None` when a run did not measure it.
    #[must_use]
    pub fn median(&self, name: &str) -> Option<f64> {
        self.figures().find(|(figure, _)| figure.name == name).map(|(_, spread)| spread.median)
    }

    /// Reasons to doubt these numbers, the worst first; empty if there are none.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let count = self.runs.len();
        let name = &|n: usize| if count > 1 { format!("run {}", n + 1) } else { String::new() };
        let limits = self
            .runs
            .iter()
            .enumerate()
            .flat_map(|(n, run)| run.generator.limits.iter().map(move |limit| (name(n), limit.as_str())));
        let mut warnings = gathered(limits);
        if count < 2 {
            return warnings;
        }
        for (figure, spread) in self.figures().filter(|(figure, _)| figure.compared) {
            if let Some(relative) = spread.relative.filter(|&relative| relative > Self::WIDE) {
                warnings.push(format!(
                    "{} differs by {:.0} % between runs ({} to {}): smaller differences mean nothing",
                    figure.label,
                    relative * 100.0,
                    figure.unit.show(spread.min),
                    figure.unit.show(spread.max)
                ));
            }
        }
        if count < Self::ENOUGH {
            warnings
                .push(format!("{count} runs say little about how much runs differ: make at least {}", Self::ENOUGH));
        }
        warnings
    }
}

impl Display for Repeats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36} {:>14} {:>14} {:>14} {:>8}", "", "median", "min", "max", "spread")?;
        // Figures that are always zero are left out, unless they are what one looks for.
        let shown =
            |figure: &Figure, spread: &Spread| spread.max != 0.0 || ["lost", "undecryptable"].contains(&figure.name);
        for (figure, spread) in self.figures().filter(|(figure, spread)| shown(figure, spread)) {
            let label = match figure.name.strip_prefix("canaries.") {
                Some(_) => format!("canaries: {}", figure.label),
                None => figure.label.to_owned(),
            };
            let [median, min, max] = [spread.median, spread.min, spread.max].map(|value| figure.unit.show(value));
            let relative = spread.relative.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0));
            writeln!(f, "{:<36} {median:>14} {min:>14} {max:>14} {relative:>8}", label)?;
        }
        for warning in self.warnings() {
            writeln!(f, "note        {warning}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(p99: u64, cpu: Option<f64>) -> Report {
        let mut report = Report::default();
        (report.expected, report.delivered, report.forwarded_pps) = (1_000, 1_000, 10_000.0);
        (report.latency_us.p50, report.latency_us.p99) = (100, p99);
        report.server_cpu_s_per_mpkt = cpu;
        report
    }

    #[test]
    fn spread_median() {
        let odd = Spread::of(&[3.0, 1.0, 100.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max, odd.relative), (3.0, 1.0, 100.0, Some(33.0)));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 8.0]).unwrap().median, 3.0);
        assert_eq!(Spread::of(&[0.0, 0.0]).unwrap().relative, None);
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn spread_is_ordered(mut values in prop::collection::vec(-1e9..1e9f64, 1..20)) {
            let spread = Spread::of(&values).unwrap();
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
            let below = values.iter().filter(|&&value| value < spread.median).count();
            let above = values.iter().filter(|&&value| value > spread.median).count();
            prop_assert!(below.max(above) * 2 <= values.len());
            values.reverse();
            prop_assert_eq!(Spread::of(&values), Some(spread));
        }
    }

    #[test]
    fn missing_figure_is_left_out() {
        let repeats = Repeats::new(vec![run(200, Some(1.0)), run(200, None)]);
        assert_eq!(repeats.median("server_cpu_s_per_mpkt"), None);
        assert_eq!(repeats.median("latency_us.p99"), Some(200.0));
        assert!(!repeats.by_name().contains_key("server_cpu_s_per_mpkt"));
    }

    #[test]
    fn no_warning_for_close_runs() {
        let repeats = Repeats::new(vec![run(200, Some(1.0)), run(210, Some(1.1)), run(190, Some(1.0))]);
        assert_eq!(repeats.warnings(), Vec::<String>::new());
        let text = repeats.to_string();
        assert!(text.contains("Latency, p99") && text.contains("10 %"), "{text}");
    }

    #[test]
    fn wide_spread_is_a_warning() {
        let repeats = Repeats::new(vec![run(200, Some(1.0)), run(900, Some(1.1)), run(190, Some(1.0))]);
        let warnings = repeats.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("Latency, p99 differs by 355 %"), "{warnings:?}");
    }

    #[test]
    fn warnings_name_runs() {
        let mut limited = run(200, None);
        limited.generator.limits = vec!["the generator sent late".into()];
        let warnings = Repeats::new(vec![run(200, None), limited.clone()]).warnings();
        assert!(warnings[0].starts_with("run 2: the generator") && warnings[1].contains("2 runs"), "{warnings:?}");
        assert_eq!(Repeats::new(vec![limited]).warnings(), ["the generator sent late"]);
    }
}
