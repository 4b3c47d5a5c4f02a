//! One WebSocket connection: the limits, `hello`, and then the way to a room.
//!
//! Every data message is measured and counted before it is parsed. The reader is this task, the writer another one;
//! they share nothing but the outbox.

use crate::{
    config::Timing,
    media,
    metrics::{Format, Metrics},
    outbox::{Closing, Outbox, Outgoing, ended, outbox},
    rate::{Window, retry_ms},
    rooms::{Attachment, EnterError, Rooms},
    writer,
};
use axum::extract::ws::{Message, WebSocket};
use futures_util::{StreamExt, stream::SplitStream};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, CloseCode, ErrorCode, PROTOCOL, ParseError, ServerMessage,
    binary::{self, BinaryError},
    client::Hello,
    limits::{
        MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MESSAGE_WINDOW_MS, MESSAGES_PER_WINDOW, STRIKE_WINDOW_MS, STRIKES_PER_WINDOW,
    },
    server::{Challenge, ErrorMessage, Limits, Welcome},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// Answers to messages over the rate in any second: more would let a flood be answered by a flood.
const RATE_ANSWERS: usize = 10;
/// Ping and pong frames in any second.
const CONTROL_FRAMES: usize = 10;
/// Malformed messages in any minute; the next one closes.
const BAD_MESSAGES: usize = 19;
/// Bytes that are read and thrown away after Close at most. Unread bytes would make the kernel send a reset, and the
/// client would lose the Close frame and all that came before it.
const DISCARD: usize = 1 << 20;

const SECOND: Duration = Duration::from_secs(1);

/// Serves a connection until it ends, and the room knows.
pub(crate) async fn serve(
    socket: WebSocket,
    rooms: Rooms,
    metrics: Arc<Metrics>,
    timing: Timing,
    stop: watch::Receiver<bool>,
) {
    metrics.connections.fetch_add(1, Ordering::Relaxed);
    let (sink, stream) = socket.split();
    let (outbox, outgoings) = outbox();
    let writer = tokio::spawn(writer::write(sink, outgoings, Arc::clone(&metrics), timing));
    let mut connection = Connection {
        stream,
        outbox: outbox.clone(),
        rooms,
        metrics: Arc::clone(&metrics),
        timing,
        attachment: None,
        messages: Window::new(MESSAGES_PER_WINDOW, Duration::from_millis(MESSAGE_WINDOW_MS)),
        strikes: Window::new(STRIKES_PER_WINDOW, Duration::from_millis(STRIKE_WINDOW_MS)),
        rate_answers: Window::new(RATE_ANSWERS, SECOND),
        control: Window::new(CONTROL_FRAMES, SECOND),
        bad: Window::new(BAD_MESSAGES, Duration::from_secs(60)),
    };
    let end = connection.run(stop).await;
    metrics.closes.count(end.code);
    tracing::debug!(code = end.code.code(), reason = end.reason, "connection ends");
    if let Some(attachment) = connection.attachment.take() {
        attachment.leave().await;
    }
    outbox.close(end.code, end.reason);
    let _ = tokio::join!(timeout(timing.linger, discard(connection.stream)), writer);
}

/// Waits until the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reads and throws away what the peer still sends, until its Close or the end.
async fn discard(mut stream: SplitStream<WebSocket>) {
    let mut left = DISCARD;
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Text(text) => left = left.saturating_sub(text.len()),
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => {
                left = left.saturating_sub(bytes.len().max(1));
            }
            Message::Close(_) => {}
        }
        if left == 0 {
            return;
        }
    }
}

/// Why reading goes on no longer.
type End = Closing;

const fn end(code: CloseCode, reason: &'static str) -> End {
    End { code, reason }
}

struct Connection {
    stream: SplitStream<WebSocket>,
    outbox: Outbox,
    rooms: Rooms,
    metrics: Arc<Metrics>,
    timing: Timing,
    attachment: Option<Attachment>,
    messages: Window,
    strikes: Window,
    rate_answers: Window,
    control: Window,
    bad: Window,
}

