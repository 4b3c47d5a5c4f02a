//! The tables of the page, and the same as JSON.

use crate::{CONTESTANTS, Evaluated};
use std::{fmt::Write, fs, io, path::Path};

const BEGIN: &str = "<!-- figures of `make cc` -->";
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
    let _ = writeln!(out, " {} |\n|---|---|{}", names.join(" | "), "---|".repeat(names.len()));
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
                let _ = write!(out, " {}{figure} |", if kept { "" } else { "✗ " });
            }
            out.push('\n');
        }
    }
    out
}

fn short(value: f64) -> String {
    match value.abs() {
        small if small < 3.0 => format!("{value:.2}"),
        middle if middle < 30.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
