//! One WebSocket connection: its limits, `hello`, and from then on the way to a session in a room, which may outlive it.
//!
//! Every data message is measured and counted before it is parsed. This task reads and another one writes; they share
//! nothing but the outbox.

use crate::{
    config::Timing,
    media,
    metrics::{Format, Metrics},
    outbox::{Closer, Closing, Outbox, ended},
    random::random,
    rate::{TypeRates, Window, retry_ms},
    resume::origin::Origins,
    room::{Entered, is_token},
    room_token::TokenError,
    rooms::{Arrival, Attachment, EnterError, Rooms},
    sockets::Ticket,
    wire_limit::{Excess, Meter, Metered},
    writer,
};
use futures_util::{StreamExt, stream::SplitStream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, SystemTime},
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, CloseCode, ErrorCode, MessageType, PROTOCOL, ParseError, ServerMessage,
    binary::{self, BinaryError},
    bytes::Fixed,
    client::{Ack, Hello},
    limits::{
        MAX_FEATURES, MAX_MESSAGE_BYTES, MAX_NAME_BYTES, MESSAGE_WINDOW_MS, MESSAGES_PER_WINDOW,
        RATE_ANSWERS_PER_SECOND, STRIKE_WINDOW_MS, STRIKES_PER_WINDOW,
    },
    server::{Bye, ByeReason, Challenge, ErrorMessage, Limits, Welcome},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::WebSocketStream;
use tracing::{Instrument, field::Empty};
use tungstenite::{Error, Message, error::ProtocolError};

/// A WebSocket of a client.
pub(crate) type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// Ping and pong frames in any second.
pub(crate) const CONTROL_FRAMES: usize = 10;
/// Malformed messages in any minute; the next one closes.
pub(crate) const BAD_MESSAGES: usize = 19;
/// Maximum number of bytes that are read and discarded after Close. Unread bytes would make the kernel send a reset, and
/// the client would lose the Close frame and everything before it.
const DISCARD: usize = 1 << 20;

const SECOND: Duration = Duration::from_secs(1);

/// The other end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its address, as far as it is known.
    pub(crate) address: IpAddr,
    /// How it may have reached the server.
    pub(crate) origins: Origins,
    /// Its TCP connection.
    pub(crate) ticket: Ticket,
}

/// Serves a connection until it has ended and its room knows.
pub(crate) async fn serve(
    socket: Socket,
    Peer { address, origins, ticket }: Peer,
    rooms: Rooms,
    metrics: Arc<Metrics>,
    timing: Timing,
    stop: watch::Receiver<bool>,
) {
    let number = metrics.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let span = tracing::info_span!("connection", connection = number, participant = Empty);
    let meter = socket.get_ref().meter();
    let (sink, stream) = socket.split();
    let (outbox, closer) = (Outbox::new(), Closer::default());
    // An outbox without messages lacks none.
    let Ok(outgoings) = outbox.attach(0) else { return };
    let writing = writer::write(sink, outgoings, closer.closing(), Arc::clone(&metrics), timing);
    let writer = tokio::spawn(writing.instrument(span.clone()));
    let connection = Connection {
        stream,
        meter,
        outbox,
        closer,
        nonce: [0; 32],
        origins,
        ticket,
        rooms,
        metrics,
        timing,
        attachment: None,
        rates: Arc::default(),
        messages: Window::new(MESSAGES_PER_WINDOW, Duration::from_millis(MESSAGE_WINDOW_MS)),
        strikes: Window::new(STRIKES_PER_WINDOW, Duration::from_millis(STRIKE_WINDOW_MS)),
        rate_answers: Window::new(RATE_ANSWERS_PER_SECOND, SECOND),
        control: Window::new(CONTROL_FRAMES, SECOND),
        bad: Window::new(BAD_MESSAGES, Duration::from_secs(60)),
    };
    async {
        tracing::debug!(peer = %shortened(address), "connected");
        connection.serve(writer, stop).await;
    }
    .instrument(span)
    .await;
}

/// An address without the part that names a host: its /24 or /48.
pub(crate) fn shortened(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
        }
    }
}

/// Waits until the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Reads and discards what the peer still sends, until its Close or the end.
async fn discard(mut stream: SplitStream<Socket>) {
    let mut left = DISCARD;
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Text(text) => left = left.saturating_sub(text.len()),
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => {
                left = left.saturating_sub(bytes.len().max(1));
            }
            Message::Close(_) | Message::Frame(_) => {}
        }
        if left == 0 {
            return;
        }
    }
}

