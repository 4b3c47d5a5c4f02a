//! The sections of a plan: what things cost, whether predictions hold, what many at once need, and what is assumed.

use super::sections::{row, table};
use crate::{
    plan::{Plan, StreamRate, WorkloadSize},
    report::figures::{Unit, grouped},
};
use maud::{Markup, html};

pub(super) fn sections(plan: &Plan, predictions_plot: &Markup) -> Markup {
    html! {
        (needs(plan))
        (participants(plan))
        section {
            h2 { "What things cost, and whether it predicts" }
            div class="plots" {
                (predictions_plot)
                (costs(plan))
            }
            (predictions(plan))
        }
        (assumptions(plan))
    }
}

/// The most important figures.
pub(super) fn tiles(plan: &Plan) -> Markup {
    let held_out = plan.held_out().map(|prediction| prediction.error).max_by(|a, b| a.abs().total_cmp(&b.abs()));
    let costs = [
        ("A video packet forwarded", plan.costs.video_packet_us),
        ("An audio packet forwarded", plan.costs.audio_packet_us),
        ("A packet received", plan.costs.received_packet_us),
    ];
    html! {
        @for (name, us) in costs {
            div class="tile" { div class="name" { (name) } div class="value" { (format!("{us:.2} µs")) } }
        }
        @if let Some(error) = held_out {
            div class="tile" {
                div class="name" { "Prediction of a run held out" }
                div class="value" { (format!("{:+.0} %", error * 100.0)) }
                div class="range" { "beside what was measured" }
            }
        }
    }
}

fn needs(plan: &Plan) -> Markup {
    let unknown = || "–".to_owned();
    let head = [
        "Workload",
        "Cores",
        "Gbit/s out",
        "Gbit/s in",
        "Links of 10 Gbit/s",
        "Memory",
        "Machines",
        "Filled by",
        "Joins/s",
        "Cores for joins",
        "Signaling messages/s, at most",
    ];
    let line = |size: &WorkloadSize| {
        let total = &size.total;
        row([
            format!("{}{}", size.workload, if size.room_fits { "" } else { " *" }),
            grouped(total.cores.ceil()),
            grouped(total.out_gbits),
            grouped(total.in_gbits),
            grouped(total.links_10_gbits),
            total.memory_bytes.map_or_else(unknown, |bytes| Unit::Bytes.show(bytes)),
            grouped(total.machines),
            total.bottleneck.name().to_owned(),
            grouped(total.joins_per_s),
            total.join_cores.map_or_else(unknown, |cores| format!("{cores:.1}")),
            grouped(total.signaling_messages_per_s),
        ])
    };
    html! {
        section {
            h2 { (grouped(plan.assumptions.participants)) " participants at once" }
            (table(head, &html! { @for size in &plan.workloads { (line(size)) } }))
            @for size in plan.workloads.iter().filter(|size| !size.room_fits) {
                p class="soft" {
                    "* A room of " (size.workload) " takes " (format!("{:.1}", size.room_cpu)) " cores, more than its one \
                     worker may use: it does not fit as it is."
                }
            }
        }
    }
}

fn participants(plan: &Plan) -> Markup {
    let head = ["Kind", "In a room", "Per core", "Per 10 Gbit/s", "Mbit/s out", "Mbit/s in", "Of a core"];
    let rows = html! {
        @for size in &plan.workloads {
            tr class="group" {
                td { (size.workload) }
                td { (size.room) }
                td { (grouped(size.per_core)) }
                td { (grouped(size.per_10_gbits)) }
                td colspan="3" {}
            }
            @for kind in &size.kinds {
                tr {
                    td class="indent" { (kind.kind) }
                    td { (kind.per_room) }
                    td { (grouped(kind.per_core)) }
                    td { (grouped(kind.per_10_gbits)) }
                    td { (format!("{:.2}", kind.out_bits_per_s / 1e6)) }
                    td { (format!("{:.2}", kind.in_bits_per_s / 1e6)) }
                    td { (format!("{:.3} %", kind.cpu * 100.0)) }
                }
            }
        }
    };
    html! { section { h2 { "Participants of each kind" } (table(head, &rows)) } }
}

fn costs(plan: &Plan) -> Markup {
    let (costs, assumed) = (&plan.costs, &plan.assumptions);
    let us = |us: f64| Some(format!("{us:.2} µs"));
    let rows = [
        ("A packet received", us(costs.received_packet_us)),
        ("An audio packet forwarded", us(costs.audio_packet_us)),
        ("A video packet forwarded", us(costs.video_packet_us)),
        ("A participant, each second", us(costs.participant_second_us)),
        ("A join", assumed.join_cpu_ms.map(|ms| format!("{ms:.2} ms"))),
        ("Memory of a participant", assumed.memory.map(|memory| Unit::Bytes.show(memory.participant_bytes))),
        ("Memory of a stream sent", assumed.memory.map(|memory| Unit::Bytes.show(memory.stream_bytes))),
    ];
    let rows = rows.into_iter().filter_map(|(name, value)| Some(row([name.to_owned(), value?])));
    html! {
        div {
            h3 { "CPU of the server" }
            table { tbody { @for row in rows { (row) } } }
        }
    }
}

fn predictions(plan: &Plan) -> Markup {
    let rows = html! {
        @for prediction in &plan.predictions {
            tr {
                td { (prediction.name) }
                td { (format!("{:.2} %", prediction.predicted_cpu * 100.0)) }
                td { (format!("{:.2} %", prediction.measured_cpu * 100.0)) }
                td { (format!("{:+.0} %", prediction.error * 100.0)) }
                td class="text" { @if prediction.held_out { "held out: no cost was taken from it" } }
            }
        }
    };
    table(["Run", "Predicted", "Measured", "Error", ""], &rows)
}

fn assumptions(plan: &Plan) -> Markup {
    let assumed = &plan.assumptions;
    let rate =
        |rate: StreamRate| format!("{:.0} packets/s, {:.0} kbit/s of payload", rate.pps, rate.bytes_per_s * 8.0 / 1e3);
    let machine = assumed.machine;
    html! {
        section class="how" {
            h2 { "What is assumed" }
            ul {
                li { "An audio stream: " (rate(assumed.audio)) "; a video stream: " (rate(assumed.video)) " (measured)." }
                li {
                    "A machine has " (machine.cores) " cores, " (machine.gbits) " Gbit/s each way and "
                    (machine.memory_gb) " GB. In the mean " (format!("{:.0}", assumed.core_use * 100.0))
                    " % of a core and " (format!("{:.0}", assumed.link_use * 100.0)) " % of a link may be used."
                }
                li { "A participant stays " (assumed.stay_minutes) " minutes." }
                @for note in &plan.notes { li { (note) } }
            }
        }
    }
}
