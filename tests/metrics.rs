//! The metrics of a real server during a real call, read by a Prometheus parser.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use prometheus_parse::{LineInfo, Scrape, Value};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use support::Server;

/// Upper limit of any step: only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The response of `http://ADDRESS/metrics`.
struct Metrics {
    text: String,
    scrape: Scrape,
}

impl Metrics {
    fn by(url: &str) -> Self {
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut tcp = TcpStream::connect(address).unwrap();
        write!(tcp, "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
        let scrape = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        Self { text: text.to_owned(), scrape }
    }

    /// The metrics after a call has ended and is fully counted: rooms are counted once a second.
    fn after_a_call(url: &str) -> Self {
        let start = Instant::now();
        loop {
            let metrics = Self::by(url);
            if metrics.sum("tacet_rooms") == 0.0 && metrics.sum("tacet_forwarded_packets_total") > 0.0 {
                return metrics;
            }
            assert!(start.elapsed() < PATIENCE, "{}", metrics.text);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The sum over all labels; of a histogram, its count.
    fn sum(&self, name: &str) -> f64 {
        let values: Vec<f64> = self
            .scrape
            .samples
            .iter()
            .filter(|sample| sample.metric == name)
            .map(|sample| match &sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
                Value::Histogram(buckets) => buckets.iter().find(|b| b.less_than.is_infinite()).unwrap().count,
                Value::Summary(_) => panic!("no summaries"),
            })
            .collect();
        assert!(!values.is_empty(), "no {name}:\n{}", self.text);
        values.iter().sum()
    }
}

/// Runs a publisher and two subscribers for a moment. Returns the report.
fn call(server: &Server, scenario: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tacet"))
        .args(["load", "--json", "--server", &server.link, "--metrics", &server.metrics])
        .args(["--subscribers", "2", "--canaries", "0", "--warmup", "0.2"])
        .args(scenario)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn call_is_counted() {
    let server = Server::start(&["--adapt-video=false"]);
    let before = Metrics::by(&server.metrics);
    for line in before.text.lines() {
        assert_ne!(LineInfo::parse(line), LineInfo::Ignored, "{line}");
    }
    assert_eq!(before.sum("tacet_forwarding_seconds"), 0.0);
    assert_eq!(before.sum("tacet_build_info"), 1.0);

    let report = call(&server, &["--seconds", "0.5"]);
    assert!(report["server_cpu_s_per_mpkt"].as_f64().unwrap() > 0.0, "the load tester reads the CPU time: {report}");
    let delivered = report["delivered"].as_f64().unwrap();

    let after = Metrics::after_a_call(&server.metrics);
    assert!(after.sum("tacet_forwarded_packets_total") >= delivered);
    for name in ["tacet_rtp_packets_sent_total", "tacet_datagrams_sent_total", "tacet_forwarding_seconds"] {
        assert!(after.sum(name) >= delivered, "{name}: {} of {delivered}", after.sum(name));
    }
    assert!(after.sum("tacet_sent_bytes_total") > delivered * 100.0);
    assert_eq!(after.sum("tacet_first_media_seconds"), 2.0);
    assert_eq!(after.sum("tacet_handshakes_completed_total"), 3.0);
    assert_eq!(after.sum("tacet_signaling_connected_seconds_count"), 3.0);
    assert_eq!(after.sum("tacet_signaling_connections_total"), 3.0);
    assert_eq!(after.sum("tacet_signaling_connections_open"), 0.0);
    for name in [
        "tacet_worker_cpu_seconds_total",
        "tacet_socket_receive_buffer_bytes",
        "tacet_signaling_messages_received_total",
        "tacet_signaling_messages_sent_total",
        "tacet_signaling_rooms",
        "tacet_ice_checks_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_start_time_seconds",
    ] {
        assert!(after.sum(name) > 0.0, "{name}:\n{}", after.text);
    }
    for name in ["tacet_faults_total", "tacet_transports_failed_total", "tacet_signaling_room_faults_total"] {
        assert_eq!(after.sum(name), 0.0, "{name}");
    }
}

#[test]
fn loss_and_repair_are_counted_in_both_directions() {
    let (server, _relay) = Server::start_behind("loss=5%,delay=5ms", 3, &["--adapt-video=false"]);
    call(&server, &["--scenario", "one-to-many", "--seconds", "2"]);
    let metrics = Metrics::after_a_call(&server.metrics);
    let [lost, received] =
        ["tacet_uplink_packets_lost_total", "tacet_rtp_packets_received_total"].map(|n| metrics.sum(n));
    let uplink = lost / (lost + received);
    let [missing, arrived] =
        ["tacet_downlink_packets_missing_total", "tacet_downlink_packets_arrived_total"].map(|n| metrics.sum(n));
    let downlink = missing / (missing + arrived);
    for share in [uplink, downlink] {
        assert!((0.02..0.2).contains(&share), "about five in a hundred are lost, not {share}:\n{}", metrics.text);
    }
    for name in [
        "tacet_uplink_packets_nacked_total",
        "tacet_uplink_packets_recovered_total",
        "tacet_retransmissions_total",
        "tacet_plis_sent_total",
    ] {
        assert!(metrics.sum(name) > 0.0, "{name}:\n{}", metrics.text);
    }
    let [recovered, forwarded] =
        ["tacet_uplink_packets_recovered_total", "tacet_forwarded_packets_total"].map(|n| metrics.sum(n));
    assert!(recovered <= lost * 1.5 && forwarded > received, "{}", metrics.text);
}

#[test]
fn label_values_are_bounded() {
    let server = Server::start(&["--adapt-video=false"]);
    call(&server, &["--seconds", "0.5"]);
    let metrics = Metrics::by(&server.metrics);
    let mut values: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for (label, value) in metrics.scrape.samples.iter().flat_map(|sample| sample.labels.iter()) {
        match values.iter_mut().find(|(known, _)| known == label) {
            Some((_, known)) => _ = known.insert(value),
            None => values.push((label, BTreeSet::from([value.as_str()]))),
        }
    }
    for (label, values) in values {
        let small_word = |value: &&str| value.len() < 20 && value.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let fixed = match label {
            "worker" => values == BTreeSet::from(["0"]),
            "version" => values == BTreeSet::from([env!("CARGO_PKG_VERSION")]),
            "format" => values == BTreeSet::from(["binary", "text"]),
            "reason" | "outcome" => values.iter().all(small_word),
            "code" => values.iter().all(|value| small_word(value) || value.parse::<u16>().is_ok()),
            _ => false,
        };
        assert!(fixed, "{label}: {values:?}");
    }
    // All series exist from the start: calls add none.
    assert_eq!(
        metrics.scrape.samples.len(),
        Metrics::by(&Server::start(&["--adapt-video=false"]).metrics).scrape.samples.len()
    );
    let (room, secret) = server.link.rsplit_once("/r/").unwrap().1.split_once('#').unwrap();
    assert!(!metrics.text.contains(room) && !metrics.text.contains(secret));
}

/// Starts a server without a metrics setting. Returns the URL of its metrics.
fn start_with_default_metrics() -> (Child, Option<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tacet"))
        .args([
            "serve",
            "--json",
            "--data",
            "none",
            "--port",
            "0",
            "--media-port",
            "0",
            "--workers",
            "1",
            "--log",
            "error",
        ])
        .env_remove("TACET_METRICS")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, ready["metrics"].as_str().map(str::to_owned))
}

#[test]
fn metrics_default_to_loopback_and_second_server_has_none() {
    let (mut first, metrics) = start_with_default_metrics();
    // Another program on this machine may use the port; then both servers run without metrics.
    if let Some(url) = metrics {
        assert_eq!(url, "http://127.0.0.1:9464/metrics");
        assert_eq!(Metrics::by(&url).sum("tacet_build_info"), 1.0);
    }
    let (mut second, none) = start_with_default_metrics();
    assert_eq!(none, None);
    for child in [&mut first, &mut second] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
