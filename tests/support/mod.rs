//! The built binary as a running server, reached directly or over an impaired network, and temporary directories.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(dead_code, reason = "not every test file uses all of it")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tacet_impair::{Impairment, Relay, RelayConfig};

/// The built binary with these arguments, without the `TACET_*` variables of the test's environment.
pub(crate) fn tacet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tacet"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TACET_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A temporary directory, removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static DIRECTORIES: AtomicUsize = AtomicUsize::new(0);
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tacet-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Path of a file in the directory.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits for a condition. Fails after a minute, which only a fault reaches.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The sum of a metric over its labels.
pub(crate) fn metric(url: &str, name: &str) -> f64 {
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut tcp = TcpStream::connect(authority).unwrap();
    write!(tcp, "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).unwrap();
    let is_of = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(is_of).map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// A server with one room; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// The line that the server printed when it was ready.
    pub(crate) ready: Value,
    /// Link of the room.
    pub(crate) link: String,
    /// UDP port of the first worker.
    pub(crate) media_port: u16,
    /// URL of its metrics; empty if they are disabled.
    pub(crate) metrics: String,
}

impl Server {
    /// Starts `tacet serve` with one worker on free ports of loopback, with metrics and without the page.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let usual = ["--bind", "127.0.0.1", "--no-page", "--metrics", "127.0.0.1:0", "--workers", "1"];
        Self::spawn(&[&usual[..], arguments].concat())
    }

    /// Starts `tacet serve` on free ports and without a data folder unless one is given, otherwise with its defaults.
    pub(crate) fn spawn(arguments: &[&str]) -> Self {
        let usual = ["serve", "--json", "--port", "0", "--media-port", "0", "--log", "warn"];
        let data = if arguments.contains(&"--data") { &[][..] } else { &["--data", "none"] };
        let mut child = tacet(&usual).args(data).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).expect("a line of JSON");
        let link = ready["link"].as_str().unwrap_or_default().to_owned();
        let media_port = ready["media_ports"][0].as_u64().unwrap().try_into().unwrap();
        let metrics = ready["metrics"].as_str().unwrap_or_default().to_owned();
        Self { child, ready, link, media_port, metrics }
    }

    /// Starts a server whose media goes through an impaired network such as `"loss=5%,burst=3,delay=20ms"`, the same in
    /// both directions; signaling is not impaired. The seed makes losses reproducible, as far as the packets are.
    pub(crate) fn start_behind(network: &str, seed: u64, arguments: &[&str]) -> (Self, Relay) {
        let network: Impairment = network.parse().unwrap();
        // Another loopback address, on which the relay stands for the server.
        let server = Self::start(&[&["--advertise", "127.0.0.2"], arguments].concat());
        let at = |ip| SocketAddr::new(ip, server.media_port);
        let [listen, target] = [[127, 0, 0, 2], [127, 0, 0, 1]].map(|ip| at(ip.into()));
        let relay = Relay::start(listen, target, &RelayConfig::new(network, seed)).unwrap();
        (server, relay)
    }

    /// Starts an HTTPS server with a self-signed certificate. Returns its SHA-256 in hex as well.
    pub(crate) fn start_self_signed(arguments: &[&str]) -> (Self, String) {
        let directory = TempDir::new();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.file(name));
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let files = ["--tls-cert", cert.as_str(), "--tls-key", key.as_str()];
        let server = Self::start(&[&files[..], arguments].concat());
        let fingerprint = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, made.cert.der());
        (server, data_encoding::HEXUPPER.encode(fingerprint.as_ref()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
