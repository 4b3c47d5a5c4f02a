//! The built server from start to stop.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(feature = "serve")]

mod support;

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Output},
};
use support::{Server, tacet};
use tacet_proto::{
    ClientEnvelope, ClientMessage, ErrorCode, SUBPROTOCOL, ServerEnvelope, ServerMessage,
    bytes::Fixed,
    client::{Credential, Hello},
};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client, client::IntoClientRequest};

fn outcome(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tacet(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server without metrics.
struct Serve(Server);

impl Serve {
    fn start(arguments: &[&str]) -> Self {
        Self(Server::spawn(&[&["--metrics", "off"], arguments].concat()))
    }

    fn text(&self, field: &str) -> &str {
        self.0.ready[field].as_str().unwrap()
    }

    fn authority(&self) -> &str {
        self.text("url").strip_prefix("http://").unwrap()
    }

    fn get(&self, path: &str) -> (u16, String) {
        let mut tcp = TcpStream::connect(self.authority()).unwrap();
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.authority()).unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// A WebSocket that has sent hello with this access token.
    fn hello(&self, token: [u8; 32]) -> WebSocket<TcpStream> {
        let mut request = format!("ws://{}/v1/ws", self.authority()).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let (mut socket, _) = client(request, TcpStream::connect(self.authority()).unwrap()).unwrap();
        assert!(matches!(next(&mut socket), ServerMessage::Challenge(_)));
        let room = self.text("room").parse().unwrap();
        let credential = Credential::GuestAccess { token: Fixed(token) };
        let hello = Hello { room, credential, client: "test".to_owned(), features: vec![], resume: None };
        let hello = ClientEnvelope { id: Some(1), message: ClientMessage::Hello(hello) };
        socket.send(Message::text(hello.to_json())).unwrap();
        socket
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = self.0.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.child.wait().unwrap().code()
    }
}

fn next(socket: &mut WebSocket<TcpStream>) -> ServerMessage {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return ServerEnvelope::parse(&text).unwrap().message;
        }
    }
}

fn close_code(socket: &mut WebSocket<TcpStream>) -> u16 {
    loop {
        if let Message::Close(frame) = socket.read().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}

/// The invite secret of a link, which must have the expected form.
fn invite(link: &str, url: &str) -> [u8; 32] {
    let (room, secret) = link.strip_prefix(url).unwrap().strip_prefix("/r/").unwrap().split_once('#').unwrap();
    assert_eq!((room.len(), secret.len()), (22, 43));
    Fixed::decode(secret).unwrap().0
}

#[test]
fn printed_link_opens_the_room_and_wrong_secret_does_not() {
    let server = Serve::start(&[]);
    assert_eq!(server.0.ready["pid"], server.0.child.id());
    assert!(server.0.ready["media_ports"].as_array().is_some_and(|ports| !ports.is_empty()));
    let invite = invite(server.text("link"), server.text("url"));

    let mut socket = server.hello(e2ee_frames::access_token(&invite));
    assert!(matches!(next(&mut socket), ServerMessage::Welcome(_)));
    let mut socket = server.hello(invite);
    assert!(matches!(next(&mut socket), ServerMessage::Error(error) if error.code == ErrorCode::Unauthenticated));
    assert_eq!(close_code(&mut socket), 4401);
}

#[test]
fn health_check_and_page_are_served() {
    let server = Serve::start(&[]);
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    let (status, page) = server.get("/r/AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(status, 200);
    assert!(page.to_ascii_lowercase().starts_with("<!doctype html>"), "{page}");
    assert_eq!(server.get("/metrics").0, 404, "metrics are never on the public port");
    let without = Serve::start(&["--no-page"]);
    assert_eq!(without.get("/").0, 404);
}

#[test]
fn sigterm_shuts_down_gracefully() {
    let server = Serve::start(&[]);
    let invite = invite(server.text("link"), server.text("url"));
    let mut socket = server.hello(e2ee_frames::access_token(&invite));
    assert!(matches!(next(&mut socket), ServerMessage::Welcome(_)));
    let client = std::thread::spawn(move || close_code(&mut socket));
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(client.join().unwrap(), 1012);
}

#[test]
fn rooms_are_created_by_command_if_allowed() {
    let open = Serve::start(&[]);
    let (code, link, _) = outcome(&["room", "--server", open.text("url")]);
    assert_eq!(code, Some(0));
    invite(link.trim_end(), open.text("url"));

    let closed = Serve::start(&["--open-rooms", "false", "--api-key", "k3y"]);
    let (code, _, error) = outcome(&["room", "--server", closed.text("url")]);
    assert!(code == Some(1) && error.contains("only the operator of this server creates rooms"), "{error}");
    let (code, link, _) = outcome(&["room", "--server", closed.text("url"), "--api-key", "k3y"]);
    assert_eq!(code, Some(0));
    invite(link.trim_end(), closed.text("url"));
}

#[test]
fn errors_are_one_line_and_a_failure() {
    let server = Serve::start(&[]);
    let taken = server.authority().rsplit_once(':').unwrap().1;
    let media = server.0.ready["media_ports"][0].to_string();
    let file = std::env::temp_dir().join(format!("tacet-test-{}.toml", std::process::id()));
    std::fs::write(&file, "prot = 1").unwrap();
    let file = file.to_str().unwrap();
    let failures: [(&[&str], &str); 9] = [
        (&["serve", "--port", taken], "--port"),
        (&["serve", "--port", "0", "--media-port", &media], "--media-port"),
        (&["serve", "--port", "0", "--metrics", server.authority()], "--metrics"),
        (&["serve", "--port", "0", "--metrics", "192.0.2.1:9464"], "--metrics"),
        (&["serve", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (&["serve", "--config", file], "prot"),
        (&["serve", "--port", "0", "--tls-cert", "/none.pem", "--tls-key", "/none.pem"], "/none.pem"),
        (&["room", "--server", "ftp://127.0.0.1"], "http://"),
        (&["room", "--server", "http://127.0.0.1:1", "--pin", &"0".repeat(64)], "--pin"),
    ];
    for (arguments, hint) in failures {
        let (code, output, error) = outcome(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {output}{error}");
        assert!(error.starts_with("error: ") && error.contains(hint), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    std::fs::remove_file(file).unwrap();
}
