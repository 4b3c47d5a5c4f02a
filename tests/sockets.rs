//! Connections that do nothing, more than the server has files for, from one address and from many. Meanwhile the page, the
//! API and calls work for others.
//!
//! The server runs under systemd's default of 1,024 open files, soft and hard. Addresses are those of loopback.

#![cfg(all(feature = "serve", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod support;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::ServerName};
use serde_json::Value;
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use support::{TempDir, metric, until};
use tacet_proto::{
    ClientEnvelope, ClientMessage, SUBPROTOCOL, ServerEnvelope, ServerMessage,
    bytes::Fixed,
    client::{Credential, Hello},
};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client, client::IntoClientRequest};

const FILES: usize = 1_024;
const CROWD: u32 = 1_100;
/// In which others are served. Without limits they are not served at all.
const PROMPT: Duration = Duration::from_secs(5);
const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What a connection sends before it falls silent.
#[derive(Clone, Copy, Debug)]
enum Silence {
    Tcp,
    OneByte,
    PartOfHead,
    Http2Preface,
    Http2Settings,
    PostWithoutBody,
    PartOfTls,
    AfterTls,
    WebSocket,
}

impl Silence {
    const PLAIN: [Self; 7] = [
        Self::Tcp,
        Self::OneByte,
        Self::PartOfHead,
        Self::Http2Preface,
        Self::Http2Settings,
        Self::PostWithoutBody,
        Self::WebSocket,
    ];
    const TLS: [Self; 2] = [Self::PartOfTls, Self::AfterTls];

    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Tcp | Self::AfterTls => Vec::new(),
            Self::OneByte => b"G".to_vec(),
            Self::PartOfHead => b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(),
            Self::Http2Preface => b"PRI * HTTP/2.0\r\n\r\nSM".to_vec(),
            Self::Http2Settings => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
            Self::PostWithoutBody => {
                b"POST /v1/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{".to_vec()
            }
            Self::PartOfTls => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            Self::WebSocket => format!(
                "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
            )
            .into_bytes(),
        }
    }
}

/// A server under the limit of files. `TACET_BINARY` names another binary to attack.
struct Target {
    child: Child,
    ready: Value,
    tls: Option<Arc<ClientConfig>>,
    _files: TempDir,
}

