//! The tables of the page, and the same as JSON.

use crate::{CONTESTANTS, Evaluated};
use std::{fmt::Write, fs, io, path::Path};
use tacet_congestion_lab::{Bound, Expectation, Summary};

const BEGIN: &str = "<!-- figures of `make cc` -->";
/// What is better by this factor, at least, is marked.
const BETTER: f64 = 1.05;
const END: &str = "<!-- end of figures -->";

/// All figures.
pub(crate) fn json(evaluated: &[Evaluated], seeds: u64) -> serde_json::Value {
    let scenarios = evaluated.iter().map(|Evaluated { scenario, summaries }| {
        let contestants = CONTESTANTS.iter().zip(summaries).map(|((name, _), summary)| {
            let figures = summary.figures.iter().map(|figure| {
                let values = serde_json::json!({ "median": figure.median, "least": figure.least, "most": figure.most });
                (figure.score.clone(), values)
            });
            ((*name).to_owned(), serde_json::Value::Object(figures.collect()))
        });
        serde_json::json!({
            "name": scenario.name,
            "title": scenario.title,
            "expectations": scenario.expectations.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "controllers": serde_json::Value::Object(contestants.collect()),
        })
    });
    serde_json::json!({ "seeds": seeds, "scenarios": scenarios.collect::<Vec<_>>() })
}

/// Replaces the table of a page.
pub(crate) fn write(file: &Path, evaluated: &[Evaluated], seeds: u64) -> io::Result<()> {
    let page = fs::read_to_string(file)?;
    let marks = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = marks.ok_or_else(|| io::Error::other("the page has no marks for figures"))?;
    fs::write(file, format!("{before}{BEGIN}\n{}{END}{after}", table(evaluated, seeds)))
}

fn table(evaluated: &[Evaluated], seeds: u64) -> String {
    let mut out = format!("Medians of {seeds} seeds; the least and the greatest in brackets.\n\n| scenario | must |");
    let names: Vec<&str> = CONTESTANTS.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(
        out,
        " {} | probes, of them padding |\n|---|---|{}---|",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for Evaluated { scenario, summaries } in evaluated {
        for (place, expectation) in scenario.expectations.iter().enumerate() {
            let title = if place == 0 { scenario.title.as_str() } else { "" };
            let _ = write!(out, "| {title} | {expectation} |");
            for summary in summaries {
                let figure = summary.figure(expectation.score).map_or_else(
                    || "?".to_owned(),
                    |figure| format!("{} ({}–{})", short(figure.median), short(figure.least), short(figure.most)),
                );
                let kept = expectation.violation(summary).is_none();
                let worse = summaries.get(1).is_some_and(|yardstick| is_worse(expectation, summary, yardstick));
                let _ = write!(out, " {}{figure}{} |", if kept { "" } else { "✗ " }, if worse { " ▽" } else { "" });
            }
            let probes = if place == 0 { probes(summaries.first()) } else { String::new() };
            let _ = write!(out, " {probes} |");
            out.push('\n');
        }
    }
    out
}

/// Whether the yardstick's median is better by more than [`BETTER`].
fn is_worse(expectation: &Expectation, summary: &Summary, yardstick: &Summary) -> bool {
    let median = |summary: &Summary| summary.figure(expectation.score).map_or(0.0, |figure| figure.median);
    let (own, other) = (median(summary), median(yardstick));
    match expectation.bound {
        Bound::AtLeast(_) => other > own * BETTER,
        Bound::AtMost(_) => own > other * BETTER,
    }
}

/// What probes add to all bytes, and the part of it that is padding, in percent.
fn probes(summary: Option<&Summary>) -> String {
    let median = |score| summary.and_then(|summary| summary.figure(score)).map_or(0.0, |figure| figure.median);
    format!("{} %, {} %", short(median("probe_percent")), short(median("padding_percent")))
}

fn short(value: f64) -> String {
    match value.abs() {
        small if small < 3.0 => format!("{value:.2}"),
        middle if middle < 30.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
