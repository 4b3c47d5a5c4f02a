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
        self.hello_to(self.text("room"), token)
    }

    /// A WebSocket that has sent hello to a room with this access token.
    fn hello_to(&self, room: &str, token: [u8; 32]) -> WebSocket<TcpStream> {
        let mut request = format!("ws://{}/v1/ws", self.authority()).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let (mut socket, _) = client(request, TcpStream::connect(self.authority()).unwrap()).unwrap();
        assert!(matches!(next(&mut socket), ServerMessage::Challenge(_)));
        let room = room.parse().unwrap();
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

    let key = "correct horse battery";
    let closed = Serve::start(&["--open-rooms", "false", "--api-key", key]);
    let (code, _, error) = outcome(&["room", "--server", closed.text("url")]);
    assert!(code == Some(1) && error.contains("only the operator of this server creates rooms"), "{error}");
    let (code, link, _) = outcome(&["room", "--server", closed.text("url"), "--api-key", key, "--qr"]);
    assert_eq!(code, Some(0));
    let (link, code) = link.split_once('\n').unwrap();
    invite(link, closed.text("url"));
    assert!(code.lines().count() > 20, "{code}");
}

#[test]
fn errors_are_one_line_and_a_failure() {
    let server = Serve::start(&[]);
    let taken = server.authority().rsplit_once(':').unwrap().1;
    let media = server.0.ready["media_ports"][0].to_string();
    let file = std::env::temp_dir().join(format!("tacet-test-{}.toml", std::process::id()));
    std::fs::write(&file, "prot = 1").unwrap();
    let file = file.to_str().unwrap();
    let data = support::TempDir::new();
    let in_use = Serve::start(&["--data", data.path().to_str().unwrap()]);
    let next_port: u16 = in_use.0.media_port;
    let failures: [(&[&str], &str); 17] = [
        (&["serve", "--data", "none", "--port", taken], "--port"),
        (&["serve", "--data", "none", "--port", "0", "--metrics", "off", "--media-port", &media], &format!(":{media}")),
        (&["serve", "--data", "none", "--port", "0", "--metrics", server.authority()], "--metrics"),
        (&["serve", "--data", "none", "--port", "0", "--metrics", "192.0.2.1:9464"], "--metrics"),
        (&["serve", "--config", "/nonexistent.toml"], "/nonexistent.toml"),
        (&["serve", "--config", file], "prot"),
        (&["serve", "--data", "none", "--port", "0", "--tls-cert", "/none.pem", "--tls-key", "/none.pem"], "/none.pem"),
        (&["serve", "--data", data.path().to_str().unwrap(), "--port", "0"], "--data"),
        (&["serve", "--data", "/proc/none", "--port", "0"], "/proc/none"),
        (
            &["serve", "--data", "none", "--bind", "0.0.0.0", "--advertise", "::1"],
            "--advertise ::1 is an address of IPv6",
        ),
        (&["serve", "--data", "none", "--public-url", "https://example.org/call"], "/call"),
        (&["serve", "--data", "none", "--trusted-proxy", "proxy"], "proxy"),
        (&["serve", "--data", "none", "--api-key", "fifteen bytes.."], "at least 16"),
        (&["serve", "--data", "", "--port", "0"], "--data"),
        (
            // The port of the second worker is in use.
            &[
                "serve",
                "--data",
                "none",
                "--port",
                "0",
                "--metrics",
                "off",
                "--workers",
                "2",
                "--media-port",
                &(next_port - 1).to_string(),
            ],
            &format!(":{next_port}, the port of media worker 2 of 2"),
        ),
        (&["room", "--server", "ftp://127.0.0.1"], "http://"),
        (&["room", "--server", "http://127.0.0.1:1", "--pin", &"0".repeat(64)], "--pin"),
    ];
    for (arguments, hint) in failures {
        let (code, output, error) = outcome(arguments);
        assert!(matches!(code, Some(1 | 2)), "{arguments:?}: {output}{error}");
        assert!(error.starts_with("error: ") && error.contains(hint), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    std::fs::remove_file(file).unwrap();
}

/// A link that was sent before the server was killed leads to its room afterwards.
#[test]
fn links_outlive_a_killed_server() {
    let data = support::TempDir::new();
    let folder = ["--data", data.path().to_str().unwrap()];
    let mut first = Serve::start(&folder);
    let token = e2ee_frames::access_token(&invite(first.text("link"), first.text("url")));
    let room = first.text("room").to_owned();
    first.0.child.kill().unwrap();
    first.0.child.wait().unwrap();

    let second = Serve::start(&folder);
    assert_ne!(second.text("room"), room, "each start prints the link of a new room");
    assert!(matches!(next(&mut second.hello_to(&room, token)), ServerMessage::Welcome(_)));
    let mut wrong = second.hello_to(&room, [0; 32]);
    assert!(matches!(next(&mut wrong), ServerMessage::Error(error) if error.code == ErrorCode::Unauthenticated));
}

#[test]
fn without_a_data_folder_links_end_with_the_server() {
    let first = Serve::start(&["--data", "none"]);
    let (room, token) = (first.text("room").to_owned(), [0; 32]);
    assert_eq!(first.0.ready.get("data"), None);
    drop(first);
    let second = Serve::start(&["--data", "none"]);
    let mut socket = second.hello_to(&room, token);
    assert!(matches!(next(&mut socket), ServerMessage::Error(error) if error.code == ErrorCode::NoRoom));
}

/// Users who chose to trust the self-signed certificate are not asked again after a restart.
#[test]
fn self_signed_certificate_outlives_the_server() {
    let data = support::TempDir::new();
    let shown = |folder: &str| {
        let server = Serve::start(&["--bind", "0.0.0.0", "--advertise", "127.0.0.1", "--data", folder]);
        assert!(server.text("url").starts_with("https://127.0.0.1:"));
        server.text("fingerprint").to_owned()
    };
    let folder = data.path().to_str().unwrap();
    let first = shown(folder);
    assert_eq!(shown(folder), first);
    assert_ne!(shown("none"), first);
}

/// On a real file system that is full, a new room is refused by 507, and existing ones are served.
#[test]
#[cfg(target_os = "linux")]
fn full_disk_refuses_new_rooms_and_keeps_the_others() {
    let data = support::TempDir::new();
    let folder = data.path().to_str().unwrap().to_owned();
    // Mounted in a namespace of its process only.
    let mount = "mount -t tmpfs -o size=64k tmpfs $0 && exec \"$@\"";
    let user = if is_root() { "-m" } else { "-Urm" };
    let arguments = ["serve", "--json", "--port", "0", "--media-port", "0", "--metrics", "off", "--workers", "1"];
    let mut child = Command::new("unshare")
        .args([user, "sh", "-c", mount, &folder, env!("CARGO_BIN_EXE_tacet")])
        .args(arguments)
        .args(["--no-page", "--log", "off", "--data", &folder])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = ready["url"].as_str().unwrap().to_owned();
    let server = Serve(Server {
        link: ready["link"].as_str().unwrap().to_owned(),
        media_port: 0,
        metrics: String::new(),
        child,
        ready,
    });
    let mut rooms = 0;
    let refusal = loop {
        let (code, link, error) = outcome(&["room", "--server", &url]);
        if code != Some(0) {
            break error;
        }
        invite(link.trim_end(), &url);
        rooms += 1;
        assert!(rooms < 1_000, "64 kB hold all of these rooms");
    };
    assert!(rooms > 0 && refusal.contains("507"), "{rooms} rooms: {refusal}");
    assert_eq!(server.get("/healthz").0, 200);
    let room = server.text("room").to_owned();
    let token = e2ee_frames::access_token(&invite(server.text("link"), &url));
    assert!(matches!(next(&mut server.hello_to(&room, token)), ServerMessage::Welcome(_)), "existing rooms are served");
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0"))
}

/// The soft limit of 64 open files is no limit.
#[test]
#[cfg(target_os = "linux")]
fn soft_limit_of_open_files_is_raised() {
    let server = limited("ulimit -Sn 64");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.0.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|column| line.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard, "{line}");
}

/// A server under a limit that the shell sets first.
#[cfg(target_os = "linux")]
fn limited(limit: &str) -> Serve {
    let mut child = Command::new("sh")
        .args(["-c", &format!("{limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tacet"), "serve", "--json"])
        .args(["--port", "0", "--media-port", "0", "--workers", "1", "--data", "none", "--metrics", "127.0.0.1:0"])
        .args(["--log", "warn"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let metrics = ready["metrics"].as_str().unwrap().to_owned();
    Serve(Server { link: ready["link"].as_str().unwrap().to_owned(), media_port: 0, metrics, child, ready })
}

/// With as many connections as it has files for, the server says so once, serves others, and keeps files for itself.
#[test]
#[cfg(target_os = "linux")]
fn full_server_says_so_and_serves_others() {
    let mut server = limited("ulimit -n 64");
    let mut crowd: Vec<TcpStream> = Vec::new();
    let mut log = std::io::BufReader::new(server.0.child.stderr.take().unwrap());
    for _ in 0..100 {
        crowd.push(TcpStream::connect(server.authority()).unwrap());
    }
    let mut line = String::new();
    while !line.contains("too many connections") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0, "the server ended");
    }
    assert_eq!(server.get("/healthz").0, 200, "while the crowd is there");
    let metric = |name: &str| support::metric(&server.0.metrics, name);
    assert!(metric("tacet_signaling_sockets_most") < 48.0);
    assert!(metric("tacet_signaling_sockets_replaced_total") >= 52.0);
    assert!(metric("tacet_signaling_accept_errors_total") < 1.0, "it never ran out");
    drop(crowd);
    server.0.child.kill().unwrap();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("too many connections"), "once a minute: {rest}");
}

