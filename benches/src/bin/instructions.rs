//! `make instructions`: how many instructions a room takes for a forwarded packet, counted by Valgrind. Unlike time, the count
//! does not depend on what else the machine does.
//!
//! Counts the packets after the first second: with their share of what a received packet costs, and of what timers do.
//!
//! Fails if a row with one encoding and one decode target costs more than [`ALLOWED`] times as much as before there were
//! layers.

#![allow(clippy::print_stdout, reason = "the result is this program's output")]

use rtp_wire::dependency_descriptor::ScalabilityMode;
use std::{
    env,
    hint::black_box,
    io,
    process::{Command, ExitCode},
};
use tacet_benches::room_stream::{Copy, Stream};

/// Packets before those that are counted: longer than packets are kept.
const WARM: u32 = 600;
/// Packets that are counted: two seconds.
const COUNTED: u32 = 1_000;
/// The function whose instructions are counted, with what it calls.
const COUNTED_FUNCTION: &str = "*instructions*send_counted*";
/// What a row may cost, compared with the count before there were layers.
const ALLOWED: f64 = 1.03;

/// A row of the table.
struct Row {
    name: &'static str,
    mode: Option<ScalabilityMode>,
    subscribers: u32,
    /// Instructions for each forwarded packet that this program counted at the last commit without layers.
    before_layers: Option<f64>,
}

const fn row(name: &'static str, mode: Option<ScalabilityMode>, subscribers: u32, before_layers: Option<f64>) -> Row {
    Row { name, mode, subscribers, before_layers }
}

const ROWS: [Row; 6] = [
    row("VP8, 1 subscriber", None, 1, Some(3509.0)),
    row("VP8, 25 subscribers", None, 25, Some(723.0)),
    row("VP8, 100 subscribers", None, 100, Some(636.0)),
    row("1 target, 100 subscribers", Some(ScalabilityMode::L1T1), 100, None),
    row("3 targets, 100 subscribers", Some(ScalabilityMode::L1T3), 100, None),
    row("9 targets, 100 subscribers", Some(ScalabilityMode::L3T3), 100, None),
];

fn main() -> io::Result<ExitCode> {
    if let Some(number) = env::args().nth(1) {
        let row = number.parse().ok().and_then(|number: usize| ROWS.get(number));
        forward(row.ok_or_else(|| io::Error::other("no such row"))?);
        return Ok(ExitCode::SUCCESS);
    }
    println!("| | instructions per forwarded packet | before layers | ratio |\n|---|---|---|---|");
    let mut failed = false;
    for (number, Row { name, subscribers, before_layers, .. }) in ROWS.iter().enumerate() {
        let counted = count(number)? as f64 / f64::from(COUNTED * subscribers);
        let Some(before) = before_layers else {
            println!("| {name} | {counted:.0} | | |");
            continue;
        };
        let ratio = counted / before;
        failed |= ratio > ALLOWED;
        println!("| {name} | {counted:.0} | {before:.0} | {ratio:.3} |");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Forwards packets to the subscribers of a row.
fn forward(row: &Row) {
    let mut egress = Copy::default();
    let mut stream = match row.mode {
        None => Stream::vp8(row.subscribers, &mut egress, Copy::connect),
        Some(mode) => Stream::layers(mode, row.subscribers, &mut egress, Copy::connect),
    };
    for _ in 0..WARM {
        egress.out.clear();
        stream.send(&mut egress);
    }
    send_counted(&mut stream, &mut egress);
    stream.assert_all_forwarded(row.subscribers);
}

#[inline(never)]
fn send_counted(stream: &mut Stream, egress: &mut Copy) {
    for _ in 0..COUNTED {
        egress.out.clear();
        stream.send(egress);
        black_box(egress.out.len());
    }
}

/// Instructions that this program takes to forward the counted packets of a row.
fn count(row: usize) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={COUNTED_FUNCTION}"))
        .arg(env::current_exe()?)
        .arg(row.to_string())
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let mut collected = report.lines().filter_map(|line| line.split_once("Collected :")).map(|(_, count)| count.trim());
    let count = collected.next_back().filter(|_| output.status.success()).and_then(|count| count.parse().ok());
    count.filter(|count| *count > 0).ok_or_else(|| io::Error::other(format!("Valgrind counts nothing:\n{report}")))
}
