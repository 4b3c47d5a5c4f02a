//! The `tacet.v1` connection: one WebSocket, one task, typed events.
//!
//! Outgoing messages pass the [`Outbox`], which keeps inside the server's limits. Incoming ones become [`Incoming`];
//! what this version does not know is skipped, as the protocol asks.

use crate::{
    link::RoomLink,
    outbox::{Frame, Outbox, OutboxError, Priority},
    tls::Trust,
};
use futures_util::{SinkExt, StreamExt};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, ParseError, SUBPROTOCOL, ServerEnvelope, ServerMessage, binary, limits,
};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        error::UrlError,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

/// How long connecting, TLS and the upgrade may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may be silent; it pings every 20 s.
const DEAD_AFTER: Duration = Duration::from_secs(45);
/// How long a graceful close waits for the server's Close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum SignalingError {
    /// Nobody listens there, or the network is down.
    #[error("cannot reach {authority}: {source}")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Connecting took too long.
    #[error("{0} does not answer")]
    Timeout(String),
    /// The server speaks, but not this protocol, or its certificate is not trusted.
    #[error("no {SUBPROTOCOL} connection: {0}")]
    Handshake(#[source] Box<tungstenite::Error>),
    /// The message cannot be sent.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The connection has ended.
    #[error("the signaling connection has ended")]
    Ended,
}

/// What arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A JSON message.
    Message {
        /// The request that it answers.
        re: Option<u32>,
        /// The message.
        message: ServerMessage,
    },
    /// Announces, the body of a binary message of type 3.
    Announces(Vec<u8>),
    /// Keys, the body of a binary message of type 2.
    Keys(Vec<u8>),
    /// Somebody lacks keys of ours, the body of a binary message of type 4.
    KeyRequest(Vec<u8>),
    /// The connection has ended; nothing follows.
    Closed {
        /// WebSocket close code; 1006 when the connection just broke.
        code: u16,
        /// For people.
        reason: String,
    },
}

enum Order {
    Send(Priority, Frame),
    Close,
}

/// A connection. Dropping it closes the socket without ceremony; [`Signaling::close`] says goodbye.
#[derive(Debug)]
pub struct Signaling {
    orders: mpsc::UnboundedSender<Order>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    refused: mpsc::UnboundedReceiver<OutboxError>,
    next_id: AtomicU32,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Signaling {
    /// Connects to the link's server.
    ///
    /// # Errors
    /// [`SignalingError`].
    pub async fn connect(link: &RoomLink, trust: Trust) -> Result<Self, SignalingError> {
        let authority = link.authority().to_owned();
        match timeout(CONNECT_TIMEOUT, open(link, trust)).await {
            Ok(Ok(socket)) => Ok(Self::start(socket)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SignalingError::Timeout(authority)),
        }
    }

    fn start(socket: Socket) -> Self {
        let (orders, order_queue) = mpsc::unbounded_channel();
        let (incoming_sender, incoming) = mpsc::unbounded_channel();
        let (refused_sender, refused) = mpsc::unbounded_channel();
        let task = Task { socket, orders: order_queue, incoming: incoming_sender, refused: refused_sender };
        tokio::spawn(task.run());
        Self { orders, incoming, refused, next_id: AtomicU32::new(1) }
    }

    /// Queues a message and gives its request number, which the answer repeats.
    ///
    /// # Errors
    /// [`SignalingError::Ended`].
    pub fn send(&self, priority: Priority, message: ClientMessage) -> Result<u32, SignalingError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let text = ClientEnvelope { id: Some(id), message }.to_json();
        self.order(Order::Send(priority, Frame::Text(text)))?;
        Ok(id)
    }

    /// Queues a key batch: header and entries as the session made them.
    ///
    /// # Errors
    /// [`SignalingError::Ended`].
    pub fn send_key_batch(&self, body: &[u8]) -> Result<u32, SignalingError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Send(Priority::Keys, Frame::Binary(binary::key_batch(id, body))))?;
        Ok(id)
    }

    /// Queues a request for keys, whole wanted keys.
    ///
    /// # Errors
    /// [`SignalingError::Ended`].
    pub fn send_key_request(&self, wanted: &[u8]) -> Result<u32, SignalingError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Send(Priority::Keys, Frame::Binary(binary::key_request(id, wanted))))?;
        Ok(id)
    }

    fn order(&self, order: Order) -> Result<(), SignalingError> {
        self.orders.send(order).map_err(|_| SignalingError::Ended)
    }

    /// The next event; after [`Incoming::Closed`], `None`.
    ///
    /// # Errors
    /// [`SignalingError::Outbox`] when an earlier message was refused by the outbox: a fault of this program.
    pub async fn next(&mut self) -> Result<Option<Incoming>, SignalingError> {
        tokio::select! {
            biased;
            Some(error) = self.refused.recv() => Err(error.into()),
            incoming = self.incoming.recv() => Ok(incoming),
        }
    }

    /// Sends what waits, then Close, and waits for the server's.
    pub async fn close(mut self) {
        if self.orders.send(Order::Close).is_ok() {
            let drain = async { while self.incoming.recv().await.is_some() {} };
            let _ = timeout(CLOSE_TIMEOUT, drain).await;
        }
    }
}