/// Behind a proxy on the same machine: plain HTTP, the public name in the link, and the page of that name is allowed.
#[test]
fn server_behind_a_proxy_has_its_public_name() {
    let public = ["--public-url", "https://call.example.org", "--trusted-proxy", "127.0.0.1"];
    let server =
        Server::spawn(&[&["--metrics", "off", "--listen", "127.0.0.1", "--bind", "0.0.0.0"], &public[..]].concat());
    assert_eq!(server.ready["url"], "https://call.example.org");
    assert_eq!(server.ready.get("fingerprint"), None);
}

/// All that a server prints until it is stopped, and what it logs.
fn printed(arguments: &[&str]) -> (String, String) {
    let usual = ["serve", "--port", "0", "--media-port", "0", "--workers", "1", "--metrics", "off", "--log", "debug"];
    let mut command = tacet(&usual);
    if !arguments.contains(&"--data") {
        command.args(["--data", "none"]);
    }
    let piped = std::process::Stdio::piped;
    let mut child = command.args(arguments).stdout(piped()).stderr(piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut output = String::new();
    while !output.contains("Ctrl-C") {
        assert!(std::io::BufRead::read_line(&mut lines, &mut output).unwrap() > 0, "the server ended: {output}");
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let log = child.wait_with_output().unwrap().stderr;
    (output, String::from_utf8(log).unwrap())
}

/// Journals and container logs keep what a server prints. A link in them would let their readers join, and with the server
/// stand between two participants.
#[test]
fn server_for_others_draws_no_secret() {
    let is_base64url = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let secret = |text: &str| text.split('#').skip(1).any(|rest| rest.starts_with(is_base64url));
    let ways: [&[&str]; 6] = [
        &["--bind", "0.0.0.0", "--advertise", "127.0.0.1"],
        &["--public-url", "https://call.example.org"],
        &["--trusted-proxy", "127.0.0.1"],
        &["--bind", "0.0.0.0", "--advertise", "127.0.0.1", "--open-rooms"],
        &["--bind", "0.0.0.0", "--listen", "127.0.0.1", "--advertise", "127.0.0.1"],
        &["--allow-host", "call.example.org"],
    ];
    for way in ways {
        let (output, log) = printed(way);
        assert!(!secret(&output) && !output.contains("/r/"), "{output}");
        assert!(!secret(&log) && !log.contains("/r/"), "{log}");
        assert!(output.contains("tacet room --server https://") || output.contains("tacet room --server http://"));
        let server = Serve::start(way);
        assert!(server.0.ready.get("link").is_none() && server.0.ready.get("room").is_none(), "{}", server.0.ready);
    }
    let (output, _) = printed(ways[0]);
    assert!(output.contains("TACET_API_KEY"), "{output}");
    let (output, log) = printed(&[]);
    assert!(secret(&output), "on loopback, server and user are one: {output}");
    assert!(!secret(&log), "{log}");
}

/// The command that the server prints creates a room on it.
#[test]
fn printed_command_creates_a_room() {
    let key = "correct horse battery";
    let server = Serve::start(&["--bind", "0.0.0.0", "--advertise", "127.0.0.1", "--api-key", key]);
    let pin = server.text("fingerprint").replace(':', "");
    let (code, link, error) = outcome(&["room", "--server", server.text("url"), "--pin", &pin, "--api-key", key]);
    assert_eq!(code, Some(0), "{error}");
    invite(link.trim_end(), server.text("url"));
}
