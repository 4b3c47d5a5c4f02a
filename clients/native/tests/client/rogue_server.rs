//! A server that says what a test wants it to say.

use crate::TIMEOUT;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tacet_native::link::RoomLink;
use tacet_proto::{
    CallId, ErrorCode, ParticipantId, RoomId, SUBPROTOCOL, Seat, ServerEnvelope, ServerMessage, SessionId,
    bytes::{Base64, Fixed},
    media::{Candidate, Codec, CodecParameters, Dtls, HeaderExtension, Kind, ServerIce},
    resume::{Continues, Tokens},
    server::{Challenge, ErrorMessage, Joined, Limits, ServerTransport, Welcome},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

/// Listens for clients.
pub(crate) struct RogueServer {
    listener: TcpListener,
}

/// A connection of a client.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    seq: u32,
}

impl RogueServer {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn link(&self) -> RoomLink {
        RoomLink::new(false, &self.listener.local_addr().unwrap().to_string(), RoomId(Fixed([3; 16])), [9; 32])
    }

    /// The next connection of a client.
    pub(crate) async fn accept(&self) -> Client {
        let accepting = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            #[allow(clippy::result_large_err, reason = "the type is the crate's")]
            let protocol = |_: &Request, mut response: Response| {
                response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
                Ok(response)
            };
            accept_hdr_async(stream, protocol).await.unwrap()
        };
        let socket = timeout(TIMEOUT, accepting).await.expect("a client connects");
        Client { socket, seq: 0 }
    }

    /// Lets a client into the call. Returns its connection after `joined`.
    pub(crate) async fn admit(&self, welcome: Welcome) -> Client {
        let mut client = self.accept().await;
        client.challenge().await;
        client.expect("hello").await;
        client.send(None, ServerMessage::Welcome(welcome)).await;
        let join = client.expect("join").await;
        let (roster, tracks) = (Vec::new(), Vec::new());
        let joined = Joined {
            seat: Seat(0),
            rev: 1,
            roster,
            tracks,
            policy: tacet_proto::server::Policy::default(),
            gathering: false,
            tokens: None,
        };
        client.send(number(&join), ServerMessage::Joined(joined)).await;
        client
    }
}

/// The number of a request.
pub(crate) fn number(request: &Value) -> Option<u32> {
    request["id"].as_u64().and_then(|id| u32::try_from(id).ok())
}

impl Client {
    pub(crate) async fn send(&mut self, re: Option<u32>, message: ServerMessage) {
        self.seq += 1;
        let text = ServerEnvelope { seq: self.seq, re, message }.to_json();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn challenge(&mut self) {
        let protocol = tacet_proto::PROTOCOL.to_owned();
        let challenge = Challenge { protocol, features: Vec::new(), nonce: Fixed([7; 32]) };
        self.send(None, ServerMessage::Challenge(challenge)).await;
    }

    pub(crate) async fn refuse(&mut self, re: Option<u32>, code: ErrorCode, retry_ms: Option<u32>) {
        let error = ErrorMessage { code, retry_ms, detail: "no".to_owned() };
        self.send(re, ServerMessage::Error(error)).await;
    }

    /// Waits for a message of a type. Others are ignored.
    pub(crate) async fn expect(&mut self, t: &str) -> Value {
        let waiting = async {
            loop {
                let message = self.socket.next().await.expect("the client stays").unwrap();
                let Message::Text(text) = message else { continue };
                let message: Value = serde_json::from_str(text.as_str()).unwrap();
                if message["t"] == t {
                    return message;
                }
            }
        };
        timeout(TIMEOUT, waiting).await.unwrap_or_else(|_| panic!("the client never sends {t}"))
    }
}

/// What an honest server says to a newcomer.
pub(crate) fn welcome() -> Welcome {
    let both = vec![Kind::Audio, Kind::Video];
    Welcome {
        participant: ParticipantId(1),
        call: CallId(Fixed([1; 16])),
        session: SessionId(Fixed([2; 16])),
        continues: Continues::Nothing,
        role: tacet_proto::Role::Speaker,
        capabilities: tacet_proto::Role::Speaker.capabilities(),
        tokens: Tokens { session: Base64(vec![1]), reload: Base64(vec![2]) },
        time: 0,
        limits: Limits { rate: 30, bytes: 16_384 },
        codecs: vec![CodecParameters {
            codec: Codec::Opus,
            pt: 111,
            rtx: None,
            clock: 48_000,
            fmtp: "useinbandfec=1".to_owned(),
        }],
        hdrext: vec![HeaderExtension { uri: "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned(), id: 1, kinds: both }],
        features: Vec::new(),
    }
}

/// The half of a transport at which no one answers.
pub(crate) fn transport(ufrag: &str) -> ServerTransport {
    ServerTransport {
        ice: ServerIce {
            ufrag: ufrag.to_owned(),
            pwd: "aPasswordOfTheServer22".to_owned(),
            candidates: vec![Candidate { ip: "127.0.0.1".to_owned(), port: 9 }],
        },
        dtls: Dtls { fingerprint: Fixed([0xab; 32]) },
    }
}