async fn open(link: &RoomLink, trust: Trust) -> Result<Socket, SignalingError> {
    let handshake = |error: tungstenite::Error| SignalingError::Handshake(Box::new(error));
    let stream = TcpStream::connect((link.host(), link.port()))
        .await
        .map_err(|source| SignalingError::Unreachable { authority: link.authority().to_owned(), source })?;
    // Keys and slot changes are small and urgent.
    let _ = stream.set_nodelay(true);
    let mut request = link.websocket_url().into_client_request().map_err(handshake)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let connector =
        trust.connector().map(Some).map_err(|_| handshake(tungstenite::Error::Url(UrlError::TlsFeatureNotEnabled)))?;
    // The server keeps to the same limit; the buffers need to be no larger than its messages.
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .write_buffer_size(4_096)
        .max_write_buffer_size(262_144)
        .max_message_size(Some(limits::MAX_MESSAGE_BYTES))
        .max_frame_size(Some(limits::MAX_MESSAGE_BYTES));
    let (socket, _) =
        client_async_tls_with_config(request, stream, Some(config), connector).await.map_err(handshake)?;
    Ok(socket)
}

/// Owns the socket.
struct Task {
    socket: Socket,
    orders: mpsc::UnboundedReceiver<Order>,
    incoming: mpsc::UnboundedSender<Incoming>,
    refused: mpsc::UnboundedSender<OutboxError>,
}

impl Task {
    async fn run(mut self) {
        let (code, reason) = self.converse().await;
        let _ = self.incoming.send(Incoming::Closed { code, reason });
    }

    /// Sends and receives until the connection ends; gives the close code and reason.
    async fn converse(&mut self) -> (u16, String) {
        const BROKEN: u16 = 1006;
        let started = Instant::now();
        let clock = |at: Instant| u64::try_from(at.duration_since(started).as_millis()).unwrap_or(u64::MAX);
        let mut outbox = Outbox::new();
        let mut closing = false;
        let mut dead_at = started + DEAD_AFTER;
        loop {
            while let Some(frame) = outbox.pop(clock(Instant::now())) {
                let message = match frame {
                    Frame::Text(text) => Message::text(text),
                    Frame::Binary(bytes) => Message::binary(bytes),
                };
                if self.socket.send(message).await.is_err() {
                    return (BROKEN, "the connection broke".to_owned());
                }
            }
            if closing && outbox.waiting() == 0 {
                let _ = self.socket.close(None).await;
                closing = false;
                dead_at = Instant::now() + CLOSE_TIMEOUT;
            }
            let send_at = outbox.ready_at().map(|ms| started + Duration::from_millis(ms));
            tokio::select! {
                order = self.orders.recv(), if !closing => match order {
                    Some(Order::Send(priority, frame)) => {
                        if let Err(error) = outbox.push(priority, frame) {
                            let _ = self.refused.send(error);
                        }
                    }
                    Some(Order::Close) => closing = true,
                    None => return (BROKEN, "dropped".to_owned()),
                },
                message = self.socket.next() => {
                    dead_at = dead_at.max(Instant::now() + DEAD_AFTER);
                    match message {
                        Some(Ok(Message::Close(frame))) => {
                            return frame.map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                        }
                        Some(Ok(message)) => self.deliver(message),
                        Some(Err(_)) | None => return (BROKEN, "the connection broke".to_owned()),
                    }
                }
                () = sleep_until(send_at.unwrap_or(dead_at)), if send_at.is_some() => {}
                () = sleep_until(dead_at) => return (BROKEN, "the server is silent".to_owned()),
            }
        }
    }

    fn deliver(&self, message: Message) {
        let incoming = match message {
            Message::Text(text) => match ServerEnvelope::parse(text.as_str()) {
                Ok(ServerEnvelope { re, message, .. }) => Some(Incoming::Message { re, message }),
                Err(ParseError::UnknownType { .. }) => None,
                Err(error) => {
                    tracing::warn!(%error, "unreadable message of the server");
                    None
                }
            },
            Message::Binary(bytes) => binary_body(&bytes),
            _ => None,
        };
        if let Some(incoming) = incoming {
            let _ = self.incoming.send(incoming);
        }
    }
}

/// Checks a binary message and gives its body.
fn binary_body(message: &[u8]) -> Option<Incoming> {
    let body = || message.get(binary::PREFIX_BYTES..).unwrap_or_default().to_vec();
    match binary::parse_server(message) {
        Ok((_, binary::ServerBinary::Announces(_))) => Some(Incoming::Announces(body())),
        Ok((_, binary::ServerBinary::Keys(_))) => Some(Incoming::Keys(body())),
        Ok((_, binary::ServerBinary::KeyRequest { .. })) => Some(Incoming::KeyRequest(body())),
        Err(binary::BinaryError::UnknownType) => None,
        Err(error) => {
            tracing::warn!(%error, "unreadable binary message of the server");
            None
        }
    }
}
