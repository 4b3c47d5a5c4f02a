//! `tacet load` against `tacet serve`: the built binary twice, real sockets, real keys, two WebRTC stacks.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod running;

use running::Server;
use serde_json::Value;
use std::process::{Command, Output};

fn load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tacet")).arg("load").args(arguments).output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = load(&[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

fn count(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("no {field}: {report}"))
}

/// Nearly all: on a machine that is busy with other tests, a socket may overflow.
fn nearly_all(report: &Value) {
    let (expected, delivered) = (count(report, "expected"), count(report, "delivered"));
    assert!(expected > 0 && delivered + count(report, "lost") == expected, "{report}");
    assert!(delivered * 100 >= expected * 95, "{report}");
    assert_eq!(count(report, "undecryptable"), 0, "{report}");
}

#[test]
fn every_frame_reaches_bots_of_both_stacks_and_opens() {
    let report = report(&["--publishers", "1", "--subscribers", "4", "--seconds", "2", "--warmup", "0.5"]);
    nearly_all(&report);
    nearly_all(&report["canaries"]);
    assert_eq!(count(&report["canaries"], "bots"), 2);
    let latency = &report["latency_us"];
    let [p50, p95, p99] = ["p50", "p95", "p99"].map(|p| count(latency, p));
    assert!(0 < p50 && p50 <= p95 && p95 <= p99, "{report}");
    assert!(report["forwarded_pps"].as_f64().unwrap() > 1_000.0, "{report}");
    assert!(report["server_cpu_s_per_mpkt"].as_f64().unwrap() > 0.0, "{report}");
    assert!(count(&report, "rss_bytes_per_subscriber") > 0, "{report}");
}

#[test]
fn a_light_run_of_bursts_from_two_publishers_is_counted() {
    let report = report(&[
        "--publishers",
        "2",
        "--subscribers",
        "8",
        "--canaries",
        "0",
        "--seconds",
        "1",
        "--warmup",
        "0.5",
        "--pps",
        "320",
        "--burst",
        "16",
        "--light",
    ]);
    nearly_all(&report);
    // Two publishers, 320 packets a second, eight subscribers, one second; the first burst may lie a little beside.
    let expected = count(&report, "expected");
    assert!((4_600..=5_500).contains(&expected), "{report}");
}

#[test]
fn a_server_that_runs_already_is_measured_but_for_its_process() {
    let server = Server::start(&[]);
    let link = server.link.as_str();
    let report = report(&["--server", link, "--subscribers", "2", "--seconds", "0.5", "--warmup", "0.2"]);
    nearly_all(&report);
    assert!(report["server_cpu_s_per_mpkt"].is_null() && report["rss_bytes_per_subscriber"].is_null(), "{report}");
}

#[test]
fn a_self_signed_server_is_trusted_by_its_fingerprint_alone() {
    let (server, pin) = Server::start_self_signed(&[]);
    assert!(server.link.starts_with("https://"), "{}", server.link);

    let quick = ["--subscribers", "1", "--canaries", "0", "--seconds", "0.3", "--warmup", "0.2", "--server"];
    nearly_all(&report(&[&quick[..], &[&server.link, "--pin", &pin]].concat()));
    let zeros = "0".repeat(64);
    for trust in [&[][..], &["--pin", &zeros]] {
        let output = load(&[&quick[..], &[&server.link], trust].concat());
        assert!(!output.status.success(), "{trust:?}");
    }
}

#[test]
fn people_get_a_table() {
    let output = load(&["--subscribers", "1", "--seconds", "0.5", "--warmup", "0.2", "--canaries", "0"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for word in ["delivered", "latency", "p99", "server CPU"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn what_cannot_be_is_explained() {
    let link = format!("http://127.0.0.1:9/r/{}#{}", "A".repeat(22), "A".repeat(43));
    for (arguments, explanation) in [
        (vec!["--server", "http://127.0.0.1:9/r/x"], "room link"),
        (vec!["--server", &link], "cannot reach 127.0.0.1:9"),
        (vec!["--server", link.trim_start_matches("http://")], "http://"),
        (vec!["--size", "20"], "--size"),
        (vec!["--publishers", "0"], "publisher"),
    ] {
        let output = load(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(explanation), "{arguments:?}: {text}");
        assert!(!text.contains(&"A".repeat(43)), "a secret in an error: {text}");
    }
}