impl Target {
    fn start(files: usize, with_tls: bool, arguments: &[&str]) -> Self {
        let binary = std::env::var("TACET_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tacet").to_owned());
        let directory = TempDir::new();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.file(name));
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let limit = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        let tls = ["--tls-cert", &cert, "--tls-key", &key];
        let mut child = Command::new("sh")
            .args(["-c", &limit, &binary, "serve", "--json", "--port", "0", "--media-port", "0", "--workers", "1"])
            .args(["--data", "none", "--metrics", "127.0.0.1:0", "--log", "error"])
            .args(if with_tls { &tls[..] } else { &[] })
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let tls = with_tls.then(|| {
            let mut roots = RootCertStore::empty();
            roots.add(made.cert.der().clone()).unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            Arc::new(config.with_root_certificates(roots).with_no_client_auth())
        });
        Self { child, ready: serde_json::from_str(&line).unwrap(), tls, _files: directory }
    }

    fn address(&self) -> SocketAddr {
        self.ready["url"].as_str().unwrap().rsplit_once('/').unwrap().1.parse().unwrap()
    }

    fn metrics(&self) -> &str {
        self.ready["metrics"].as_str().unwrap()
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Resident memory in kB.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn tls(&self, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
        let Some(config) = &self.tls else { return Ok(Box::new(tcp)) };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Box::new(stream))
    }

    /// Opens connections that fall silent, as far as the server lets them. `from` is the address of each.
    fn crowd(&self, kind: Silence, from: impl Fn(u32) -> IpAddr) -> Vec<Box<dyn Stream>> {
        let connect = |number| {
            let tcp = connect(from(number), self.address(), Duration::from_secs(1)).ok()?;
            let mut stream: Box<dyn Stream> =
                if matches!(kind, Silence::AfterTls) { self.tls(tcp).ok()? } else { Box::new(tcp) };
            let _ = stream.write_all(&kind.bytes());
            Some(stream)
        };
        (0..CROWD).filter_map(connect).collect()
    }

    /// How long someone at this address waits for the page, for a room, and for a place in a call.
    fn serves(&self, from: IpAddr) -> io::Result<[Duration; 3]> {
        let request = |text: String| -> io::Result<(String, Duration)> {
            let begun = Instant::now();
            let mut stream = self.tls(connect(from, self.address(), PROMPT)?)?;
            stream.write_all(text.as_bytes())?;
            let mut answer = String::new();
            // With TLS, the end may come without close_notify.
            let _ = stream.read_to_string(&mut answer);
            Ok((answer, begun.elapsed()))
        };
        let head = format!("HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address());
        let (page, for_page) = request(format!("GET / {head}\r\n"))?;
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("<!doctype html>"), "{page}");
        let body = format!("{{\"access_hash\":\"{}\"}}", "A".repeat(43));
        let (room, for_room) = request(format!("POST /v1/rooms {head}Content-Length: {}\r\n\r\n{body}", body.len()))?;
        assert!(room.starts_with("HTTP/1.1 201"), "{room}");
        let begun = Instant::now();
        self.join(from)?;
        Ok([for_page, for_room, begun.elapsed()])
    }

    /// A WebSocket that is welcome in the room of the link.
    fn join(&self, from: IpAddr) -> io::Result<WebSocket<Box<dyn Stream>>> {
        let (room, secret) =
            self.ready["link"].as_str().unwrap().rsplit_once("/r/").unwrap().1.split_once('#').unwrap();
        self.join_room(from, room, e2ee_frames::access_token(&Fixed::decode(secret).unwrap().0))
    }

    /// Creates a room that this token opens.
    fn make_room(&self, from: IpAddr, token: [u8; 32]) -> String {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &token);
        let hash = Fixed::<32>(hash.as_ref().try_into().unwrap()).encode();
        let body = format!("{{\"access_hash\":\"{hash}\"}}");
        let mut stream = self.tls(connect(from, self.address(), PROMPT).unwrap()).unwrap();
        let head = format!("Host: {}\r\nConnection: close\r\nContent-Length: {}", self.address(), body.len());
        write!(stream, "POST /v1/rooms HTTP/1.1\r\n{head}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        answer["room"].as_str().unwrap().to_owned()
    }

    /// A WebSocket that is welcome in this room.
    fn join_room(&self, from: IpAddr, room: &str, token: [u8; 32]) -> io::Result<WebSocket<Box<dyn Stream>>> {
        let mut request = format!("ws://{}/v1/ws", self.address()).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let stream = self.tls(connect(from, self.address(), PROMPT)?)?;
        let (mut socket, _) = client(request, stream).map_err(|error| io::Error::other(error.to_string()))?;
        let credential = Credential::GuestAccess { token: Fixed(token) };
        let room = room.parse().unwrap();
        let hello = Hello { room, credential, client: "test".to_owned(), features: vec![], resume: None };
        let hello = ClientEnvelope { id: Some(1), message: ClientMessage::Hello(hello) };
        socket.send(Message::text(hello.to_json())).map_err(io::Error::other)?;
        loop {
            if let Message::Text(text) = socket.read().map_err(io::Error::other)? {
                match ServerEnvelope::parse(&text).unwrap().message {
                    ServerMessage::Welcome(_) => return Ok(socket),
                    ServerMessage::Challenge(_) => {}
                    other => return Err(io::Error::other(format!("{other:?}"))),
                }
            }
        }
    }

    /// Fails unless others are served while the crowd is there.
    fn holds(&self, kind: Silence, from: impl Fn(u32) -> IpAddr) {
        let crowd = self.crowd(kind, from);
        let times = self.serves(OTHER).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        println!("{kind:?}: page, room and call in {times:?}, {} files open", self.open_files());
        assert!(times.iter().all(|time| *time < PROMPT), "{kind:?}: {times:?}");
        assert!(self.open_files() < FILES - FILES / 20, "a reserve is left: {}", self.open_files());
        drop(crowd);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection from one of this machine's addresses.
fn connect(from: IpAddr, to: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        tokio::time::timeout(patience, socket.connect(to)).await.map_err(io::Error::other)??.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// The test needs more files than the server has.
fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Before there were limits: 1,024 files open, and no answer to anyone for as long as the crowd stayed.
#[test]
fn idle_connections_of_one_address_hurt_no_one_else() {
    raise_own_limit();
    let server = Target::start(FILES, false, &[]);
    for kind in Silence::PLAIN {
        server.holds(kind, |_| ATTACKER);
    }
    let most = metric(server.metrics(), "tacet_signaling_sockets_most");
    assert!((700.0..=922.0).contains(&most), "{most}: a tenth is kept for the server");
    assert!(metric(server.metrics(), "tacet_signaling_sockets_replaced_total") > 0.0);
}

#[test]
fn idle_connections_over_tls_hurt_no_one_else() {
    raise_own_limit();
    let server = Target::start(FILES, true, &[]);
    for kind in Silence::TLS {
        server.holds(kind, |_| ATTACKER);
    }
}

#[test]
fn idle_connections_of_many_addresses_hurt_no_one_else() {
    raise_own_limit();
    let server = Target::start(FILES, false, &[]);
    for kind in [Silence::Tcp, Silence::PostWithoutBody, Silence::WebSocket] {
        server.holds(kind, |number| IpAddr::from(Ipv4Addr::from(0x7f01_0000 + number)));
    }
}

/// Who is in a call stays there, whatever comes.
#[test]
fn members_are_not_closed_for_others() {
    raise_own_limit();
    let server = Target::start(FILES, false, &[]);
    let mut members: Vec<_> = (0..20).map(|_| server.join(OTHER).unwrap()).collect();
    for kind in [Silence::Tcp, Silence::WebSocket] {
        drop(server.crowd(kind, |number| IpAddr::from(Ipv4Addr::from(0x7f01_0000 + number))));
    }
    for member in &mut members {
        let ping = ClientMessage::Ping(tacet_proto::client::Ping { ms: 7 });
        member.send(Message::text(ClientEnvelope { id: Some(2), message: ping }.to_json())).unwrap();
        let is_pong = |message| matches!(message, Message::Text(text) if text.contains("pong"));
        until("the member is answered", || is_pong(member.read().unwrap()));
    }
}

/// `make sockets`: what each kind of connection costs, for docs/operating.md.
#[test]
#[ignore = "a measurement"]
fn table_of_costs() {
    raise_own_limit();
    println!("| connections that do nothing | open | memory each | page, room, call for others |\n|---|---|---|---|");
    let kinds = Silence::PLAIN.map(|kind| (kind, false)).into_iter().chain(Silence::TLS.map(|kind| (kind, true)));
    for (kind, with_tls) in kinds {
        let server = Target::start(200_000, with_tls, &["--exempt", "127.0.0.3"]);
        let before = server.memory();
        let crowd = server.crowd(kind, |_| ATTACKER);
        let open = metric(server.metrics(), "tacet_signaling_sockets_open");
        let each = (server.memory() - before) / f64::from(CROWD);
        let times = server.serves(OTHER).unwrap().map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3)).join(", ");
        println!("| {kind:?} | {open} of {} | {each:.1} kB | {times} |", crowd.len());
    }
    for with_tls in [false, true] {
        let server = Target::start(200_000, with_tls, &["--exempt", "127.0.0.3", "--participants", "4096"]);
        let before = server.memory();
        let mut members = Vec::new();
        let begun = Instant::now();
        for number in 0..9 {
            let room = server.make_room(ATTACKER, [number; 32]);
            members.extend((0..1_000).map(|_| server.join_room(ATTACKER, &room, [number; 32]).unwrap()));
        }
        let took = begun.elapsed();
        let each = (server.memory() - before) / members.len() as f64;
        let times = server.serves(OTHER).unwrap().map(|time| format!("{:.1} ms", time.as_secs_f64() * 1e3)).join(", ");
        println!(
            "| WebSockets with a welcome{} | {} in {took:.1?} | {each:.1} kB | {times} |",
            if with_tls { ", over TLS" } else { "" },
            members.len()
        );
    }
}
