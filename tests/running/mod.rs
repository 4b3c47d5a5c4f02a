//! The built binary as a running server.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

/// A server with a room; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Link of its room.
    pub(crate) link: String,
    /// UDP port of its media.
    #[allow(dead_code, reason = "not every test file looks at it")]
    pub(crate) media_port: u16,
}

impl Server {
    /// Starts `tacet serve` on free ports of loopback.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tacet"))
            .args(["serve", "--json", "--bind", "127.0.0.1", "--port", "0", "--media-port", "0", "--no-page"])
            .args(["--workers", "1", "--log", "warn"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let media_port = ready["media_ports"][0].as_u64().unwrap() as u16;
        Self { child, link: ready["link"].as_str().unwrap().to_owned(), media_port }
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
