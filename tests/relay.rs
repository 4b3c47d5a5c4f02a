//! `tacet relay` from start to stop: between two sockets, and between the bots of a load test and their server.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::{SocketAddr, UdpSocket},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};
use support::Server;

const TACET: &str = env!("CARGO_BIN_EXE_tacet");

/// A relay that takes commands; killed when dropped.
struct Relay {
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    ready: Value,
}

impl Relay {
    fn start(to: SocketAddr, options: &[&str]) -> Self {
        let mut child = Command::new(TACET)
            .args(["relay", "--json", "--listen", "127.0.0.1:0", "--to", &to.to_string()])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        Self { child, commands, lines, ready }
    }

    fn address(&self) -> SocketAddr {
        self.ready["listen"][0].as_str().unwrap().parse().unwrap()
    }

    fn next_line(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    fn command(&mut self, command: &str) -> Value {
        writeln!(self.commands, "{command}").unwrap();
        self.next_line()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

#[test]
fn relay_announces_runs_commands_and_reports() {
    let server = socket();
    let mut relay = Relay::start(server.local_addr().unwrap(), &["--delay", "5ms", "--up", "delay=1ms", "--seed", "9"]);
    let words = ["up", "down", "to"].map(|name| relay.ready[name].clone());
    assert_eq!(words, ["delay=1ms".into(), "delay=5ms".into(), serde_json::json!([server.local_addr().unwrap()])]);
    assert_eq!((&relay.ready["seed"], &relay.ready["pid"]), (&9.into(), &relay.child.id().into()));

    let client = socket();
    client.connect(relay.address()).unwrap();
    client.send(b"to the server").unwrap();
    let mut buffer = [0; 100];
    let (length, first) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"to the server");
    server.send_to(b"and back", first).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 8);

    assert_eq!(relay.command("change-addresses")["changed"], 1);
    client.send(b"again").unwrap();
    let (_, second) = server.recv_from(&mut buffer).unwrap();
    assert_ne!(first, second);

    assert_eq!(relay.command("set down loss=100%")["set"]["down"], "loss=100%,delay=5ms");
    assert!(relay.command("set down loss").as_object().unwrap().contains_key("error"));
    let stats = relay.command("stats")["stats"].clone();
    assert_eq!(
        (&stats["up"]["forwarded"], &stats["clients"], &stats["address_changes"]),
        (&2.into(), &1.into(), &1.into())
    );

    let kill = Command::new("kill").args(["-TERM", &relay.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(relay.next_line()["stats"], stats);
    assert!(relay.child.wait().unwrap().success());
}

#[test]
fn invalid_settings_are_explained() {
    let refused = |options: &[&str]| {
        let output = Command::new(TACET).arg("relay").args(options).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let paths = ["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9"];
    let error = refused(&[&paths[..], &["--loss", "90%", "--burst", "3"]].concat());
    assert!(error.contains("at least 9.00"), "{error}");
    let error = refused(&[&paths[..], &["--down", "los=3%"]].concat());
    assert!(error.contains("--down") && error.contains("los=3%"), "{error}");
    let taken = socket();
    let error = refused(&["--listen", &taken.local_addr().unwrap().to_string(), "--to", "127.0.0.1:9"]);
    assert!(error.contains("cannot listen"), "{error}");
}

#[test]
fn bots_recover_from_burst_losses() {
    let (server, relay) = Server::start_behind("loss=5%,burst=3,delay=5ms,jitter=2ms", 5, &["--adapt-video=false"]);
    let call = ["load", "--server", &server.link, "--publishers", "1", "--subscribers", "2", "--canaries", "1"];
    let run = ["--pps", "200", "--warmup", "0.5", "--seconds", "3", "--json"];
    let output = Command::new(TACET).args(call).args(run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {report}"));

    let stats = relay.stats();
    assert!(stats.up.lost > 10 && stats.down.lost > 30, "{stats}");
    assert_eq!(stats.clients, 4, "one address per bot");
    // The last packets may still be on the way, and NACKs may be late on a busy machine.
    assert!(count("delivered") * 100 >= count("expected") * 97, "{stats}\n{report}");
    assert_eq!(count("undecryptable"), 0);
}
