//! The sections of a plan: what things cost, whether predictions hold, what many at once need, and what is assumed.

use crate::{
    plan::{Plan, StreamRate},
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

/// What one looks for first.
pub(super) fn tiles(plan: &Plan) -> Markup {
    let held_out = plan.held_out().map(|prediction| prediction.error).max_by(|a, b| a.abs().total_cmp(&b.abs()));
    let costs = [
        ("A packet of pictures forwarded", plan.costs.video_packet_us),
        ("A packet of sound forwarded", plan.costs.audio_packet_us),
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
    html! {
        section {
            h2 { (grouped(plan.assumptions.participants)) " participants at once" }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            th { "Workload" } th { "Cores" } th { "Gbit/s out" } th { "Gbit/s in" }
                            th { "Links of 10 Gbit/s" } th { "Memory" } th { "Machines" } th { "Filled by" }
                            th { "Joins/s" } th { "Cores for joins" } th { "Signaling messages/s, at most" }
                        }
                    }
                    tbody {
                        @for size in &plan.workloads {
                            @let total = &size.total;
                            tr {
                                td { (size.workload) @if !size.room_fits { " *" } }
                                td { (grouped(total.cores.ceil())) }
                                td { (grouped(total.out_gbits)) }
                                td { (grouped(total.in_gbits)) }
                                td { (grouped(total.links_10_gbits)) }
                                td { (total.memory_bytes.map_or_else(unknown, |bytes| Unit::Bytes.show(bytes))) }
                                td { (grouped(total.machines)) }
                                td { (total.bottleneck.name()) }
                                td { (grouped(total.joins_per_s)) }
                                td { (total.join_cores.map_or_else(unknown, |cores| format!("{cores:.1}"))) }
                                td { (grouped(total.signaling_messages_per_s)) }
                            }
                        }
                    }
                }
            }
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
    html! {
        section {
            h2 { "Participants of each kind" }
            div class="scroll" {
                table {
                    thead {
                        tr {
                            th { "Kind" } th { "In a room" } th { "Per core" } th { "Per 10 Gbit/s" }
                            th { "Mbit/s out" } th { "Mbit/s in" } th { "Of a core" }
                        }
                    }
                    tbody {
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
                    }
                }
            }
        }
    }
}

fn costs(plan: &Plan) -> Markup {
    let costs = &plan.costs;
    let rows = [
        ("A packet received", costs.received_packet_us),
        ("A packet of sound forwarded", costs.audio_packet_us),
        ("A packet of pictures forwarded", costs.video_packet_us),
        ("A participant, each second", costs.participant_second_us),
    ];
    html! {
        div {
            h3 { "CPU of the server" }
            table {
                tbody {
                    @for (name, us) in rows { tr { td { (name) } td { (format!("{us:.2} µs")) } } }
                    @if let Some(ms) = plan.assumptions.join_cpu_ms {
                        tr { td { "A join" } td { (format!("{ms:.2} ms")) } }
                    }
                    @if let Some(memory) = plan.assumptions.memory {
                        tr { td { "Memory of a participant" } td { (Unit::Bytes.show(memory.participant_bytes)) } }
                        tr { td { "Memory of a stream sent" } td { (Unit::Bytes.show(memory.stream_bytes)) } }
                    }
                }
            }
        }
    }
}

fn predictions(plan: &Plan) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead { tr { th { "Run" } th { "Predicted" } th { "Measured" } th { "Error" } th class="text" { "" } } }
                tbody {
                    @for prediction in &plan.predictions {
                        tr {
                            td { (prediction.name) }
                            td { (format!("{:.2} %", prediction.predicted_cpu * 100.0)) }
                            td { (format!("{:.2} %", prediction.measured_cpu * 100.0)) }
                            td { (format!("{:+.0} %", prediction.error * 100.0)) }
                            td class="text" { @if prediction.held_out { "held out: no cost was taken from it" } }
                        }
                    }
                }
            }
        }
    }
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
                li { "A stream of sound: " (rate(assumed.audio)) "; of pictures: " (rate(assumed.video)) " (measured)." }
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
