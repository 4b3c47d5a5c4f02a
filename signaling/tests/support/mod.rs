//! A server on loopback with a media plane that records, and a client that speaks raw WebSocket.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use futures_util::{SinkExt, StreamExt};
use sfu_api::{Command, Event, LocalTransport, Request};
use signaling::{AccessHash, Config, MediaEvents, MediaPlane, Signaling, config::Timing};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, RoomId, SUBPROTOCOL, ServerEnvelope, ServerMessage,
    binary::{self, ServerBinary},
    bytes::{Base64, Fixed},
    client::{Credential, Hello, Join},
};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode},
        protocol::frame::{CloseFrame, Frame, coding::CloseCode},
    },
};

/// Long enough that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(20);
pub const ACCESS: [u8; 32] = [9; 32];

/// Answers `AddParticipant` and `AddSlot` as an SFU does, and keeps every command.
pub struct FakeMedia {
    events: MediaEvents,
    pub commands: Mutex<Vec<Command>>,
}

impl MediaPlane for FakeMedia {
    fn workers(&self) -> usize {
        2
    }

    fn command(&self, worker: usize, Request { id, command }: Request) {
        assert!(worker < 2);
        match &command {
            Command::AddParticipant { participant, .. } => self.events.send(Event::Transport {
                command: id,
                participant: *participant,
                local: LocalTransport {
                    ufrag: "serv".to_owned(),
                    pwd: "p".repeat(24),
                    fingerprint: [5; 32],
                    candidates: vec!["127.0.0.1:8801".parse().unwrap()],
                },
            }),
            Command::AddSlot { participant, mid, codec } => {
                let ssrc = sfu_api::Ssrc(self.commands.lock().unwrap().len() as u32 + 1_000);
                let rtx = codec.entry().rtx_pt.map(|_| sfu_api::Ssrc(ssrc.0 + 1_000_000));
                let (participant, mid) = (*participant, *mid);
                self.events.send(Event::SlotAdded { command: id, participant, mid, ssrc, rtx });
            }
            _ => {}
        }
        self.commands.lock().unwrap().push(command);
    }
}

impl FakeMedia {
    /// Makes the media plane report an event.
    pub fn event(&self, event: Event) {
        self.events.send(event);
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub room: RoomId,
    pub media: Arc<FakeMedia>,
    pub metrics: Arc<signaling::Metrics>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

pub fn config() -> Config {
    Config {
        connections_per_address: None,
        handshakes_per_second: None,
        timing: Timing { hello: PATIENCE, ..Timing::default() },
        ..Config::default()
    }
}

impl Server {
    pub fn start(config: Config) -> Self {
        Self::start_with_page(config, None)
    }

    pub fn start_with_page(config: Config, page: Option<Arc<dyn signaling::PageSource>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let events = MediaEvents::default();
        let media = Arc::new(FakeMedia { events: events.clone(), commands: Mutex::default() });
        let signaling = Signaling::new(config, Arc::clone(&media) as _, events);
        let room = signaling.rooms().create(AccessHash::of(&ACCESS)).unwrap();
        let metrics = Arc::clone(signaling.metrics());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            signaling
                .serve(listener, None, page, async {
                    let _ = stopped.await;
                })
                .await
        });
        Self { address, room, media, metrics, stop: Some(stop), task }
    }

    pub async fn stop(mut self) {
        self.stop.take();
        timeout(PATIENCE, self.task).await.expect("stops").unwrap().unwrap();
    }

