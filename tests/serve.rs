//! The built binary as its users meet it: started, asked, stopped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(feature = "serve")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, ErrorCode, SUBPROTOCOL, ServerEnvelope, ServerMessage,
    bytes::Fixed,
    client::{Credential, Hello},
};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client, client::IntoClientRequest};

const TACET: &str = env!("CARGO_BIN_EXE_tacet");

/// A command that sees no setting of whoever runs the tests.
fn tacet(arguments: &[&str]) -> Command {
    let mut command = Command::new(TACET);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TACET_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn outcome(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tacet(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server on free ports of loopback, killed when the test ends.
struct Server {
    child: Child,
    ready: serde_json::Value,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut child =
            tacet(&["serve", "--json", "--port", "0", "--media-port", "0", "--metrics", "off", "--log", "warn"])
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).expect("a line of JSON") }
    }

    fn text(&self, field: &str) -> &str {
        self.ready[field].as_str().unwrap()
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

    /// A WebSocket that has said hello with this access token.
    fn hello(&self, token: [u8; 32]) -> WebSocket<TcpStream> {
        let mut request = format!("ws://{}/v1/ws", self.authority()).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let (mut socket, _) = client(request, TcpStream::connect(self.authority()).unwrap()).unwrap();
        assert!(matches!(next(&mut socket), ServerMessage::Challenge(_)));
        let room = self.text("room").parse().unwrap();
        let credential = Credential::GuestAccess { token: Fixed(token) };
        let hello = Hello { room, credential, client: "test".to_owned(), features: vec![] };
        let hello = ClientEnvelope { id: Some(1), message: ClientMessage::Hello(hello) };
        socket.send(Message::text(hello.to_json())).unwrap();
        socket
    }

    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

/// The invite secret of a link, which must have the form that clients expect.
fn invite(link: &str, url: &str) -> [u8; 32] {
    let (room, secret) = link.strip_prefix(url).unwrap().strip_prefix("/r/").unwrap().split_once('#').unwrap();
    assert_eq!((room.len(), secret.len()), (22, 43));
    Fixed::decode(secret).unwrap().0
}

#[test]
fn the_printed_link_opens_the_room_and_another_secret_does_not() {
    let server = Server::start(&[]);
    assert_eq!(server.ready["pid"], server.child.id());
    assert!(server.ready["media_ports"].as_array().is_some_and(|ports| !ports.is_empty()));
    let invite = invite(server.text("link"), server.text("url"));

    let mut socket = server.hello(e2ee_frames::access_token(&invite));
    assert!(matches!(next(&mut socket), ServerMessage::Welcome(_)));
    let mut socket = server.hello(invite);
    assert!(matches!(next(&mut socket), ServerMessage::Error(error) if error.code == ErrorCode::Unauthenticated));
    assert_eq!(close_code(&mut socket), 4401);
}

#[test]
fn the_server_answers_for_its_health_and_serves_a_page() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/healthz"), (200, "ok\n".to_owned()));
    let (status, page) = server.get("/r/AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(status, 200);
    assert!(page.to_ascii_lowercase().starts_with("<!doctype html>"), "{page}");
    assert_eq!(server.get("/metrics").0, 404, "metrics are never on the public port");
    let without = Server::start(&["--no-page"]);
    assert_eq!(without.get("/").0, 404);
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let server = Server::start(&[]);
    let invite = invite(server.text("link"), server.text("url"));
    let mut socket = server.hello(e2ee_frames::access_token(&invite));
    assert!(matches!(next(&mut socket), ServerMessage::Welcome(_)));
    let client = std::thread::spawn(move || close_code(&mut socket));
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(client.join().unwrap(), 1001);
}

#[test]
fn more_rooms_are_made_by_command_if_the_server_lets() {
    let open = Server::start(&[]);
    let (code, link, _) = outcome(&["room", "--server", open.text("url")]);
    assert_eq!(code, Some(0));
    invite(link.trim_end(), open.text("url"));

    let closed = Server::start(&["--open-rooms", "false", "--api-key", "k3y"]);
    let (code, _, error) = outcome(&["room", "--server", closed.text("url")]);
    assert!(code == Some(1) && error.contains("only the operator of this server creates rooms"), "{error}");
    let (code, link, _) = outcome(&["room", "--server", closed.text("url"), "--api-key", "k3y"]);
    assert_eq!(code, Some(0));
    invite(link.trim_end(), closed.text("url"));
}

#[test]
fn what_cannot_work_is_one_clear_line_and_a_failure() {
    let server = Server::start(&[]);
    let taken = server.authority().rsplit_once(':').unwrap().1;
    let media = server.ready["media_ports"][0].to_string();
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
