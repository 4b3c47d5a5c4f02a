//! Certificate files that change while the server runs.

#![cfg(all(feature = "serve", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName},
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    sync::Arc,
};
use support::{Server, TempDir, until};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A server with certificate files that a test replaces.
struct Https {
    server: Server,
    files: TempDir,
    certificate: CertificateDer<'static>,
}

impl Https {
    fn start() -> Self {
        let files = TempDir::new();
        let certificate = write(&files);
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| files.file(name));
        let server = Server::start(&["--tls-cert", &cert, "--tls-key", &key]);
        Self { server, files, certificate }
    }

    /// Connects, if the server shows this certificate.
    fn connect(&self, certificate: &CertificateDer<'static>) -> std::io::Result<Stream> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let authority = self.server.ready["url"].as_str().unwrap().strip_prefix("https://").unwrap();
        let connection = ClientConnection::new(config, ServerName::try_from("127.0.0.1").unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(authority)?);
        healthy(&mut stream)?;
        Ok(stream)
    }

    fn hangup(&self) {
        let pid = self.server.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
}

/// Writes a new certificate and its key.
fn write(files: &TempDir) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::write(files.file("cert.pem"), made.cert.pem()).unwrap();
    fs::write(files.file("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Sends a request on a connection that stays open.
fn healthy(stream: &mut Stream) -> std::io::Result<()> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(())
}

#[test]
fn hangup_reloads_the_certificate_and_connections_go_on() {
    let https = Https::start();
    let mut old = https.connect(&https.certificate).unwrap();
    let new = write(&https.files);
    https.hangup();
    until("the new certificate is shown", || https.connect(&new).is_ok());
    assert!(https.connect(&https.certificate).is_err(), "the old one is not shown any more");
    healthy(&mut old).unwrap();
}

#[test]
fn changed_files_are_noticed() {
    let https = Https::start();
    let new = write(&https.files);
    until("the new certificate is shown", || https.connect(&new).is_ok());
}

#[test]
fn broken_files_keep_the_certificate_in_use() {
    let https = Https::start();
    fs::write(https.files.file("key.pem"), "nonsense").unwrap();
    for _ in 0..3 {
        https.hangup();
        https.connect(&https.certificate).unwrap();
    }
    let new = write(&https.files);
    https.hangup();
    until("the mended certificate is shown", || https.connect(&new).is_ok());
}

#[test]
fn hangup_without_certificate_files_changes_nothing() {
    let server = Server::start(&[]);
    let pid = server.child.id().to_string();
    for _ in 0..3 {
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        assert!(support::metric(&server.metrics, "tacet_build_info") > 0.0, "the server runs");
    }
}