/// Why the read loop ended.
type End = Closing;

const fn end(code: CloseCode, reason: &'static str) -> End {
    End { code, reason }
}

struct Connection {
    stream: SplitStream<Socket>,
    meter: Meter,
    /// Its own until `hello`, then that of its session.
    outbox: Outbox,
    closer: Closer,
    /// The nonce of its challenge.
    nonce: [u8; 32],
    origins: Origins,
    ticket: Ticket,
    rooms: Rooms,
    metrics: Arc<Metrics>,
    timing: Timing,
    attachment: Option<Attachment>,
    /// What may still be sent of each type of message: its own until `hello`, then that of its session.
    rates: Arc<Mutex<TypeRates>>,
    messages: Window,
    strikes: Window,
    rate_answers: Window,
    control: Window,
    bad: Window,
}

impl Connection {
    async fn serve(mut self, writer: JoinHandle<()>, stop: watch::Receiver<bool>) {
        let end = self.run(stop).await;
        self.metrics.closes.count(end.code);
        tracing::debug!(code = end.code.code(), reason = end.reason, "closed");
        if let Some(attachment) = self.attachment.take() {
            attachment.detach().await;
        }
        self.closer.close(end.code, end.reason);
        let _ = tokio::join!(timeout(self.timing.linger, discard(self.stream)), writer);
    }

    async fn run(&mut self, mut stop: watch::Receiver<bool>) -> End {
        let Ok(nonce) = random() else {
            return end(CloseCode::Internal, "the server has no random numbers");
        };
        self.nonce = nonce;
        let challenge = Challenge { protocol: PROTOCOL.to_owned(), features: Vec::new(), nonce: Fixed(nonce) };
        if let Err(end) = self.send(None, ServerMessage::Challenge(challenge)) {
            return end;
        }
        let (mut closing, mut excess) = (self.closer.closing(), self.meter.excess());
        let mut heard = Instant::now();
        let hello_by = heard + self.timing.hello;
        loop {
            let dead_at = heard + self.timing.dead;
            let (alarm, too_late) = match self.attachment {
                Some(_) => (dead_at, end(CloseCode::IdleOrSlow, "the client was silent for too long")),
                None => (hello_by.min(dead_at), end(CloseCode::Authentication, "no hello in time")),
            };
            let message = tokio::select! {
                biased;
                closing = ended(&mut closing) => return closing.unwrap_or(end(CloseCode::Normal, "done")),
                () = stopped(&mut stop) => {
                    let _ = self.send(None, ServerMessage::Bye(Bye { reason: ByeReason::Restart }));
                    return end(CloseCode::Restart, "the server is stopping, and may start again");
                }
                () = sleep_until(alarm) => return too_late,
                end = exceeded(&mut excess) => return end,
                message = self.stream.next() => message,
            };
            heard = Instant::now();
            let message = match message {
                Some(Ok(message)) => message,
                Some(Err(error)) => return broken(&error),
                None => return end(CloseCode::Normal, "closed by the client"),
            };
            if let Err(end) = self.message(message, heard.into_std()).await {
                return end;
            }
        }
    }

