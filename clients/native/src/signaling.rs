//! The `tacet.v1` connection: one WebSocket, one task, typed events.
//!
//! Outgoing messages go through the [`Outbox`], which keeps them within the server's limits. Incoming messages become
//! [`Incoming`]; unknown types are skipped, as the protocol requires.

use crate::{
    link::RoomLink,
    outbox::{Frame, Outbox, OutboxError, Outgoing},
    tls::Trust,
};
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tacet_proto::{
    ParseError, SUBPROTOCOL, ServerEnvelope, ServerMessage,
    binary::{BinaryType, PREFIX_BYTES},
    limits,
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

/// Maximum time for TCP, TLS and the upgrade together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may be silent; it pings every 20 s.
const DEAD_AFTER: Duration = Duration::from_secs(45);
/// Maximum time for the server's Close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum SignalingError {
    /// The server cannot be reached.
    #[error("cannot reach {authority}: {source}")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The server did not answer in time.
    #[error("{0} does not respond")]
    Timeout(String),
    /// The server does not speak this protocol, or its certificate is not trusted.
    #[error("cannot open a {SUBPROTOCOL} connection: {0}")]
    Handshake(#[source] Box<tungstenite::Error>),
    /// A message cannot be sent.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The connection has ended.
    #[error("the signaling connection has ended")]
    Ended,
    /// Nothing follows a ping: the network is gone, or the server hangs.
    #[error("the server does not answer any more")]
    Silent,
}

/// An event of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message of the server.
    Received {
        /// Its running number; 0 for a message that the server does not keep.
        seq: u32,
        /// What it says.
        received: Received,
    },
    /// The connection has ended; this is the last event.
    Closed {
        /// WebSocket close code; 1006 if the connection broke.
        code: u16,
        /// Human-readable reason.
        reason: String,
    },
}

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A JSON message.
    Message {
        /// Number of the request that it answers.
        re: Option<u32>,
        /// The message.
        message: ServerMessage,
    },
    /// Body of a binary message of type 3. Its announces are not parsed here: the session does that.
    Announces(Vec<u8>),
    /// Body of a binary message of type 2. Its key batches are not parsed here: the session does that.
    Keys(Vec<u8>),
    /// Body of a binary message of type 4: a participant requests keys of this client. Not parsed here either.
    KeyRequest(Vec<u8>),
    /// Body of a binary message of type 5, a chat message. Not parsed here either.
    Chat(Vec<u8>),
    /// A message of a type that this client does not know. Its number counts.
    Unknown,
}

/// A command to the task.
enum Command {
    Send(Outgoing),
    Close,
}

