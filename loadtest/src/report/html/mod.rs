//! A report as one HTML file: opens anywhere, needs nothing, and can be attached to a decision.
//!
//! No script, no font, no image, nothing fetched; plots are inline SVG. Light, dark and paper are one style sheet. All
//! text goes through `maud`, which escapes what it is given.

mod charts;
mod planned;
mod plot;
mod sections;

use crate::{limit::LimitReport, plan::Plan, report::Report, report::machine::Machine, report::repeats::Repeats};
pub(crate) use charts::CDF_POINTS;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Contents of a report.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The command that measured it, without secrets.
    pub command: Option<&'a str>,
    /// The loads that were run, each as often as it was run.
    pub loads: &'a [Repeats],
    /// The search for the limit.
    pub limit: Option<&'a LimitReport>,
    /// The plan.
    pub plan: Option<&'a Plan>,
}

impl Document<'_> {
    fn runs(&self) -> impl Iterator<Item = &Report> {
        self.loads.iter().flat_map(|load| load.runs())
    }

    fn title(&self) -> String {
        let scenario = self.runs().map(|run| run.scenario.as_str()).find(|name| !name.is_empty());
        let what = match (self.limit, self.plan) {
            (Some(_), _) => "Limit of one server core",
            (None, Some(_)) => "Capacity plan",
            (None, None) => "Load test",
        };
        scenario.map_or_else(|| what.to_owned(), |scenario| format!("{what}: {scenario}"))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.machine.warnings();
        if let Some(limit) = self.limit {
            warnings.extend(limit.reason.iter().map(|reason| format!("no limit was found: {reason}")));
            if limit.server_core.is_none() {
                warnings.push("the server was not pinned to a core: this is not the limit of one".to_owned());
            }
        }
        for load in self.loads {
            let name = if self.loads.len() > 1 { load.runs().first().map(sections::load_name) } else { None };
            let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
            warnings.extend(load.warnings().into_iter().map(|warning| format!("{name}{warning}")));
        }
        warnings.extend(self.plan.iter().flat_map(|plan| plan.warnings.iter().cloned()));
        warnings
    }
}

/// The whole file.
#[must_use]
pub fn page(document: &Document<'_>) -> String {
    let title = document.title();
    let machine = document.machine;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing is fetched, and injected scripts do not run.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main {
                    header {
                        h1 { (title) }
                        p { (machine.at) " · " (machine) }
                    }
                    (sections::tiles(document))
                    (sections::warnings(&document.warnings()))
                    @if let Some(plan) = document.plan { (planned::sections(plan, &charts::predictions(plan))) }
                    (plots(document))
                    @if let Some(limit) = document.limit { (sections::limit(limit)) }
                    (measured(document))
                    (sections::canaries(document))
                    (sections::what_was_run(document))
                    (sections::method(document))
                    footer { "Made by tacet load " (machine.version) ". This file needs no network." }
                }
            }
        }
    };
    markup.into_string()
}

fn plots(document: &Document<'_>) -> Markup {
    let latency = charts::latency(document.loads);
    let swept = document.limit.is_some() || document.loads.len() > 1;
    html! {
        @if swept || !latency.0.is_empty() {
            section {
                h2 { @if swept { "Load and latency" } @else { "Latency" } }
                div class="plots" {
                    @if swept { (charts::against_load(document.loads, document.limit)) }
                    (latency)
                }
            }
        }
    }
}

fn measured(document: &Document<'_>) -> Markup {
    html! {
        @if let [load] = document.loads {
            section {
                h2 { "All figures" }
                (sections::figures(load))
            }
        }
        @if document.runs().count() > 1 {
            section {
                h2 { "Each run" }
                (sections::runs(document))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