    async fn message(&mut self, message: Message, now: std::time::Instant) -> Result<(), End> {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            self.meter.message();
        }
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
            // The codec hands out none.
            Message::Frame(_) => Ok(()),
        }
    }

    /// Whether a data message is to be processed. `id` finds its request number, only if it is answered at all.
    fn admit(&mut self, bytes: usize, now: std::time::Instant, id: impl Fn() -> Option<u32>) -> Result<bool, End> {
        if bytes > MAX_MESSAGE_BYTES {
            return Err(end(CloseCode::TooLarge, "more than 16384 bytes"));
        }
        let Err(wait) = self.messages.accept(now) else { return Ok(true) };
        tracing::debug!("message over the rate dropped");
        self.over_rate(now, wait, id, "more than 30 messages in one second")?;
        Ok(false)
    }

    /// Whether a message of this type is to be processed, once it was counted among all messages.
    fn admit_type(&mut self, kind: MessageType, now: std::time::Instant, id: Option<u32>) -> Result<bool, End> {
        // A panic elsewhere leaves the rates whole.
        let accepted = self.rates.lock().unwrap_or_else(PoisonError::into_inner).accept(kind, now);
        let Err(wait) = accepted else { return Ok(true) };
        tracing::debug!(kind = kind.name(), "message over the rate of its type dropped");
        self.over_rate(now, wait, || id, "too many messages of this type")?;
        Ok(false)
    }

    /// Counts a message over a rate against the client, and answers it unless too many were answered.
    fn over_rate(
        &mut self,
        now: std::time::Instant,
        wait: Duration,
        id: impl Fn() -> Option<u32>,
        detail: &str,
    ) -> Result<(), End> {
        self.strikes.accept(now).map_err(|_| end(CloseCode::Rate, "too many messages over the rate"))?;
        if self.rate_answers.accept(now).is_ok() {
            let (code, detail) = (ErrorCode::RateLimited, detail.to_owned());
            let error = ErrorMessage { code, retry_ms: Some(retry_ms(wait)), detail };
            self.send(id(), ServerMessage::Error(error))?;
        }
        Ok(())
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
        if !self.admit_type(MessageType::from(&message), now, id)? {
            return Ok(());
        }
        match (&self.attachment, message) {
            (Some(attachment), message) => {
                if let ClientMessage::Ack(Ack { seq }) = message {
                    attachment.outbox.acknowledge(seq);
                }
                attachment.request(id, message).await.map_err(|_| end(CloseCode::Internal, "the room has ended"))
            }
            (None, ClientMessage::Hello(hello)) => self.hello(id, hello).await,
            (None, _) => self.error(id, ErrorCode::Unauthenticated, "send hello first".to_owned()),
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
        if !self.admit_type(MessageType::from(&message), now, id)? {
            return Ok(());
        }
        match &self.attachment {
            Some(attachment) => {
                attachment.binary(id, message).await.map_err(|_| end(CloseCode::Internal, "the room has ended"))
            }
            None => self.error(id, ErrorCode::Unauthenticated, "send hello first".to_owned()),
        }
    }

    async fn hello(&mut self, id: Option<u32>, hello: Hello) -> Result<(), End> {
        let features = hello.features.len() <= MAX_FEATURES;
        if !features || !hello.features.iter().chain([&hello.client]).all(|name| is_token(name, MAX_NAME_BYTES)) {
            let detail = "client or features: not 1 to 64 visible characters, or too many".to_owned();
            return self.error(id, ErrorCode::BadMessage, detail);
        }
        // From here on it is not closed to make space for others, unless the credential is wrong, which ends it.
        if !self.ticket.member(std::time::Instant::now()) {
            return Err(end(CloseCode::TryLater, "too many connections"));
        }
        let (nonce, origins, closer) = (self.nonce, &self.origins, self.closer.clone());
        let mut attachment = match self.rooms.enter(Arrival { hello: &hello, nonce, origins, closer }).await {
            Ok(attachment) => attachment,
            Err(error) => {
                tracing::debug!(cause = %error, "hello refused");
                let (code, end) = refused(error);
                self.error(id, code, end.reason.to_owned())?;
                return Err(end);
            }
        };
        let Entered { participant, call, session, continues, role, capabilities, .. } = attachment.entered;
        tracing::Span::current().record("participant", participant.0);
        tracing::debug!(room = attachment.room.0, ?continues, "hello accepted");
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let welcome = Welcome {
            participant,
            call,
            session,
            continues,
            role,
            capabilities,
            tokens: attachment.tokens.clone(),
            time: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            limits: Limits {
                rate: u32::try_from(MESSAGES_PER_WINDOW).unwrap_or(u32::MAX),
                bytes: u32::try_from(MAX_MESSAGE_BYTES).unwrap_or(u32::MAX),
            },
            codecs: media::codecs(),
            hdrext: media::header_extensions(self.rooms.limits().audio_levels),
            features: Vec::new(),
        };
        let welcomed = self.send(id, ServerMessage::Welcome(welcome));
        if let Some(outgoings) = attachment.outgoings.take() {
            self.outbox.hand_over(outgoings);
        }
        self.outbox = attachment.outbox.clone();
        self.rates = Arc::clone(&attachment.rates);
        self.attachment = Some(attachment);
        welcomed
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
        tracing::debug!(?code, detail, "request refused");
        self.send(re, ServerMessage::Error(ErrorMessage { code, retry_ms: None, detail }))
    }

    /// Sends a message of this connection, which has no number and is not sent again on another.
    fn send(&self, re: Option<u32>, message: ServerMessage) -> Result<(), End> {
        self.outbox.pass(re, message).map_err(|_| end(CloseCode::IdleOrSlow, "the client does not read"))
    }
}

