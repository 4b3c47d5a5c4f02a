//! The built binary as a running server, reached directly or through a bad network.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};
use tacet_impair::{Impairment, Relay, RelayConfig};

/// A server with a room; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Link of its room.
    pub(crate) link: String,
    /// UDP port of its one worker.
    #[allow(dead_code, reason = "not every test file looks at it")]
    pub(crate) media_port: u16,
    /// Where its metrics are.
    #[allow(dead_code, reason = "not every test file looks at it")]
    pub(crate) metrics: String,
}

impl Server {
    /// Starts `tacet serve` on free ports of loopback.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tacet"))
            .args(["serve", "--json", "--bind", "127.0.0.1", "--port", "0", "--media-port", "0", "--no-page"])
            .args(["--metrics", "127.0.0.1:0", "--workers", "1", "--log", "warn"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let link = ready["link"].as_str().unwrap().to_owned();
        let media_port = ready["media_ports"][0].as_u64().unwrap().try_into().unwrap();
        let metrics = ready["metrics"].as_str().unwrap().to_owned();
        Self { child, link, media_port, metrics }
    }

    /// Starts one whose media goes through a network such as `"loss=5%,burst=3,delay=20ms"`, the same in both
    /// directions; signaling does not. The seed makes the losses the same in each run, as far as the packets are.
    #[allow(dead_code, reason = "not every test file has one")]
    pub(crate) fn start_behind(network: &str, seed: u64, arguments: &[&str]) -> (Self, Relay) {
        let network: Impairment = network.parse().unwrap();
        // Another address of loopback, which stands for the server at the other end.
        let server = Self::start(&[&["--advertise", "127.0.0.2"], arguments].concat());
        let at = |ip| SocketAddr::new(ip, server.media_port);
        let [listen, target] = [[127, 0, 0, 2], [127, 0, 0, 1]].map(|ip| at(ip.into()));
        let relay = Relay::start(listen, target, &RelayConfig::new(network, seed)).unwrap();
        (server, relay)
    }

    /// Starts one that speaks HTTPS with a certificate of its own; gives its SHA-256 as well, in hex.
    #[allow(dead_code, reason = "not every test file has one")]
    pub(crate) fn start_self_signed(arguments: &[&str]) -> (Self, String) {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("tacet-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(unique);
        fs::create_dir_all(&folder).unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let files = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let server = Self::start(&[&files[..], arguments].concat());
        fs::remove_dir_all(&folder).unwrap();
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
