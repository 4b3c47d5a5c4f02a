//! Results of several runs of `tacet load`: CSV, HTML and JSON, the limit, the plan. The built binary, short runs.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use loadtest::{
    Report,
    json::{Measured, Repeated, Swept},
    limit::{LimitReport, Verdict},
    plan::Plan,
};
use serde::de::DeserializeOwned;
use std::{
    fs,
    process::{Command, Output},
};
use support::TempDir;

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tacet")).arg("load").args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn result<T: DeserializeOwned>(arguments: &[&str]) -> Measured<T> {
    let output = load(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!stderr(&output).contains("measuring"), "progress where no terminal is: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Equal except for the last digits of a number written as text.
fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

const SHORT: [&str; 8] = ["--subscribers", "2", "--canaries", "1", "--seconds", "0.5", "--warmup", "0.2"];

#[test]
fn two_runs_are_written_as_json_csv_and_html() {
    let folder = TempDir::new();
    let (csv_file, html_file) = (folder.file("runs.csv"), folder.file("report.html"));
    // An existing file is replaced.
    fs::write(&html_file, "x".repeat(1 << 20)).unwrap();
    let files = ["--csv", csv_file.as_str(), "--html", html_file.as_str()];
    let Measured::<Repeated> { machine, result } = result(&[&SHORT[..], &["--runs", "2"], &files].concat());
    assert_eq!(result.runs.len(), 2);
    let spread = result.figures["forwarded_pps"];
    assert!(0.0 < spread.min && spread.min <= spread.median && spread.median <= spread.max, "{spread:?}");
    assert!(!result.latency_cdf.is_empty() && machine.cores > 0);
    assert!(result.warnings.iter().any(|warning| warning.contains("2 runs say little")), "{:?}", result.warnings);

    let mut rows = csv::Reader::from_path(csv_file).unwrap();
    let header = rows.headers().unwrap().clone();
    let column = header.iter().position(|name| name == "forwarded_pps").unwrap();
    let rates: Vec<f64> = rows.records().map(|row| row.unwrap()[column].parse().unwrap()).collect();
    assert!(rates.iter().zip(&result.runs).all(|(rate, run)| close(*rate, run.forwarded_pps)), "{rates:?}");

    let page = fs::read_to_string(html_file).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("<svg") && page.contains("--runs 2") && !page.contains("<script"), "{page}");
}

#[test]
fn sweep_sizes_are_reported_separately() {
    let swept = result::<Swept>(&[&SHORT[..], &["--sweep", "1,3"]].concat()).result;
    let subscribers: Vec<_> = swept.loads.iter().map(|load| load.runs[0].subscribers).collect();
    assert_eq!(subscribers, [1, 3]);
}

#[test]
fn unwritable_file_fails_early_and_full_disk_after_the_result() {
    let output = load(&["--html", "/no/such/folder/report.html"]);
    assert!(!output.status.success() && stderr(&output).contains("/no/such/folder/report.html"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());

    let output = load(&[&SHORT[..], &["--json", "--csv", "/dev/full"]].concat());
    assert!(!output.status.success() && stderr(&output).contains("cannot write /dev/full"), "{}", stderr(&output));
    let report: Measured<Report> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.result.delivered > 0);
}

#[test]
fn search_ends_with_a_limit_or_a_reason() {
    let flags = ["--find-limit", "--limit-by", "pps", "--limit-runs", "4", "--pps", "5000", "--light"];
    let limit = result::<LimitReport>(&[&SHORT[..], &flags].concat()).result;
    assert!((1..=4).contains(&limit.samples.len()));
    match limit.limit_pps {
        Some(pps) => {
            assert!(limit.reason.is_none() && limit.failed.as_ref().unwrap().by == Verdict::Server, "{limit:?}");
            assert_eq!(limit.at_least_pps, Some(pps));
        }
        None => assert!(limit.reason.is_some(), "{limit:?}"),
    }
    if let Some(pps) = limit.at_least_pps {
        let passed = limit.samples.iter().filter(|sample| sample.verdict == Verdict::Pass);
        assert!(passed.filter(|sample| Some(sample.load) == limit.load && sample.forwarded_pps >= pps).count() >= 2);
    }
}

#[test]
fn plan_predicts_held_out_run_and_is_reproduced_from_file() {
    let folder = TempDir::new();
    let file = folder.file("plan.json");
    let output = load(&["--plan", "--plan-seconds", "1", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(&file, &output.stdout).unwrap();
    let plan: Measured<Plan> = serde_json::from_slice(&output.stdout).unwrap();
    let held_out: Vec<_> = plan.result.held_out().collect();
    assert_eq!(held_out.len(), 1);
    // Short runs on a busy machine: within a factor of five.
    let ratio = held_out[0].predicted_cpu / held_out[0].measured_cpu;
    assert!((1.0 / 5.0..5.0).contains(&ratio), "{held_out:?}");

    let again = result::<Plan>(&["--plan", "--from", &file, "--plan-cores", "64"]).result;
    assert!(close(again.costs.video_packet_us, plan.result.costs.video_packet_us), "{again:?}");
    assert!(again.workloads.iter().zip(&plan.result.workloads).all(|(one, other)| {
        close(one.total.cores, other.total.cores) && one.total.machines <= other.total.machines
    }));
}
