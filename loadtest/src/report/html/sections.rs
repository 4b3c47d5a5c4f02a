//! The sections of a report, in order.

use super::{Document, planned};
use crate::{
    limit::{LimitReport, Verdict},
    report::Report,
    report::figures::{CANARY_FIGURES, FIGURES, Figure, Unit, grouped},
    report::repeats::{Repeats, Spread},
};
use maud::{Markup, html};

/// Figures of the tiles on top.
const HEADLINE: [&str; 6] =
    ["forwarded_pps", "latency_us.p50", "latency_us.p99", "lost", "server_cpu_s_per_mpkt", "rss_bytes_per_participant"];
/// Figures of each row of the table of runs.
const OF_A_RUN: [&str; 9] = [
    "forwarded_pps",
    "expected",
    "lost",
    "undecryptable",
    "latency_us.p50",
    "latency_us.p99",
    "latency_us.max",
    "server_cpu_s_per_mpkt",
    "server_cpu",
];

/// A table that scrolls sideways where it is too wide.
pub(super) fn table<'a>(head: impl IntoIterator<Item = &'a str>, rows: &Markup) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead { tr { @for name in head { th { (name) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A row of a table.
pub(super) fn row(cells: impl IntoIterator<Item = String>) -> Markup {
    html! { tr { @for cell in cells { td { (cell) } } } }
}

fn named(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.name == name)
}

fn show(figure: &Figure, report: &Report) -> String {
    (figure.get)(report).map_or_else(|| "–".to_owned(), |value| figure.unit.show(value))
}

fn plural(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count as f64), if count == 1 { "" } else { "s" })
}

/// Short description of a load.
pub(super) fn load_name(report: &Report) -> String {
    let both = report.participants;
    let mut parts = Vec::new();
    for (count, what) in [
        (report.publishers.saturating_sub(both), "publisher"),
        (report.subscribers.saturating_sub(both), "subscriber"),
        (both, "participant"),
    ] {
        if count > 0 {
            parts.push(plural(count, what));
        }
    }
    if report.rooms > 1 {
        parts.push(plural(report.rooms, "room"));
    }
    parts.join(", ")
}

/// The figures that matter most, large.
pub(super) fn tiles(document: &Document<'_>) -> Markup {
    html! {
        div class="tiles" {
            @if let Some(limit) = document.limit { (limit_tile(limit)) }
            @if let Some(plan) = document.plan { (planned::tiles(plan)) }
            @if let [load] = document.loads {
                @for figure in HEADLINE.iter().filter_map(|name| named(name)) {
                    @if let Some((_, spread)) = load.figures().find(|(one, _)| one.name == figure.name) {
                        div class="tile" {
                            div class="name" { (figure.label) }
                            div class="value" { (figure.unit.show(spread.median)) }
                            @if spread.min != spread.max {
                                div class="range" {
                                    (figure.unit.show(spread.min)) " to " (figure.unit.show(spread.max))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn limit_tile(limit: &LimitReport) -> Markup {
    let (name, value) = match (limit.limit_pps, limit.at_least_pps) {
        (Some(pps), _) => ("Most packets a second that the server forwards", format!("{}/s", grouped(pps))),
        (None, Some(pps)) => ("The server forwards at least", format!("{}/s", grouped(pps))),
        _ => ("Limit", "not found".to_owned()),
    };
    html! {
        div class="tile wide" {
            div class="name" { (name) }
            div class="value" { (value) }
            div class="range" {
                @if let Some(load) = limit.load { "at " (grouped(load as f64)) " " (limit.knob) " · " }
                "loss below " (limit.criteria.loss * 100.0) " %, p99 below " (limit.criteria.p99_us as f64 / 1e3) " ms · "
                @match limit.server_core {
                    Some(core) => { "server pinned to core " (core) }
                    None => { "server not pinned to a core" }
                }
            }
        }
    }
}

/// Warnings, which come before all numbers.
pub(super) fn warnings(warnings: &[String]) -> Markup {
    html! {
        @if warnings.is_empty() {
            div class="box good" { p { "Nothing speaks against these numbers: the generator kept up, and runs agree." } }
        } @else {
            div class="box warn" role="note" {
                strong { "Read the numbers with these in mind" }
                ul { @for warning in warnings { li { (warning) } } }
            }
        }
    }
}

/// The load and the machine.
pub(super) fn what_was_run(document: &Document<'_>) -> Markup {
    let machine = document.machine;
    let unknown = || "unknown".to_owned();
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(run) = document.loads.iter().find_map(|load| load.runs().first()) {
        let name = if run.scenario.is_empty() { "from flags" } else { &run.scenario };
        facts.push(("Scenario", name.to_owned()));
        facts.push(("Bots", load_name(run)));
        let burst = match run.burst {
            0 => "frames with the sizes of real media".to_owned(),
            1 => "one at a time".to_owned(),
            n => format!("{n} at once"),
        };
        facts.push(("Sent by each publisher", format!("{} packets/s of {} bytes, {burst}", run.pps, run.size)));
        let opened = if run.light { "SRTP authenticated, frames not opened" } else { "every frame opened" };
        facts.push(("Receivers", opened.to_owned()));
        facts.push(("Independent bots", plural(run.canaries.bots, "canary").replace("canarys", "canaries")));
        facts.push(("Measured", format!("{} × {:.1} s", plural(document.runs().count(), "run"), run.seconds)));
        if let Some(core) = run.server_core {
            facts.push(("Server", format!("pinned to core {core}")));
        }
    }
    facts.push(("CPU", machine.cpu.clone().unwrap_or_else(unknown)));
    let memory = machine.memory_bytes.map(|bytes| format!(", {}", Unit::Bytes.show(bytes as f64)));
    facts.push(("Machine", format!("{}{}", plural(machine.cores, "core"), memory.unwrap_or_default())));
    facts.push(("Kernel", machine.kernel.clone().unwrap_or_else(unknown)));
    facts.push(("Program", format!("tacet {}, {} build", machine.version, machine.build)));
    html! {
        section {
            h2 { "What was run" }
            @if let Some(command) = document.command { pre class="command" { code { (command) } } }
            dl class="facts" {
                @for (name, value) in &facts { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// Every figure: its median over the runs, and how far they differ.
pub(super) fn figures(load: &Repeats) -> Markup {
    let repeated = load.runs().len() > 1;
    let row = |figure: &Figure, spread: Spread| {
        let wide = figure.compared && spread.relative.is_some_and(|relative| relative > Repeats::WIDE);
        html! {
            tr {
                td { (figure.label) }
                td { (figure.unit.show(spread.median)) }
                @if repeated {
                    td { (figure.unit.show(spread.min)) }
                    td { (figure.unit.show(spread.max)) }
                    td class=[wide.then_some("wide-spread")] {
                        (spread.relative.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0)))
                    }
                }
            }
        }
    };
    let head = if repeated { &["Figure", "median", "smallest", "largest", "spread"][..] } else { &["Figure", "value"] };
    let of_light_bots = load.figures().filter(|(one, _)| !one.name.starts_with("canaries."));
    table(head.iter().copied(), &html! { @for (figure, spread) in of_light_bots { (row(figure, spread)) } })
}

/// Each run of each load.
pub(super) fn runs(document: &Document<'_>) -> Markup {
    let columns: Vec<_> = OF_A_RUN.iter().filter_map(|name| named(name)).collect();
    let loads = document.loads.len();
    let head = ["Run"].into_iter().chain(columns.iter().map(|figure| figure.label)).chain(["Notes"]);
    let rows = html! {
        @for load in document.loads {
            @if let Some(run) = load.runs().first().filter(|_| loads > 1) {
                tr class="group" { td colspan=(columns.len() + 2) { (load_name(run)) } }
            }
            @for (n, run) in load.runs().iter().enumerate() {
                tr {
                    td { (n + 1) }
                    @for figure in &columns { td { (show(figure, run)) } }
                    td { (run.generator.limits.len()) }
                }
            }
        }
    };
    table(head, &rows)
}

/// The bots on the independent stack, apart from all others.
pub(super) fn canaries(document: &Document<'_>) -> Markup {
    let runs: Vec<_> = document.runs().filter(|run| run.canaries.bots > 0).collect();
    html! {
        @if !runs.is_empty() {
            section {
                h2 { "Canaries" }
                p class="soft" {
                    "Bots on the webrtc crate, which shares no code with the server. Their latency runs until the \
                     application reads, not until the kernel receives: not to be compared with the latency above."
                }
                (table(["Run"].into_iter().chain(CANARY_FIGURES.iter().map(|figure| figure.label)), &html! {
                    @for (n, run) in runs.iter().enumerate() {
                        tr { td { (n + 1) } @for figure in CANARY_FIGURES { td { (show(figure, run)) } } }
                    }
                }))
            }
        }
    }
}

/// How the limit was searched.
pub(super) fn limit(limit: &LimitReport) -> Markup {
    html! {
        section {
            h2 { "How the limit was found" }
            p {
                "The load (" (limit.knob) ") was doubled until it was not carried, then halved between the highest that \
                 was and the lowest that was not. Both of these were run twice, and a third time where two runs disagreed."
                @if let Some(reason) = &limit.reason { " There is no limit to report: " (reason) "." }
            }
            @if let Some(failed) = &limit.failed {
                p {
                    "The lowest load that was not carried is " (grouped(failed.load as f64)) " " (limit.knob) ": "
                    (failed.why.join("; ")) "."
                }
            }
            (table(["Run", "Load", "Forwarded", "Loss", "Latency, p99", "Server CPU", "Verdict"], &html! {
                @for (n, sample) in limit.samples.iter().enumerate() {
                    tr {
                        td { (n + 1) }
                        td { (grouped(sample.load as f64)) }
                        td { (Unit::PerSecond.show(sample.forwarded_pps)) }
                        td { (format!("{:.4} %", sample.loss * 100.0)) }
                        td { (Unit::Microseconds.show(sample.p99_us as f64)) }
                        td { (sample.server_cpu.map_or_else(|| "–".to_owned(), |cpu| Unit::Share.show(cpu))) }
                        td class="text" {
                            @match sample.verdict {
                                Verdict::Pass => { "carried" }
                                Verdict::Server => { "not carried: " (sample.why.join("; ")) }
                                Verdict::Generator => { "says nothing of the server: " (sample.why.join("; ")) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// How the numbers are measured.
pub(super) fn method(document: &Document<'_>) -> Markup {
    let seconds = document.runs().next().map_or(0.0, |run| run.seconds);
    html! {
        section class="how" {
            h2 { "How it was measured" }
            p {
                "Bots join with real signaling and real keys, send sealed frames through ICE and DTLS-SRTP, and report \
                 loss and arrivals as receivers do. One-way latency is from the publisher's send call to the kernel's \
                 receive time at the subscriber; both are the clock of one machine. Packets lost are those that had not \
                 come half a second after the measured time, retransmissions included."
            }
            p {
                @if seconds > 0.0 { "Each run measures " (format!("{seconds:.1}")) " s after a warm-up that is not \
                    counted, on a server started for it. " }
                "Figures of several runs are the median of the runs, never pooled; only the curve of latencies is drawn \
                 from all of them together, by merging histograms of three significant digits. CPU is that of the whole \
                 server process; a server that was not started for the run has none unless it publishes it."
            }
            p {
                "Notes on the generator say when it, and not the server, may be what the numbers show: bursts sent late, \
                 packets not sent, packets that arrived and were not read in time, a bot thread near a whole core, a \
                 server that had to wait for a core."
            }
        }
    }
}
