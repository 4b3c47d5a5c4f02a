//! What `tacet load` makes of several runs: files that others read, the limit, the plan. The built binary, short runs.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use loadtest::{
    Report,
    json::{Measured, Repeated, Swept},
    limit::{LimitReport, Verdict},
    plan::Plan,
};
use serde::de::DeserializeOwned;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder of this test alone, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tacet-reports-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tacet")).arg("load").args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn result<T: DeserializeOwned>(arguments: &[&str]) -> Measured<T> {
    let output = load(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains("measuring"), "progress where no terminal is: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Equal but for the last digits of a number written as text.
fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

const SHORT: [&str; 8] = ["--subscribers", "2", "--canaries", "1", "--seconds", "0.5", "--warmup", "0.2"];

#[test]
fn two_runs_become_json_csv_and_a_page() {
    let folder = Folder::new();
    let (csv_file, html_file) = (folder.file("runs.csv"), folder.file("report.html"));
    // What was in a named file is replaced.
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
fn sizes_of_a_sweep_are_reported_apart() {
    let swept = result::<Swept>(&[&SHORT[..], &["--sweep", "1,3"]].concat()).result;
    let subscribers: Vec<_> = swept.loads.iter().map(|load| load.runs[0].subscribers).collect();
    assert_eq!(subscribers, [1, 3]);
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_any_run_and_a_full_disk_after_the_result() {
    let output = load(&["--html", "/no/such/folder/report.html"]);
    assert!(!output.status.success() && said(&output).contains("/no/such/folder/report.html"), "{}", said(&output));
    assert!(output.stdout.is_empty());

    let output = load(&[&SHORT[..], &["--json", "--csv", "/dev/full"]].concat());
    assert!(!output.status.success() && said(&output).contains("cannot write /dev/full"), "{}", said(&output));
    let report: Measured<Report> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.result.delivered > 0);
}

#[test]
fn a_search_ends_with_a_limit_or_says_why_there_is_none() {
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
fn a_plan_predicts_a_run_that_was_held_out_and_is_made_again_from_its_file() {
    let folder = Folder::new();
    let file = folder.file("plan.json");
    let output = load(&["--plan", "--plan-seconds", "1", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    fs::write(&file, &output.stdout).unwrap();
    let plan: Measured<Plan> = serde_json::from_slice(&output.stdout).unwrap();
    let held_out: Vec<_> = plan.result.held_out().collect();
    assert_eq!(held_out.len(), 1);
    // Short runs on a machine that does other things besides: within a factor of five.
    let ratio = held_out[0].predicted_cpu / held_out[0].measured_cpu;
    assert!((1.0 / 5.0..5.0).contains(&ratio), "{held_out:?}");

    let again = result::<Plan>(&["--plan", "--from", &file, "--plan-cores", "64"]).result;
    assert!(close(again.costs.video_packet_us, plan.result.costs.video_packet_us), "{again:?}");
    assert!(again.workloads.iter().zip(&plan.result.workloads).all(|(one, other)| {
        close(one.total.cores, other.total.cores) && one.total.machines <= other.total.machines
    }));
}