/// A connection. Dropping it closes the socket abruptly; [`Signaling::close`] sends a Close frame.
#[derive(Debug)]
pub struct Signaling {
    commands: mpsc::UnboundedSender<Command>,
    incoming: mpsc::UnboundedReceiver<Incoming>,
    refused: mpsc::UnboundedReceiver<OutboxError>,
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
        let (commands, command_queue) = mpsc::unbounded_channel();
        let (incoming_sender, incoming) = mpsc::unbounded_channel();
        let (refused_sender, refused) = mpsc::unbounded_channel();
        let task = Task { socket, commands: command_queue, incoming: incoming_sender, refused: refused_sender };
        tokio::spawn(task.run());
        Self { commands, incoming, refused }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`SignalingError::Ended`].
    pub fn send(&self, message: Outgoing) -> Result<(), SignalingError> {
        self.commands.send(Command::Send(message)).map_err(|_| SignalingError::Ended)
    }

    /// The next event; `None` after [`Incoming::Closed`].
    ///
    /// # Errors
    /// [`SignalingError::Outbox`] if the outbox rejected an earlier message: a bug of this program.
    pub async fn next(&mut self) -> Result<Option<Incoming>, SignalingError> {
        tokio::select! {
            biased;
            Some(error) = self.refused.recv() => Err(error.into()),
            incoming = self.incoming.recv() => Ok(incoming),
        }
    }

    /// Sends the queued messages and a Close frame, and waits for the server's.
    pub async fn close(mut self) {
        if self.commands.send(Command::Close).is_ok() {
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
    // The server has the same limit; larger buffers are not needed.
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

/// The task that owns the socket.
struct Task {
    socket: Socket,
    commands: mpsc::UnboundedReceiver<Command>,
    incoming: mpsc::UnboundedSender<Incoming>,
    refused: mpsc::UnboundedSender<OutboxError>,
}

impl Task {
    async fn run(mut self) {
        let (code, reason) = self.run_until_closed().await;
        let _ = self.incoming.send(Incoming::Closed { code, reason });
    }

    /// Sends and receives until the connection ends. Returns close code and reason.
    async fn run_until_closed(&mut self) -> (u16, String) {
        const BROKEN: u16 = 1006;
        let mut outbox = Outbox::new();
        let mut closing = false;
        let mut dead_at = Instant::now() + DEAD_AFTER;
        loop {
            while let Some(message) = outbox.pop(Instant::now().into_std()) {
                let message = match message.into_frame() {
                    Frame::Text(text) => Message::text(text),
                    Frame::Binary(bytes) => Message::binary(bytes),
                };
                if self.socket.send(message).await.is_err() {
                    return (BROKEN, "the connection broke".to_owned());
                }
            }
            if closing && outbox.is_empty() {
                let _ = self.socket.close(None).await;
                closing = false;
                dead_at = Instant::now() + CLOSE_TIMEOUT;
            }
            let send_at = outbox.ready_at(Instant::now().into_std()).map(Instant::from_std);
            tokio::select! {
                command = self.commands.recv(), if !closing => match command {
                    Some(Command::Send(message)) => {
                        if let Err(error) = outbox.push(message) {
                            let _ = self.refused.send(error);
                        }
                    }
                    Some(Command::Close) => closing = true,
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
            Message::Text(text) => text_message(text.as_str()),
            Message::Binary(bytes) => binary_message(&bytes),
            _ => None,
        };
        if let Some((seq, received)) = incoming {
            let _ = self.incoming.send(Incoming::Received { seq, received });
        }
    }
}

/// Parses a JSON message; `None` if it is malformed.
fn text_message(text: &str) -> Option<(u32, Received)> {
    match ServerEnvelope::parse(text) {
        Ok(ServerEnvelope { seq, re, message }) => Some((seq, Received::Message { re, message })),
        Err(ParseError::UnknownType { .. }) => {
            let object: serde_json::Value = serde_json::from_str(text).ok()?;
            let seq = object.get("seq")?.as_u64()?;
            Some((u32::try_from(seq).ok()?, Received::Unknown))
        }
        Err(error) => {
            tracing::warn!(%error, "malformed message from the server");
            None
        }
    }
}

/// Converts a binary message by its type byte. The body is parsed once, by the session.
fn binary_message(message: &[u8]) -> Option<(u32, Received)> {
    const KEYS: u8 = BinaryType::Keys as u8;
    const ANNOUNCES: u8 = BinaryType::Announces as u8;
    const KEY_REQUEST: u8 = BinaryType::KeyRequest as u8;
    const CHAT: u8 = BinaryType::Chat as u8;
    let Some((&[kind, a, b, c, d], body)) = message.split_first_chunk::<PREFIX_BYTES>() else {
        tracing::warn!("binary message from the server is too short");
        return None;
    };
    let received = match kind {
        KEYS => Received::Keys(body.to_vec()),
        ANNOUNCES => Received::Announces(body.to_vec()),
        KEY_REQUEST => Received::KeyRequest(body.to_vec()),
        CHAT => Received::Chat(body.to_vec()),
        _ => Received::Unknown,
    };
    Some((u32::from_be_bytes([a, b, c, d]), received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_message_is_identified_by_type() {
        let received = |kind| binary_message(&[kind, 0, 0, 1, 2, 7, 8]);
        assert_eq!(received(2), Some((258, Received::Keys(vec![7, 8]))));
        assert_eq!(received(3), Some((258, Received::Announces(vec![7, 8]))));
        assert_eq!(received(4), Some((258, Received::KeyRequest(vec![7, 8]))));
        assert_eq!(received(5), Some((258, Received::Chat(vec![7, 8]))));
        assert_eq!(received(9), Some((258, Received::Unknown)), "its number counts");
        assert_eq!(binary_message(&[2, 0, 0, 0]), None, "shorter than a prefix");
    }

    #[test]
    fn unknown_message_counts() {
        assert_eq!(text_message(r#"{"t":"news","seq":7}"#), Some((7, Received::Unknown)));
        assert_eq!(text_message(r#"{"t":"news"}"#), None);
    }
}
