//! `tacet load` against `tacet serve`: the built binary twice, real sockets, real keys, two WebRTC stacks.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Output, Stdio},
};
use support::Server;

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

/// Almost all packets: on a busy machine, a socket may overflow.
fn nearly_all(report: &Value) {
    let (expected, delivered) = (count(report, "expected"), count(report, "delivered"));
    assert!(expected > 0 && delivered + count(report, "lost") == expected, "{report}");
    assert!(delivered * 100 >= expected * 95, "{report}");
    assert_eq!(count(report, "undecryptable"), 0, "{report}");
}

#[test]
fn frames_reach_bots_of_both_stacks_and_open() {
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
fn light_bursts_of_two_publishers_are_counted() {
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
    // Two publishers, 320 packets a second, eight subscribers, one second; the first burst may be outside.
    let expected = count(&report, "expected");
    assert!((4_600..=5_500).contains(&expected), "{report}");
}

#[test]
fn running_server_is_measured_without_its_process() {
    let server = Server::start(&["--adapt-video=false"]);
    let link = server.link.as_str();
    let report = report(&["--server", link, "--subscribers", "2", "--seconds", "0.5", "--warmup", "0.2"]);
    nearly_all(&report);
    assert!(report["server_cpu_s_per_mpkt"].is_null() && report["rss_bytes_per_subscriber"].is_null(), "{report}");
}

/// What a dead server did not forward counts as lost, and the command fails.
#[test]
fn server_that_ends_during_the_run_is_a_failure() {
    let mut server = Server::start(&["--adapt-video=false"]);
    let traffic = ["--publishers", "1", "--subscribers", "2", "--canaries", "0", "--pps", "400"];
    let running = Command::new(env!("CARGO_BIN_EXE_tacet"))
        .args(["load", "--server", &server.link, "--seconds", "5", "--warmup", "0.1", "--json"])
        .args(traffic)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // About a second of the run.
    support::until("media flows", || support::metric(&server.metrics, "tacet_forwarded_packets_total") > 800.0);
    server.child.kill().unwrap();
    let output = running.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("the server ended"), "{error}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // 400 packets a second, two subscribers, five seconds.
    let expected = count(&report, "expected");
    assert!((3_900..=4_100).contains(&expected), "{report}");
    assert_eq!(count(&report, "delivered") + count(&report, "lost"), expected, "{report}");
    assert!(count(&report, "lost") > 1_000 && report["server_lost"] == true, "{report}");
}

/// As for arguments that are wrong by themselves: nothing was run.
#[test]
fn load_of_nothing_names_the_flag_that_was_given() {
    for (arguments, explanation) in [
        (&["--publishers", "0", "--subscribers", "0", "--participants", "1"][..], "--participants must be at least 2"),
        (&["--subscribers", "0"], "--subscribers must be at least 1"),
        (&["--publishers", "0"], "--publishers must be at least 1"),
        (&["--rooms", "0"], "--rooms must be at least 1"),
        (&["--seconds", "0"], "--seconds must be more than 0"),
        (&["--scenario", "rooms", "--size", "500"], "--size and --burst are for single packets"),
        (&["--threads", "0"], "--threads <N>"),
        (&["--threads", "1"], "2..=85"),
    ] {
        let output = load(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(explanation), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?} prints figures");
    }
}

/// Sends a signal, as `kill` does.
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Those that the server lists.
fn participants(server: &Server) -> f64 {
    support::metric(&server.metrics, "tacet_signaling_participants")
}

/// A run of five bots on a server, once media flows.
fn running(server: &Server, arguments: &[&str]) -> Child {
    let bots = ["load", "--publishers", "1", "--subscribers", "3", "--canaries", "1", "--server", &server.link];
    let mut running = Command::new(env!("CARGO_BIN_EXE_tacet"));
    running.args(bots).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = running.spawn().unwrap();
    support::until("media flows", || support::metric(&server.metrics, "tacet_forwarded_packets_total") > 2_000.0);
    assert_eq!(participants(server), 5.0);
    running
}

/// Bots that merely disappear would stay on the roster for half a minute.
#[test]
fn bots_leave_a_run_that_is_stopped_and_it_reports_what_it_measured() {
    let server = Server::start(&["--adapt-video=false"]);
    let running = running(&server, &["--warmup", "0.1", "--seconds", "600", "--json"]);
    signal(&running, "-INT");
    let output = running.wait_with_output().unwrap();
    assert_eq!(participants(&server), 0.0, "ghosts");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("stopped before the end"), "{error}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    nearly_all(&report);
    assert!(report["seconds"].as_f64().unwrap() < 60.0, "{report}");
    assert!(report["generator"]["limits"].to_string().contains("stopped after"), "{report}");
}

#[test]
fn bots_leave_a_run_that_is_stopped_before_it_measures() {
    let server = Server::start(&["--adapt-video=false"]);
    let running = running(&server, &["--warmup", "600"]);
    signal(&running, "-INT");
    let output = running.wait_with_output().unwrap();
    assert_eq!(participants(&server), 0.0, "ghosts");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("stopped before anything was measured"), "{error}");
    assert!(output.stdout.is_empty());
}

