//! A server on loopback with a media plane that records, and a client that speaks raw WebSocket.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use e2ee_core::{
    Domain, Label, Primitives, SigningKey, Standard,
    resume::{ResumeOperation, ResumeStatement, prove},
};
use futures_util::{SinkExt, StreamExt};
use sfu_api::{Command, Event, LocalTransport, Request};
use signaling::{
    AccessHash, Config, Kept, MediaEvents, MediaPlane, Registry, ResumeKeys, Signaling, TokenKeys, api::ApiRecords,
    config::Timing,
};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tacet_proto::{
    CallId, ClientEnvelope, ClientMessage, RoomId, SUBPROTOCOL, Seat, ServerEnvelope, ServerMessage,
    binary::{
        self, ANNOUNCE_BYTES, ANNOUNCE_CALL, ANNOUNCE_DEVICE_KEY, ANNOUNCE_DISPLAY_HASH, ANNOUNCE_INCARNATION,
        ANNOUNCE_ROOM, ANNOUNCE_SEQ, BATCH_ANNOUNCE_SEQ, BATCH_CALL, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES,
        BATCH_JOIN_ID, BATCH_KID, BATCH_ROOM, BATCH_SEAT, ServerBinary,
    },
    bytes::{Base64, Fixed},
    client::{Announce, Credential, Hello, Join},
    resume::{Expected, Resume},
    server::Welcome,
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
/// Hash that is a join id, as in `e2ee-frames`.
const JOIN_ID: Label = Domain::new("e2ee-frames/1").label("join");
/// The mark of the last member, so that no two members are the same device.
static MARK: AtomicU32 = AtomicU32::new(1);

/// Answers `AddParticipant` and `AddSlot` as an SFU does, and keeps every command.
pub struct FakeMedia {
    events: MediaEvents,
    pub commands: Mutex<Vec<Command>>,
    /// Makes the next command panic, inside the task of a room.
    pub breaks: AtomicBool,
}

impl MediaPlane for FakeMedia {
    fn workers(&self) -> usize {
        2
    }

    fn command(&self, worker: usize, Request { id, command }: Request) {
        assert!(worker < 2);
        assert!(!self.breaks.swap(false, Ordering::Relaxed), "an intended fault in a room");
        match &command {
            Command::Publish { participant, track, .. } => {
                let (participant, track) = (*participant, *track);
                self.events.send(Event::Published { command: id, participant, track });
            }
            Command::AddParticipant { participant, .. } | Command::RestartIce { participant } => {
                self.events.send(Event::Transport {
                    command: id,
                    participant: *participant,
                    local: LocalTransport {
                        ufrag: "serv".to_owned(),
                        pwd: "p".repeat(24),
                        fingerprint: [5; 32],
                        candidates: vec!["127.0.0.1:8801".parse().unwrap()],
                    },
                })
            }
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
    /// What outlives it.
    pub registry: Arc<dyn Registry>,
    pub resume_keys: Arc<ResumeKeys>,
    pub api: Arc<ApiRecords>,
    pub token_keys: Arc<TokenKeys>,
    pub media: Arc<FakeMedia>,
    pub metrics: Arc<signaling::Metrics>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

pub fn config() -> Config {
    Config {
        sockets_per_address: None,
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
        let kept = Kept::nothing(&config).unwrap();
        Self::start_with(config, page, kept, None)
    }

    /// A server with the records of another one.
    pub fn start_with_api(config: Config, api: Arc<ApiRecords>) -> Self {
        let kept = Kept { api, ..Kept::nothing(&config).unwrap() };
        Self::start_with(config, None, kept, None)
    }

    /// Stops the server and starts another one with what outlives it.
    pub async fn restart(self) -> Self {
        let room = self.room;
        let kept = Kept {
            registry: Arc::clone(&self.registry),
            resume_keys: Arc::clone(&self.resume_keys),
            api: Arc::clone(&self.api),
            token_keys: Arc::clone(&self.token_keys),
        };
        self.stop().await;
        Self::start_with(config(), None, kept, Some(room))
    }

    fn start_with(
        config: Config,
        page: Option<Arc<dyn signaling::PageSource>>,
        kept: Kept,
        room: Option<RoomId>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let events = MediaEvents::default();
        let media =
            Arc::new(FakeMedia { events: events.clone(), commands: Mutex::default(), breaks: AtomicBool::new(false) });
        let (registry, resume_keys) = (Arc::clone(&kept.registry), Arc::clone(&kept.resume_keys));
        let api = Arc::clone(&kept.api);
        let token_keys = Arc::clone(&kept.token_keys);
        let signaling = Signaling::new(config, Arc::clone(&media) as _, events, kept);
        let room = room.unwrap_or_else(|| signaling.rooms().create(AccessHash::of(&ACCESS)).unwrap());
        let metrics = Arc::clone(signaling.metrics());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            signaling
                .serve(listener, None, page, async {
                    let _ = stopped.await;
                })
                .await
        });
        Self { address, room, registry, resume_keys, token_keys, api, media, metrics, stop: Some(stop), task }
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
            Ok((socket, _)) => Ok(Client {
                socket,
                room: self.room,
                call: None,
                seat: Seat(0),
                announced: None,
                seq: 0,
                nonce: [0; 32],
                raw: Vec::new(),
            }),
            Err(tungstenite::Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A connection that has seen the challenge.
    pub async fn connect(&self) -> Client {
        let mut client = self.try_connect(&[("sec-websocket-protocol", SUBPROTOCOL)]).await.unwrap();
        let ServerMessage::Challenge(challenge) = client.message().await else { panic!("no challenge") };
        client.nonce = challenge.nonce.0;
        client
    }

    /// A connection that has joined as the device of this seed.
    pub async fn join(&self, seed: u8) -> (Client, Place) {
        let mut client = self.connect().await;
        client.send(1, self.hello(ACCESS)).await;
        let ServerMessage::Welcome(welcome) = client.answer(1).await else { panic!("no welcome") };
        let mut place = Place { seed, welcome, seat: Seat(0) };
        client.send(2, place.join(vec![])).await;
        let ServerMessage::Joined(joined) = client.answer(2).await else { panic!("did not join") };
        place.seat = joined.seat;
        place.welcome.tokens = joined.tokens.expect("tokens of a member");
        (client, place)
    }

    /// A connection that shows a session token, and how that was answered.
    pub async fn resume(&self, place: &Place, last_seq: u32) -> (Client, ServerMessage) {
        self.resume_with(place, place.seed, last_seq).await
    }

    /// A connection that shows a session token with a proof by the device of this seed, and how that was answered.
    pub async fn resume_with(&self, place: &Place, seed: u8, last_seq: u32) -> (Client, ServerMessage) {
        let mut client = self.connect().await;
        let token = place.welcome.tokens.session.clone();
        let proof = prove(
            &device(seed),
            &ResumeStatement {
                operation: ResumeOperation::Session,
                origin: &format!("http://{}", self.address),
                room: self.room.0.0,
                call: place.welcome.call.0.0,
                session: place.welcome.session.0.0,
                participant: place.welcome.participant.0,
                token: &token.0,
                nonce: client.nonce,
            },
        );
        client.send(1, self.hello_again(Resume::Session { token, last_seq, proof: Fixed(proof) })).await;
        let answer = client.answer(1).await;
        client.seq = last_seq;
        (client, answer)
    }

    /// A connection that shows a reload token, and how that was answered.
    pub async fn reload(&self, place: &Place) -> (Client, ServerMessage) {
        let mut client = self.connect().await;
        let token = place.welcome.tokens.reload.clone();
        client.send(1, self.hello_again(Resume::Reload { token })).await;
        let answer = client.answer(1).await;
        (client, answer)
    }

    fn hello_again(&self, resume: Resume) -> ClientMessage {
        let ClientMessage::Hello(hello) = self.hello(ACCESS) else { unreachable!() };
        ClientMessage::Hello(Hello { resume: Some(resume), ..hello })
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
        let ClientMessage::Join(mut join) = join(1) else { unreachable!() };
        let mark = MARK.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        join.announce.0[ANNOUNCE_INCARNATION][..4].copy_from_slice(&mark);
        join.announce.0[ANNOUNCE_DEVICE_KEY][..4].copy_from_slice(&mark);
        client.send(2, ClientMessage::Join(join)).await;
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

/// A place in the call, and the seed of the device that has it.
#[derive(Clone)]
pub struct Place {
    pub seed: u8,
    pub welcome: Welcome,
    pub seat: Seat,
}

impl Place {
    /// A join of this device.
    pub fn join(&self, expects: Vec<Expected>) -> ClientMessage {
        let mut announce = vec![self.seed; binary::ANNOUNCE_BYTES];
        announce[binary::ANNOUNCE_DEVICE_KEY].copy_from_slice(&device(self.seed).public());
        let display = Base64(vec![self.seed; 40]);
        ClientMessage::Join(Join { announce: Base64(announce), display, expects })
    }

    /// The place as others know it.
    pub fn expected(&self) -> Expected {
        Expected { participant: self.welcome.participant, seat: self.seat }
    }
}

fn device(seed: u8) -> <Standard as Primitives>::Signing {
    SigningKey::from_seed(&[seed; 32])
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
    room: RoomId,
    /// Of `welcome`.
    call: Option<CallId>,
    /// Of `joined`.
    pub seat: Seat,
    /// The last announce that it sent.
    announced: Option<Vec<u8>>,
    /// Number of the last message.
    pub seq: u32,
    /// Of the challenge.
    nonce: [u8; 32],
    /// Numbered messages as they came.
    pub raw: Vec<Vec<u8>>,
}

impl Client {
    /// Sends a message. What an announce says of its sender is made true.
    pub async fn send(&mut self, id: u32, message: ClientMessage) {
        let text = self.truthful(id, message);
        self.text(text).await;
    }

    /// Sends a message on a connection that the server may have closed.
    pub async fn try_send(&mut self, id: u32, message: ClientMessage) {
        let text = self.truthful(id, message);
        let _ = self.socket.send(Message::text(text)).await;
    }

    /// Sends a binary message on a connection that the server may have closed.
    pub async fn try_binary(&mut self, bytes: Vec<u8>) {
        let _ = self.socket.send(Message::binary(bytes)).await;
    }

    fn truthful(&mut self, id: u32, message: ClientMessage) -> String {
        let message = match message {
            ClientMessage::Join(mut join) => {
                self.complete(&mut join.announce, &join.display);
                ClientMessage::Join(join)
            }
            ClientMessage::Announce(mut renewal) => {
                self.complete(&mut renewal.announce, &renewal.display);
                ClientMessage::Announce(renewal)
            }
            other => other,
        };
        ClientEnvelope { id: Some(id), message }.to_json()
    }

    fn complete(&mut self, announce: &mut Base64, display: &Base64) {
        let Some(call) = self.call.filter(|_| announce.0.len() == ANNOUNCE_BYTES) else { return };
        announce.0[ANNOUNCE_ROOM].copy_from_slice(&self.room.0.0);
        announce.0[ANNOUNCE_CALL].copy_from_slice(&call.0.0);
        announce.0[ANNOUNCE_DISPLAY_HASH].copy_from_slice(&Standard::digest(&display.0));
        if let Some(before) = &self.announced {
            for own in [ANNOUNCE_DEVICE_KEY, ANNOUNCE_INCARNATION] {
                announce.0[own.clone()].copy_from_slice(&before[own]);
            }
            let seq = u32::from_be_bytes(before[ANNOUNCE_SEQ].try_into().unwrap()).saturating_add(1);
            announce.0[ANNOUNCE_SEQ].copy_from_slice(&seq.to_be_bytes());
        }
        self.announced = Some(announce.0.clone());
    }

    /// A renewal of its announce, to be completed by [`send`](Self::send).
    pub fn renewal(&self) -> ClientMessage {
        let announce = Base64(self.announced.clone().expect("joined"));
        ClientMessage::Announce(Announce { announce, display: Base64(vec![3; 40]) })
    }

    /// A key batch of this client for these seats.
    pub fn key_batch(&self, id: u32, mark: u8, seats: &[u16]) -> Vec<u8> {
        let announced = self.announced.as_ref().expect("joined");
        let call = self.call.expect("welcomed");
        let mut body = vec![mark; BATCH_HEADER_BYTES];
        let (device, incarnation) = (&announced[ANNOUNCE_DEVICE_KEY], &announced[ANNOUNCE_INCARNATION]);
        let join_id = Standard::hash(&JOIN_ID, &[&self.room.0.0, &call.0.0, device, incarnation]);
        for (field, value) in [
            (BATCH_ROOM, &self.room.0.0[..]),
            (BATCH_CALL, &call.0.0),
            (BATCH_SEAT, &self.seat.0.to_be_bytes()),
            (BATCH_JOIN_ID, &join_id[..16]),
            (BATCH_ANNOUNCE_SEQ, &announced[ANNOUNCE_SEQ]),
            (BATCH_KID, &(u64::from(self.seat.0) << 6).to_be_bytes()),
        ] {
            body[field].copy_from_slice(value);
        }
        body[BATCH_HEADER_BYTES - 2..].copy_from_slice(&(seats.len() as u16).to_be_bytes());
        for seat in seats {
            body.extend_from_slice(&seat.to_be_bytes());
            body.extend_from_slice(&[mark; BATCH_ENTRY_BYTES - 2]);
        }
        binary::key_batch(id, &body)
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
                    let passing = matches!(
                        envelope.message,
                        ServerMessage::Challenge(_)
                            | ServerMessage::Welcome(_)
                            | ServerMessage::Pong(_)
                            | ServerMessage::Bye(_)
                            | ServerMessage::Speakers(_)
                            | ServerMessage::Downlink(_)
                    );
                    match &envelope.message {
                        ServerMessage::Welcome(welcome) => self.call = Some(welcome.call),
                        ServerMessage::Joined(joined) => self.seat = joined.seat,
                        _ => {}
                    }
                    // An error may be of the connection or of the session.
                    if envelope.seq != 0 {
                        self.seq += 1;
                        self.raw.push(text.as_bytes().to_vec());
                        assert!(!passing, "numbered: {text}");
                        assert_eq!(envelope.seq, self.seq);
                    } else {
                        assert!(passing || matches!(envelope.message, ServerMessage::Error(_)), "not numbered: {text}");
                    }
                    return Received::Message(envelope.re, envelope.message);
                }
                Some(Ok(Message::Binary(bytes))) => {
                    assert!(bytes.len() <= 16_384, "{} bytes", bytes.len());
                    self.seq += 1;
                    self.raw.push(bytes.to_vec());
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

    /// The answers to several requests, which may come in any order.
    pub async fn answers(&mut self, ids: RangeInclusive<u32>) -> Vec<ServerMessage> {
        let mut answers = BTreeMap::new();
        while answers.len() < ids.clone().count() {
            if let Received::Message(Some(re), message) = self.receive().await
                && ids.contains(&re)
            {
                answers.insert(re, message);
            }
        }
        answers.into_values().collect()
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