    /// Connects with these headers, or says with which status it was refused.
    pub async fn try_connect(&self, headers: &[(&'static str, &str)]) -> Result<Client, StatusCode> {
        let mut request = format!("ws://{}/v1/ws", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        match client_async(request, tcp).await {
            Ok((socket, _)) => Ok(Client { socket, seq: 0 }),
            Err(tungstenite::Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A connection that has seen the challenge.
    pub async fn connect(&self) -> Client {
        let mut client = self.try_connect(&[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap();
        assert!(matches!(client.message().await, ServerMessage::Challenge(_)));
        client
    }

    /// A connection that has said hello.
    pub async fn guest(&self) -> Client {
        let mut client = self.connect().await;
        client.send(1, self.hello(ACCESS)).await;
        assert!(matches!(client.answer(1).await, ServerMessage::Welcome(_)));
        client
    }

    /// A connection that has joined and has its transport.
    pub async fn member(&self) -> Client {
        let mut client = self.guest().await;
        client.send(2, join(1)).await;
        assert!(matches!(client.answer(2).await, ServerMessage::Joined(_)));
        client.until(|message| matches!(message, Received::Message(_, ServerMessage::Transport(_)))).await;
        client
    }

    pub fn hello(&self, token: [u8; 32]) -> ClientMessage {
        ClientMessage::Hello(Hello {
            room: self.room,
            credential: Credential::GuestAccess { token: Fixed(token) },
            client: "test".to_owned(),
            features: vec![],
            resume: None,
        })
    }
}

pub fn join(mark: u8) -> ClientMessage {
    ClientMessage::Join(Join {
        announce: Base64(vec![mark; binary::ANNOUNCE_BYTES]),
        display: Base64(vec![mark; 40]),
        expects: vec![],
    })
}

/// What the server sent.
#[derive(Debug)]
pub enum Received {
    Message(Option<u32>, ServerMessage),
    Binary(Vec<u8>),
    Close(Option<CloseFrame>),
    End,
}

pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
    seq: u32,
}

impl Client {
    pub async fn send(&mut self, id: u32, message: ClientMessage) {
        self.text(ClientEnvelope { id: Some(id), message }.to_json()).await;
    }

    pub async fn text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub async fn binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends a text message in several frames.
    pub async fn fragments(&mut self, parts: &[&str]) {
        use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
        for (i, part) in parts.iter().enumerate() {
            let kind = if i == 0 { Data::Text } else { Data::Continue };
            let last = i + 1 == parts.len();
            let frame = Frame::message(part.as_bytes().to_vec(), OpCode::Data(kind), last);
            self.socket.send(Message::Frame(frame)).await.unwrap();
        }
    }

    /// The next thing that the server says. Checks that its numbers have no gap.
    pub async fn receive(&mut self) -> Received {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("the server says something");
            match message {
                Some(Ok(Message::Text(text))) => {
                    assert!(text.len() <= 16_384, "{} bytes", text.len());
                    let envelope = ServerEnvelope::parse(&text).unwrap();
                    self.seq += 1;
                    assert_eq!(envelope.seq, self.seq);
                    return Received::Message(envelope.re, envelope.message);
                }
                Some(Ok(Message::Binary(bytes))) => {
                    assert!(bytes.len() <= 16_384, "{} bytes", bytes.len());
                    self.seq += 1;
                    assert_eq!(binary::parse_server(&bytes).unwrap().0, self.seq);
                    return Received::Binary(bytes.to_vec());
                }
                Some(Ok(Message::Close(frame))) => return Received::Close(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Received::End,
            }
        }
    }

    /// The next message, which must be a text message.
    pub async fn message(&mut self) -> ServerMessage {
        match self.receive().await {
            Received::Message(_, message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// Skips what does not fit, and returns what does.
    pub async fn until(&mut self, fits: impl Fn(&Received) -> bool) -> Received {
        loop {
            let received = self.receive().await;
            if fits(&received) {
                return received;
            }
            assert!(!matches!(received, Received::Close(_) | Received::End), "closed while waiting: {received:?}");
        }
    }

    /// The answer to a request.
    pub async fn answer(&mut self, id: u32) -> ServerMessage {
        match self.until(|received| matches!(received, Received::Message(re, _) if *re == Some(id))).await {
            Received::Message(_, message) => message,
            other => panic!("{other:?}"),
        }
    }

    /// The next announces.
    pub async fn announced(&mut self) -> Vec<u32> {
        match self.until(|received| matches!(received, Received::Binary(bytes) if bytes[0] == 3)).await {
            Received::Binary(bytes) => match binary::parse_server(&bytes).unwrap().1 {
                ServerBinary::Announces(entries) => entries.iter().map(|entry| entry.participant.0).collect(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Everything until the Close frame, and its code.
    pub async fn closed(&mut self) -> (Vec<Received>, u16) {
        let mut before = Vec::new();
        loop {
            match self.receive().await {
                Received::Close(frame) => {
                    return (before, frame.map_or(1005, |frame: CloseFrame| u16::from(frame.code)));
                }
                Received::End => panic!("the connection ended without Close, after {before:?}"),
                other => before.push(other),
            }
        }
    }

    pub async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = self.socket.close(Some(frame)).await;
        while timeout(PATIENCE, self.socket.next()).await.expect("ends").is_some() {}
    }
}
