//! `tacet doctor`, before a start, beside a server, and from elsewhere.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process::Output,
};
use support::{Server, TempDir, tacet};

fn doctor(arguments: &[&str]) -> Output {
    tacet(&["doctor"]).args(arguments).output().unwrap()
}

/// The grade of each finding, with its text and remedy.
fn findings(arguments: &[&str]) -> Vec<(String, String, String)> {
    let output = doctor(&[arguments, &["--json"]].concat());
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let has_problem = found.iter().any(|finding| finding["grade"] == "problem");
    assert_eq!(output.status.code(), Some(i32::from(has_problem)));
    let all = |finding: &Value| format!("{} {}", text(finding, "text"), text(finding, "remedy"));
    found.iter().map(|finding| (text(finding, "grade"), text(finding, "subject"), all(finding))).collect()
}

fn of<'a>(findings: &'a [(String, String, String)], subject: &str) -> (&'a str, &'a str) {
    let found = findings.iter().find(|(_, name, _)| name.starts_with(subject));
    let (grade, _, text) = found.unwrap_or_else(|| panic!("nothing of {subject} in {findings:?}"));
    (grade, text)
}

#[test]
fn port_of_another_program_is_named_with_what_to_do() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let [page, media] = [tcp.local_addr().unwrap(), udp.local_addr().unwrap()].map(|at| at.port().to_string());
    // It accepts a connection and says nothing.
    let silent = std::thread::spawn(move || drop(tcp.accept().unwrap()));
    let found = findings(&["--data", "none", "--port", &page, "--media-port", &media, "--workers", "1"]);
    let (grade, text) = of(&found, "TCP 127.0.0.1");
    assert!(grade == "problem" && text.contains("another program") && text.contains("--port"), "{found:?}");
    assert_eq!(of(&found, "UDP 127.0.0.1").0, "problem");
    assert_eq!(of(&found, "data folder").0, "warning");
    silent.join().unwrap();
}

#[test]
fn running_server_is_recognised() {
    let folder = TempDir::new();
    let data = folder.file("data");
    let server = Server::start(&["--data", &data]);
    let port = server.link.split("/r/").next().unwrap().rsplit(':').next().unwrap();
    let media = server.media_port.to_string();
    let found = findings(&["--data", &data, "--port", port, "--media-port", &media, "--workers", "1"]);
    for subject in ["data folder", "TCP", "UDP"] {
        let (grade, text) = of(&found, subject);
        assert!(grade == "ok" && text.contains("the server that runs"), "{subject}: {found:?}");
    }
}

#[test]
fn server_is_tried_from_elsewhere() {
    let (server, pin) = Server::start_self_signed(&[]);
    let origin = server.link.split("/r/").next().unwrap();
    let found = findings(&["--server", origin, "--pin", &pin]);
    assert_eq!(["name", "HTTPS", "WebSocket"].map(|subject| of(&found, subject).0), ["ok"; 3], "{found:?}");
    let found = findings(&["--server", origin]);
    let (grade, text) = of(&found, "HTTPS");
    assert!(grade == "problem" && text.contains("certificate"), "{found:?}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = findings(&["--server", &format!("http://{closed}")]);
    assert!(of(&found, "HTTP").1.contains("firewall"), "{found:?}");
}

#[test]
fn wrong_setting_is_named_with_file_and_line() {
    let folder = TempDir::new();
    let path = folder.file("tacet.toml");
    fs::write(&path, "port = 8800\nprot = 1\n").unwrap();
    let output = doctor(&["--config", &path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("PROBLEM  settings") && text.contains(&path) && text.contains("line 2"), "{text}");
}