/// A server that no longer answers keeps no one waiting.
#[test]
fn second_request_to_stop_ends_at_once() {
    let server = Server::start(&["--adapt-video=false"]);
    let mut running = running(&server, &["--warmup", "600"]);
    signal(&server.child, "-STOP");
    signal(&running, "-INT");
    let mut errors = BufReader::new(running.stderr.take().unwrap()).lines();
    assert!(errors.next().unwrap().unwrap().contains("Ctrl-C again"));
    signal(&running, "-INT");
    assert!(errors.next().unwrap().unwrap().contains("stopped at once"));
    assert_eq!(running.wait().unwrap().code(), Some(1));
}

#[test]
fn unreachable_server_is_named_once() {
    let output = load(&["--server", "http://127.0.0.1:1"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((error.matches("http://127.0.0.1:1").count(), error.matches("refused").count()), (1, 1), "{error}");
}

#[test]
fn self_signed_server_requires_its_pin() {
    let (server, pin) = Server::start_self_signed(&["--adapt-video=false"]);
    assert!(server.link.starts_with("https://"), "{}", server.link);

    let quick = ["--subscribers", "1", "--canaries", "0", "--seconds", "0.3", "--warmup", "0.2", "--server"];
    nearly_all(&report(&[&quick[..], &[&server.link, "--pin", &pin]].concat()));
    let zeros = "0".repeat(64);
    for trust in [&[][..], &["--pin", &zeros]] {
        let output = load(&[&quick[..], &[&server.link], trust].concat());
        assert!(!output.status.success(), "{trust:?}");
    }
}

/// A built-in scenario, reduced in size.
fn scenario(name: &str, size: &[&str]) -> Value {
    let report = report(&[&["--scenario", name, "--warmup", "0.5"], size].concat());
    assert_eq!(report["scenario"], name);
    nearly_all(&report);
    nearly_all(&report["canaries"]);
    assert!(count(&report["canaries"], "opened") > 0, "{report}");
    assert_eq!(count(&report["joins"], "failed"), 0, "{report}");
    let cdf = report["latency_cdf"].as_array().unwrap();
    assert!(cdf.len() > 5 && cdf.last().unwrap()[1] == 1.0, "{report}");
    report
}

#[test]
fn one_to_many_delivers_audio_and_video() {
    let report = scenario("one-to-many", &["--subscribers", "3", "--seconds", "1"]);
    for kind in ["audio", "video"] {
        nearly_all(&report[kind]);
        assert!(count(&report[kind], "opened") > 0, "{report}");
        assert!(count(&report[kind]["latency_us"], "p50") > 0, "{report}");
    }
    // Video frames consist of many packets: fewer frames than packets.
    assert!(count(&report["video"], "opened") < count(&report["video"], "delivered"), "{report}");
    assert_eq!(count(&report["joins"], "completed"), 6, "{report}");
    assert!(report["joins"]["first_media_ms"]["p50"].is_u64(), "{report}");
    assert!(report["jitter_us"]["deviation_p99"].as_u64().unwrap() > 0, "{report}");
    assert!(report["server_socket_drops"].is_u64() && report["join_cpu_ms"].as_f64().unwrap() > 0.0, "{report}");
}

#[test]
fn everyone_scenario_includes_canaries() {
    let report = scenario("everyone", &["--participants", "3", "--canaries", "1", "--seconds", "1"]);
    assert_eq!((count(&report, "publishers"), count(&report, "subscribers")), (3, 3));
    let of_canaries = &report["canaries"]["published"];
    nearly_all(of_canaries);
    assert!(count(of_canaries, "opened") > 0, "{report}");
    assert!(report["rss_bytes_per_subscriber"].is_null() && count(&report, "rss_bytes_per_participant") > 0);
}

#[test]
fn rooms_are_separate() {
    let report = scenario("rooms", &["--rooms", "3", "--participants", "2", "--seconds", "1", "--threads", "4"]);
    assert_eq!((count(&report, "rooms"), count(&report["audio"], "streams")), (3, 6));
    assert_eq!(count(&report["generator"], "threads"), 4);
}

#[test]
fn webinar_listeners_take_one_encoding() {
    let report = scenario("webinar", &["--publishers", "2", "--subscribers", "3", "--seconds", "1"]);
    let video = &report["video"];
    assert_eq!(count(video, "streams"), 6, "two speakers in three encodings");
    assert!(count(video, "expected") < count(video, "sent") * 3 / 2, "one of three: {report}");
    assert_eq!(count(&report["audio"], "opened"), 0, "listeners are light");
}

/// Receivers get the images that their tiles need, without a gap, and others after they have changed their tiles.
fn layers_follow_tiles(report: &Value) {
    let layers = &report["layers"];
    assert!(count(layers, "switches") > 0 && count(&layers["notices"], "wish") > 0, "{layers}");
    assert!(count(&layers["switch_ms"], "p50") < 1_500, "{layers}");
    let of_height = |height: u64, field: &str| -> u64 {
        let all = layers["layers"].as_array().unwrap().iter();
        all.filter(|layer| layer["height"] == height).map(|layer| count(layer, field)).sum()
    };
    for height in [180, 360, 720] {
        let (expected, lost) = (of_height(height, "expected"), of_height(height, "lost"));
        assert!(of_height(height, "delivered_bytes") > 0 && lost * 100 <= expected * 5, "{layers}");
    }
    // Most receivers have small tiles only, or one large tile.
    let wasted = of_height(720, "delivered") * 10 > of_height(720, "sent") * count(report, "subscribers") * 7;
    assert!(!wasted, "only some get the largest: {layers}");
    nearly_all(&report["canaries"]);
}

#[test]
fn encodings_follow_the_tiles_of_receivers() {
    let size = ["--publishers", "3", "--subscribers", "4", "--canaries", "1", "--seconds", "9"];
    layers_follow_tiles(&scenario("layers", &size));
}

#[test]
fn spatial_layers_follow_the_tiles_of_receivers() {
    let size = ["--publishers", "2", "--subscribers", "3", "--canaries", "1", "--seconds", "9"];
    let report = scenario("svc", &size);
    assert_eq!(count(&report["video"], "streams"), 2, "one encoding each: {report}");
    layers_follow_tiles(&report);
}

/// The tiles of each page show their cameras at once, and cameras hardly send images that are larger than all tiles.
#[test]
fn pages_show_their_cameras_at_once() {
    let text = String::from_utf8(load(&["--print-scenario", "pages"]).stdout).unwrap();
    let text = text.replace("page = 49", "page = 3").replace("change_every_s = 5", "change_every_s = 3");
    let file = std::env::temp_dir().join(format!("tacet-pages-{}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let size = ["--publishers", "12", "--subscribers", "1", "--canaries", "0", "--seconds", "7", "--warmup", "6"];
    let report = report(&[&["--scenario", file.to_str().unwrap()], &size[..]].concat());
    std::fs::remove_file(&file).unwrap();
    nearly_all(&report);
    let layers = &report["layers"];
    let sent = |is_counted: fn(u64) -> bool| -> u64 {
        let all = layers["layers"].as_array().unwrap().iter();
        all.filter(|layer| is_counted(count(layer, "height"))).map(|layer| count(layer, "sent")).sum()
    };
    let (small, larger) = (sent(|height| height == 180), sent(|height| height > 180));
    assert!(small > 0 && larger * 3 < small, "{layers}");
    // Half a second on a machine that does nothing else.
    let start = &layers["start_ms"];
    assert!(count(start, "count") >= 3 && count(start, "max") < 2_000, "{layers}");
}

#[test]
fn join_storm_gets_media() {
    let report = scenario("join-storm", &["--subscribers", "4", "--seconds", "3"]);
    assert_eq!(count(&report["joins"], "completed"), 8, "{report}");
    let first = &report["joins"]["first_media_ms"];
    assert!(count(first, "p50") <= count(first, "p95") && count(first, "p95") <= count(first, "max"), "{report}");
}

#[test]
fn churn_replaces_participants() {
    let text = load(&["--print-scenario", "churn"]).stdout;
    let text = String::from_utf8(text).unwrap().replace("mean_stay_s = 8 ", "mean_stay_s = 1 ");
    assert!(text.contains("mean_stay_s = 1 "), "{text}");
    let file = std::env::temp_dir().join(format!("tacet-load-{}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let size = ["--publishers", "1", "--subscribers", "3", "--participants", "1", "--canaries", "1"];
    let size = [&["--scenario", file.to_str().unwrap(), "--seconds", "4", "--warmup", "0.5"], &size[..]].concat();
    let report = report(&size);
    std::fs::remove_file(&file).unwrap();
    nearly_all(&report);
    assert!(count(&report["joins"], "left") > 0, "{report}");
    assert!(count(&report["joins"], "begun") > 6, "leaving bots are replaced: {report}");
}

#[test]
fn rooms_are_created_on_running_server_and_metrics_read() {
    let server = Server::start(&["--adapt-video=false"]);
    let (origin, _) = server.link.split_once("/r/").unwrap();
    let metrics = serve_growing_metrics();
    let size = ["--scenario", "rooms", "--rooms", "2", "--participants", "2", "--canaries", "0", "--seconds", "1"];
    let report = report(&[&size[..], &["--warmup", "0.3", "--server", origin, "--metrics", &metrics]].concat());
    nearly_all(&report);
    // It reports 250 ms more CPU time at each request.
    let server_cpu = report["server_cpu"].as_f64().unwrap();
    assert!((0.1..=0.26).contains(&server_cpu), "{server_cpu}");
    assert_eq!(count(&report, "server_rss_bytes"), 5_000_000);
    assert!(report["server_socket_drops"].is_null());
}

/// A server that exposes growing metrics.
fn serve_growing_metrics() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for n in 1.. {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1_000];
            let _ = stream.read(&mut request).unwrap();
            let cpu = f64::from(n) * 0.25;
            let body = format!("process_cpu_seconds_total {cpu}\nprocess_resident_memory_bytes{{a=\"b\"}} 5e+06\n");
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    format!("http://{address}/metrics")
}

#[test]
fn server_core_is_pinned() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let quick = ["--subscribers", "1", "--canaries", "0", "--seconds", "0.5", "--warmup", "0.2"];
    if cores >= 2 {
        let report = report(&[&quick[..], &["--server-core", "0", "--pin-threads"]].concat());
        nearly_all(&report);
        assert_eq!(count(&report, "server_core"), 0);
    }
    let output = load(&[&quick[..], &["--server-core", "5000"]].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("core"), "{text}");
}

#[test]
fn scenarios_are_listed_and_printed() {
    let list = String::from_utf8(load(&["--list-scenarios"]).stdout).unwrap();
    for name in [
        "packets",
        "one-to-many",
        "everyone",
        "rooms",
        "webinar",
        "layers",
        "svc",
        "pages",
        "audience",
        "join-storm",
        "churn",
    ] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{list}");
        let text = String::from_utf8(load(&["--print-scenario", name]).stdout).unwrap();
        assert!(text.contains(&format!("name = \"{name}\"")), "{text}");
    }
}

#[test]
fn malformed_scenario_is_explained() {
    let file = std::env::temp_dir().join(format!("tacet-malformed-{}.toml", std::process::id()));
    let path = file.to_str().unwrap();
    let head = "name = 'x'\npublishers = 1\nsubscribers = 1\n";
    for (text, explanation) in [
        ("[video]\nframes_per_secnd = 30", "unknown field `frames_per_secnd`"),
        ("[video]\nframes_per_second = 0", "line 5: video.frames_per_second must be 1 to 240"),
        ("[video]\nframes_per_second = 'many'", "line 5"),
        ("[packets]\n[audio]", "line 4: packets are for exact comparisons"),
        ("[join]\nwhen = 'storm'\n[audio]", "over_s"),
        ("", "nothing would be sent"),
    ] {
        std::fs::write(&file, format!("{head}{text}")).unwrap();
        let output = load(&["--scenario", path]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(explanation) && error.contains(path), "{text}: {error}");
    }
    std::fs::remove_file(&file).unwrap();
    let output = load(&["--scenario", "webinr"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("webinr") && error.contains("webinar"), "{error}");
    let output = load(&["--scenario", "everyone", "--pps", "5"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("single packets"));
}

#[test]
fn default_output_is_a_table() {
    let output = load(&["--subscribers", "1", "--seconds", "0.5", "--warmup", "0.2", "--canaries", "0"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for word in ["delivered", "latency", "p99", "server CPU"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn invalid_arguments_are_explained() {
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