/// The only field of a request that is read when the request itself is not.
#[derive(serde::Deserialize)]
struct RequestNumber {
    id: Option<u32>,
}

/// The error that answers a refused `hello`, and how its connection ends.
fn refused(error: EnterError) -> (ErrorCode, End) {
    match error {
        EnterError::NoRoom => (ErrorCode::NoRoom, end(CloseCode::RoomEnded, "there is no such room")),
        EnterError::WrongCredential => {
            (ErrorCode::Unauthenticated, end(CloseCode::Authentication, "the credential is not valid for this room"))
        }
        EnterError::Token(TokenError::Expired) => {
            (ErrorCode::TokenExpired, end(CloseCode::Authentication, "the room token has expired"))
        }
        EnterError::Token(error) => (ErrorCode::Unauthenticated, end(CloseCode::Authentication, refused_token(error))),
        EnterError::NoGuests => {
            (ErrorCode::Forbidden, end(CloseCode::Authentication, "this room admits with a room token only"))
        }
        EnterError::Locked => (ErrorCode::RoomLocked, end(CloseCode::TryLater, "the room is locked")),
        EnterError::Banned => (ErrorCode::Banned, end(CloseCode::Removed, "a moderator has banned you")),
        EnterError::NotOpen => (ErrorCode::ServerBusy, end(CloseCode::TryLater, "the room is not open at this moment")),
        EnterError::Overloaded => (
            ErrorCode::ServerBusy,
            end(CloseCode::TryLater, "the server cannot send to more participants at this moment"),
        ),
        EnterError::NotResumable(_) => {
            (ErrorCode::NotResumable, end(CloseCode::NotResumable, "the session cannot be continued"))
        }
        EnterError::NoRandomness => (ErrorCode::Internal, end(CloseCode::Internal, "the server has no random numbers")),
    }
}

/// Why a room token does not admit, for its holder.
const fn refused_token(error: TokenError) -> &'static str {
    match error {
        TokenError::NotYet => "the room token is not valid yet",
        TokenError::Room => "the room token is for another room",
        TokenError::Audience | TokenError::UnknownKey => {
            "the room token is of another server, or older than the keys of this one"
        }
        _ => "the room token is not valid",
    }
}

/// The error that answers a malformed binary message.
fn malformed(error: BinaryError) -> (ErrorCode, &'static str) {
    match error {
        BinaryError::UnknownType => (ErrorCode::UnknownType, "unknown binary type"),
        BinaryError::Truncated => (ErrorCode::BadMessage, "binary message too short"),
        BinaryError::Trailing => (ErrorCode::BadMessage, "binary message too long"),
        BinaryError::Count | BinaryError::Display => (ErrorCode::BadMessage, "count out of range"),
        BinaryError::Chat => (ErrorCode::BadMessage, "not a chat message"),
    }
}

/// Waits until the client sends more bytes than messages need.
async fn exceeded(excess: &mut watch::Receiver<Option<Excess>>) -> End {
    match excess.wait_for(Option::is_some).await.ok().and_then(|excess| *excess) {
        Some(Excess::Rate) => end(CloseCode::Rate, "too many bytes in one second"),
        Some(Excess::Fragments) => end(CloseCode::Policy, "too many fragments without a message"),
        // The meter is gone with the connection.
        None => std::future::pending().await,
    }
}

/// How a connection ends when reading from it fails.
fn broken(error: &Error) -> End {
    match error {
        Error::Capacity(_) => end(CloseCode::TooLarge, "more than 16384 bytes"),
        Error::Utf8(_) => end(CloseCode::NotJson, "not UTF-8"),
        // The client is gone: no code reaches it.
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => end(CloseCode::Normal, "the connection broke"),
        Error::Protocol(_) => end(CloseCode::Protocol, "frames against RFC 6455"),
        _ => end(CloseCode::Normal, "the connection broke"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shortened_address_names_no_host() {
        let short = |text: &str| shortened(text.parse().unwrap());
        assert_eq!(short("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(short("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(short("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