impl Connection {
    async fn run(&mut self, mut stop: watch::Receiver<bool>) -> End {
        let challenge = Challenge { protocol: PROTOCOL.to_owned(), features: Vec::new() };
        if let Err(end) = self.send(None, ServerMessage::Challenge(challenge)) {
            return end;
        }
        let mut closing = self.outbox.closing();
        let mut heard = Instant::now();
        let hello_by = heard + self.timing.hello;
        loop {
            let dead_at = heard + self.timing.dead;
            let (alarm, too_late) = match self.attachment {
                Some(_) => (dead_at, end(CloseCode::IdleOrSlow, "nothing was heard for too long")),
                None => (hello_by.min(dead_at), end(CloseCode::Authentication, "no hello in time")),
            };
            let message = tokio::select! {
                biased;
                closing = ended(&mut closing) => return closing.unwrap_or(end(CloseCode::Normal, "done")),
                () = stopped(&mut stop) => return end(CloseCode::GoingAway, "the server stops"),
                () = sleep_until(alarm) => return too_late,
                message = self.stream.next() => message,
            };
            heard = Instant::now();
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return broken(error),
                None => return end(CloseCode::Normal, "closed by the client"),
            };
            if let Err(end) = self.message(message, heard.into_std()).await {
                return end;
            }
        }
    }

    async fn message(&mut self, message: Message, now: std::time::Instant) -> Result<(), End> {
        match message {
            Message::Text(text) => {
                self.metrics.received.count(Format::Text);
                let id = || serde_json::from_str::<RequestNumber>(&text).ok().and_then(|request| request.id);
                if self.admit(text.len(), now, id)? {
                    self.text(&text, now).await?;
                }
                Ok(())
            }
            Message::Binary(bytes) => {
                self.metrics.received.count(Format::Binary);
                if self.admit(bytes.len(), now, || binary::request_id(&bytes))? {
                    self.binary(&bytes, now).await?;
                }
                Ok(())
            }
            Message::Ping(_) | Message::Pong(_) => {
                self.control.accept(now).map_err(|_| end(CloseCode::Policy, "too many control frames"))
            }
            Message::Close(_) => Err(end(CloseCode::Normal, "closed by the client")),
        }
    }

    /// Whether a data message is to be processed. `id` finds its request number, only if it is answered at all.
    fn admit(&mut self, bytes: usize, now: std::time::Instant, id: impl Fn() -> Option<u32>) -> Result<bool, End> {
        if bytes > MAX_MESSAGE_BYTES {
            return Err(end(CloseCode::TooLarge, "more than 16384 bytes"));
        }
        let Err(wait) = self.messages.accept(now) else { return Ok(true) };
        self.strikes.accept(now).map_err(|_| end(CloseCode::Rate, "a flood of messages"))?;
        if self.rate_answers.accept(now).is_ok() {
            let error = ErrorMessage {
                code: ErrorCode::RateLimited,
                retry_ms: Some(retry_ms(wait)),
                detail: "more than 30 messages in a second".to_owned(),
            };
            self.send(id(), ServerMessage::Error(error))?;
        }
        Ok(false)
    }

    async fn text(&mut self, text: &str, now: std::time::Instant) -> Result<(), End> {
        let ClientEnvelope { id, message } = match ClientEnvelope::parse(text) {
            Ok(envelope) => envelope,
            Err(ParseError::NotJson) => return Err(end(CloseCode::NotJson, "not a JSON object")),
            Err(ParseError::UnknownType { id }) => {
                return self.bad_message(id, now, ErrorCode::UnknownType, "unknown message type".to_owned());
            }
            Err(ParseError::BadMessage { id, reason }) => {
                return self.bad_message(id, now, ErrorCode::BadMessage, reason);
            }
        };
        match (&self.attachment, message) {
            (Some(_), ClientMessage::Ping(ping)) => self.send(id, ServerMessage::Pong(ping)),
            (Some(attachment), message) => {
                attachment.request(id, message).await.map_err(|_| end(CloseCode::Internal, "the room has ended"))
            }
            (None, ClientMessage::Hello(hello)) => self.hello(id, hello).await,
            (None, _) => self.error(id, ErrorCode::Unauthenticated, "say hello first".to_owned()),
        }
    }

    async fn binary(&mut self, bytes: &[u8], now: std::time::Instant) -> Result<(), End> {
        let (id, message) = match binary::parse_client(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                let (code, detail) = malformed(error);
                return self.bad_message(binary::request_id(bytes), now, code, detail.to_owned());
            }
        };
        match &self.attachment {
            Some(attachment) => {
                attachment.binary(id, message).await.map_err(|_| end(CloseCode::Internal, "the room has ended"))
            }
            None => self.error(id, ErrorCode::Unauthenticated, "say hello first".to_owned()),
        }
    }

    async fn hello(&mut self, id: Option<u32>, hello: Hello) -> Result<(), End> {
        if hello.client.len() > MAX_NAME_BYTES || hello.features.len() > MAX_NAME_BYTES {
            return self.error(id, ErrorCode::BadMessage, "client or features: too long".to_owned());
        }
        let attachment = match self.rooms.enter(hello.room, &hello.credential, self.outbox.clone()).await {
            Ok(attachment) => attachment,
            Err(EnterError::NoRoom) => {
                self.error(id, ErrorCode::NoRoom, "there is no such room".to_owned())?;
                return Err(end(CloseCode::RoomEnded, "there is no such room"));
            }
            Err(EnterError::NoRandomness) => {
                self.error(id, ErrorCode::Internal, "the server has no randomness".to_owned())?;
                return Err(end(CloseCode::Internal, "no randomness"));
            }
            Err(EnterError::WrongCredential) => {
                self.error(id, ErrorCode::Unauthenticated, "the link's secret is not this room's".to_owned())?;
                return Err(end(CloseCode::Authentication, "wrong credential"));
            }
        };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let welcome = Welcome {
            participant: attachment.participant,
            call: attachment.call,
            time: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            limits: Limits {
                rate: u32::try_from(MESSAGES_PER_WINDOW).unwrap_or(u32::MAX),
                bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap_or(u32::MAX),
            },
            codecs: media::codecs(),
            hdrext: media::header_extensions(),
            features: Vec::new(),
        };
        self.attachment = Some(attachment);
        self.send(id, ServerMessage::Welcome(welcome))
    }

    fn bad_message(
        &mut self,
        re: Option<u32>,
        now: std::time::Instant,
        code: ErrorCode,
        detail: String,
    ) -> Result<(), End> {
        self.error(re, code, detail)?;
        self.bad.accept(now).map_err(|_| end(CloseCode::BadMessages, "too many malformed messages"))
    }

    fn error(&self, re: Option<u32>, code: ErrorCode, detail: String) -> Result<(), End> {
        self.send(re, ServerMessage::Error(ErrorMessage { code, retry_ms: None, detail }))
    }

    fn send(&self, re: Option<u32>, message: ServerMessage) -> Result<(), End> {
        self.outbox
            .send(Outgoing::Message { re, message })
            .map_err(|_| end(CloseCode::IdleOrSlow, "the client does not read"))
    }
}

/// The one field of a request that is looked at when the request itself is not.
#[derive(serde::Deserialize)]
struct RequestNumber {
    id: Option<u32>,
}

/// The error that answers a malformed binary message.
fn malformed(error: BinaryError) -> (ErrorCode, &'static str) {
    match error {
        BinaryError::UnknownType => (ErrorCode::UnknownType, "unknown binary type"),
        BinaryError::Truncated => (ErrorCode::BadMessage, "binary message too short"),
        BinaryError::Trailing => (ErrorCode::BadMessage, "binary message too long"),
        BinaryError::Count | BinaryError::Display => (ErrorCode::BadMessage, "count out of range"),
    }
}

/// How a connection ends whose bytes are not a WebSocket's.
fn broken(error: axum::Error) -> End {
    use tungstenite::Error;
    let error = error.into_inner();
    match error.downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => end(CloseCode::TooLarge, "more than 16384 bytes"),
        Some(Error::Utf8(_)) => end(CloseCode::NotJson, "not UTF-8"),
        _ => end(CloseCode::Normal, "the connection broke"),
    }
}
