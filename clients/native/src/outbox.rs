//! Queues messages for the server, by priority and within the server's rates.
//!
//! The server accepts 30 messages in any second, and of each type as many as [`type_rate`] allows; this client stays a little
//! below both. Key traffic is sent first, so that a burst of other messages never delays a key, and a type that has to wait
//! delays no other. Messages that undo each other, such as `subscribe` and `unsubscribe`, keep their order.
//!
//! No clock inside: `now` is an argument.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, MessageType,
    binary::{self, ChatId, ChatKind},
    limits::{CLIENT_OUTBOX_PER_SECOND, MAX_MESSAGE_BYTES, MESSAGE_WINDOW_MS, type_rate},
};

/// Length of the window in which the rate limit counts.
const WINDOW: Duration = Duration::from_millis(MESSAGE_WINDOW_MS);

/// One WebSocket data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A JSON message.
    Text(String),
    /// Key traffic.
    Binary(Vec<u8>),
}

impl Frame {
    /// Size of the payload, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// State of which only the latest value matters: an unsent message of the same kind is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKind {
    /// What the client shows.
    Layers,
    /// Revision of the slots that are applied.
    SlotsReady,
    /// Whether a track is muted.
    Muted(u32),
    /// Whether the publisher of a track speaks.
    Speech(u32),
    /// Number of the last message of the server that arrived.
    Ack,
    /// A sign of life.
    Heartbeat,
}

impl StateKind {
    fn of(message: &ClientMessage) -> Option<Self> {
        Some(match message {
            ClientMessage::Layers(_) => Self::Layers,
            ClientMessage::SlotsReady(_) => Self::SlotsReady,
            ClientMessage::Mute(of) | ClientMessage::Unmute(of) => Self::Muted(of.track.0),
            ClientMessage::Speech(of) => Self::Speech(of.track.0),
            ClientMessage::Ack(_) => Self::Ack,
            ClientMessage::Heartbeat(_) => Self::Heartbeat,
            _ => return None,
        })
    }
}

/// A message for the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    kind: MessageType,
    state: Option<StateKind>,
    frame: Frame,
}

impl Outgoing {
    /// A JSON message; a request has a number.
    #[must_use]
    pub fn message(number: Option<u32>, message: ClientMessage) -> Self {
        let (kind, state) = (MessageType::from(&message), StateKind::of(&message));
        Self { kind, state, frame: Frame::Text(ClientEnvelope { id: number, message }.to_json()) }
    }

    /// A key batch with its number.
    #[must_use]
    pub fn key_batch(number: u32, body: &[u8]) -> Self {
        Self { kind: MessageType::KeyBatch, state: None, frame: Frame::Binary(binary::key_batch(number, body)) }
    }

    /// A key request with its number.
    #[must_use]
    pub fn key_request(number: u32, wanted: &[u8]) -> Self {
        Self { kind: MessageType::KeyRequest, state: None, frame: Frame::Binary(binary::key_request(number, wanted)) }
    }

    /// A chat message with its number.
    #[must_use]
    pub fn chat(number: u32, id: ChatId, sealed: &[u8]) -> Self {
        let kind = match id.kind() {
            ChatKind::Message => MessageType::Chat,
            ChatKind::Reaction => MessageType::Reaction,
        };
        Self { kind, state: None, frame: Frame::Binary(binary::chat(number, id, sealed)) }
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> MessageType {
        self.kind
    }

    /// What it says the state of, if it does.
    #[must_use]
    pub fn state(&self) -> Option<StateKind> {
        self.state
    }

    /// The data frame.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.frame
    }

    fn priority(&self) -> Priority {
        match self.kind {
            MessageType::Hello
            | MessageType::Join
            | MessageType::Announce
            | MessageType::Away
            | MessageType::Ping
            | MessageType::KeyBatch
            | MessageType::KeyRequest => Priority::Keys,
            MessageType::Chat | MessageType::Reaction => Priority::Chat,
            _ if self.state.is_some() => Priority::State,
            _ => Priority::Control,
        }
    }

    /// The first of the types whose order among each other matters.
    fn lane(&self) -> MessageType {
        match self.kind {
            MessageType::Unpublish => MessageType::Publish,
            MessageType::Unmute => MessageType::Mute,
            MessageType::Unsubscribe => MessageType::Subscribe,
            MessageType::IceRestart => MessageType::Transport,
            kind => kind,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    /// Hello, join, announces and keys: without them nothing can be decrypted. Pings, whose answers bound a resume.
    Keys,
    /// Requests.
    Control,
    State,
    Chat,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The message exceeds the server's limit.
    #[error("message of {0} bytes exceeds the limit of {MAX_MESSAGE_BYTES}")]
    TooLarge(usize),
    /// The queue is full.
    #[error("{} messages are queued already", Outbox::CAPACITY)]
    Full,
}

/// The queue of unsent messages.
#[derive(Debug, Default)]
pub struct Outbox {
    /// In the order in which they are considered: by priority, then by age.
    queue: VecDeque<Outgoing>,
    /// When the last messages were sent, oldest first; at most [`CLIENT_OUTBOX_PER_SECOND`] of them.
    sent: VecDeque<Instant>,
    rates: BTreeMap<MessageType, TypeRate>,
}

impl Outbox {
    /// Maximum number of queued messages: 40 seconds' worth. More means that the program is at fault, not the network.
    pub const CAPACITY: usize = 1_000;

    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a message.
    ///
    /// # Errors
    /// [`OutboxError`]; the message is not queued.
    pub fn push(&mut self, message: Outgoing) -> Result<(), OutboxError> {
        if message.frame.len() > MAX_MESSAGE_BYTES {
            return Err(OutboxError::TooLarge(message.frame.len()));
        }
        if message.state.is_some()
            && let Some(queued) = self.queue.iter_mut().find(|queued| queued.state == message.state)
        {
            *queued = message;
            return Ok(());
        }
        if self.len() >= Self::CAPACITY {
            return Err(OutboxError::Full);
        }
        let place = self.queue.partition_point(|queued| queued.priority() <= message.priority());
        self.queue.insert(place, message);
        Ok(())
    }

    /// The next message, if one is queued and may be sent at `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Outgoing> {
        if self.window_opens_at(now) > now {
            return None;
        }
        let next = self.heads(now).find(|(_, at)| *at <= now)?.0;
        let message = self.queue.remove(next)?;
        self.rates.entry(message.kind).or_insert_with(|| TypeRate::of(message.kind, now)).send(now);
        if self.sent.len() >= CLIENT_OUTBOX_PER_SECOND as usize {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        Some(message)
    }

    /// When [`Self::pop`] will next return a message, at `now` or later; `None` if none is queued.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        let next = self.heads(now).map(|(_, at)| at).min()?;
        Some(next.max(self.window_opens_at(now)))
    }

    /// Number of queued messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether no message is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The oldest message of each lane, by priority, with the time at which the rate of its type admits it.
    fn heads(&self, now: Instant) -> impl Iterator<Item = (usize, Instant)> {
        let mut lanes = Vec::new();
        self.queue.iter().enumerate().filter_map(move |(index, message)| {
            if lanes.contains(&message.lane()) {
                return None;
            }
            lanes.push(message.lane());
            let at = self.rates.get(&message.kind).map_or(now, |rate| rate.admits_at().max(now));
            Some((index, at))
        })
    }

    /// When the window of all types has room, at `now` or later.
    fn window_opens_at(&self, now: Instant) -> Instant {
        if self.sent.len() < CLIENT_OUTBOX_PER_SECOND as usize {
            return now;
        }
        self.sent.front().map_or(now, |oldest| (*oldest + WINDOW).max(now))
    }
}

/// How much of the rate of a type is used: the generic cell rate algorithm (ITU-T I.371), which needs one instant.
#[derive(Clone, Copy, Debug)]
struct TypeRate {
    /// When the whole burst is available again.
    full_at: Instant,
    every: Duration,
    /// Time that the burst, less one message, may borrow.
    tolerance: Duration,
}

impl TypeRate {
    /// The rate of a type with a margin: messages that the network holds up arrive closer together than they were sent.
    fn of(kind: MessageType, now: Instant) -> Self {
        let rate = type_rate(kind);
        let every = Duration::from_millis(rate.every_ms.into()) * 11 / 10;
        let burst = rate.burst.saturating_sub(1).max(1);
        Self { full_at: now, every, tolerance: every * (burst - 1) }
    }

    fn admits_at(&self) -> Instant {
        self.full_at.checked_sub(self.tolerance).unwrap_or(self.full_at)
    }

    fn send(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.every;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tacet_proto::{
        TrackId,
        bytes::Base64,
        client::{Announce, Empty, SlotsReady, Subscribe, TrackRef, Unsubscribe},
    };

    const SECOND: Duration = Duration::from_secs(1);

    /// A request without effect whose rate is far above that of all types together.
    fn ping(ms: u64) -> Outgoing {
        Outgoing::message(None, ClientMessage::Ping(tacet_proto::client::Ping { ms }))
    }

    fn subscribe(track: u32) -> Outgoing {
        let tracks = vec![TrackId(track)];
        Outgoing::message(Some(track), ClientMessage::Subscribe(Subscribe { auto: false, tracks }))
    }

    fn unsubscribe(track: u32) -> Outgoing {
        Outgoing::message(Some(track), ClientMessage::Unsubscribe(Unsubscribe { tracks: vec![TrackId(track)] }))
    }

    fn announce() -> Outgoing {
        let announce = Announce { announce: Base64(Vec::new()), display: Base64(Vec::new()) };
        Outgoing::message(None, ClientMessage::Announce(announce))
    }

    fn slots_ready(rev: u32) -> Outgoing {
        Outgoing::message(None, ClientMessage::SlotsReady(SlotsReady { rev }))
    }

    fn drain(outbox: &mut Outbox, now: Instant) -> Vec<Outgoing> {
        std::iter::from_fn(|| outbox.pop(now)).collect()
    }

    #[test]
    fn keys_precede_state_and_new_state_replaces_old() {
        let mut outbox = Outbox::new();
        let batch = Outgoing::key_batch(4, &[1, 2, 3]);
        for message in [slots_ready(1), subscribe(2), slots_ready(3), batch.clone()] {
            outbox.push(message).unwrap();
        }
        assert_eq!(drain(&mut outbox, Instant::now()), [batch, subscribe(2), slots_ready(3)]);
    }

    #[test]
    fn mute_and_unmute_of_a_track_replace_each_other() {
        let mut outbox = Outbox::new();
        let muted = |track, muted: bool| {
            let body = TrackRef { track: TrackId(track) };
            Outgoing::message(None, if muted { ClientMessage::Mute(body) } else { ClientMessage::Unmute(body) })
        };
        for message in [muted(1, true), muted(2, true), muted(1, false)] {
            outbox.push(message).unwrap();
        }
        assert_eq!(drain(&mut outbox, Instant::now()), [muted(1, false), muted(2, true)]);
    }

    #[test]
    fn rate_limit_delays_next_message() {
        let mut outbox = Outbox::new();
        for n in 0..26 {
            outbox.push(ping(n)).unwrap();
        }
        let now = Instant::now();
        assert_eq!(drain(&mut outbox, now).len(), 25);
        assert_eq!(outbox.ready_at(now), Some(now + WINDOW));
        assert_eq!(outbox.pop(now + WINDOW - Duration::from_millis(1)), None);
        assert_eq!(outbox.pop(now + WINDOW), Some(ping(25)));
        assert_eq!(outbox.ready_at(now + WINDOW), None);
    }

    #[test]
    fn type_that_waits_delays_no_other() {
        let (mut outbox, now) = (Outbox::new(), Instant::now());
        for n in 0..5 {
            outbox.push(announce()).unwrap();
            outbox.push(subscribe(n)).unwrap();
        }
        let sent = drain(&mut outbox, now);
        assert_eq!(sent.iter().filter(|message| message.kind() == MessageType::Announce).count(), 2);
        assert_eq!(sent.iter().filter(|message| message.kind() == MessageType::Subscribe).count(), 5);
        let next = outbox.ready_at(now).unwrap();
        assert!(next > now + 10 * SECOND && next <= now + 12 * SECOND, "{:?}", next - now);
        assert_eq!((outbox.pop(next), outbox.pop(next)), (Some(announce()), None));
    }

    #[test]
    fn messages_that_undo_each_other_keep_their_order() {
        let (mut outbox, mut now, mut sent) = (Outbox::new(), Instant::now(), Vec::new());
        let messages: Vec<_> = (0..30).flat_map(|track| [subscribe(track), unsubscribe(track)]).collect();
        messages.iter().for_each(|message| outbox.push(message.clone()).unwrap());
        while let Some(ready) = outbox.ready_at(now) {
            now = ready;
            sent.extend(outbox.pop(now));
        }
        assert_eq!(sent, messages);
    }

    /// A client that sets up everything again after a restart of the server is not held up.
    #[test]
    fn burst_covers_a_client_with_eight_tracks() {
        let (mut outbox, start) = (Outbox::new(), Instant::now());
        let mut now = start;
        outbox.push(announce()).unwrap();
        for track in 0..8 {
            let body = TrackRef { track: TrackId(track) };
            outbox.push(Outgoing::message(None, ClientMessage::Unpublish(body))).unwrap();
            outbox.push(Outgoing::message(None, ClientMessage::Mute(body))).unwrap();
            outbox.push(subscribe(track)).unwrap();
        }
        while let Some(ready) = outbox.ready_at(now) {
            now = ready;
            outbox.pop(now).unwrap();
        }
        assert!(now - start <= WINDOW, "{:?}", now - start);
    }

    #[test]
    fn oversized_message_and_full_queue_are_rejected() {
        let mut outbox = Outbox::new();
        // Type and number precede the body.
        let batch = |length: usize| Outgoing::key_batch(1, &vec![0; length - binary::PREFIX_BYTES]);
        outbox.push(batch(MAX_MESSAGE_BYTES)).unwrap();
        assert_eq!(outbox.push(batch(MAX_MESSAGE_BYTES + 1)), Err(OutboxError::TooLarge(MAX_MESSAGE_BYTES + 1)));
        for n in 1..Outbox::CAPACITY {
            outbox.push(ping(n as u64)).unwrap();
        }
        assert_eq!(outbox.push(ping(0)), Err(OutboxError::Full));
    }

    /// The server's count of a type: a bucket that holds a burst.
    struct Bucket {
        tokens: f64,
        at: Instant,
    }

    impl Bucket {
        fn accepts(&mut self, kind: MessageType, now: Instant) -> bool {
            let rate = type_rate(kind);
            let refill = now.duration_since(self.at).as_secs_f64() * 1_000.0 / f64::from(rate.every_ms);
            (self.tokens, self.at) = ((self.tokens + refill).min(f64::from(rate.burst)), now);
            let accepted = self.tokens >= 1.0;
            self.tokens -= f64::from(u8::from(accepted));
            accepted
        }
    }

    proptest! {
        #[test]
        fn no_second_exceeds_the_rate_limit(steps in proptest::collection::vec(0u64..200, 1..400)) {
            let mut outbox = Outbox::new();
            let (mut now, mut sent) = (Instant::now(), Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                for _ in 0..3 {
                    let _ = outbox.push(ping(0));
                }
                while outbox.pop(now).is_some() {
                    sent.push(now);
                }
            }
            let limit = CLIENT_OUTBOX_PER_SECOND as usize;
            for window in sent.windows(limit + 1) {
                prop_assert!(window[limit] - window[0] >= WINDOW);
            }
        }

        /// The network holds each message up, by less than the interval of any type, and keeps their order.
        #[test]
        fn server_never_finds_a_type_over_its_rate(steps in proptest::collection::vec((0u64..400, 0u8..6, 0u64..60), 1..400)) {
            let (mut outbox, start) = (Outbox::new(), Instant::now());
            let (mut now, mut arrived) = (start, start);
            let mut buckets: BTreeMap<MessageType, Bucket> = BTreeMap::new();
            for (step, kind, delay) in steps {
                now += Duration::from_millis(step);
                for track in 0..8 {
                    let message = match kind {
                        0 => announce(),
                        1 => subscribe(track),
                        2 => unsubscribe(track),
                        3 => Outgoing::key_request(track, &[0; 24]),
                        4 => Outgoing::key_batch(track, &[]),
                        _ => Outgoing::message(None, ClientMessage::IceRestart(Empty {})),
                    };
                    let _ = outbox.push(message);
                }
                arrived = arrived.max(now + Duration::from_millis(delay));
                while let Some(message) = outbox.pop(now) {
                    let kind = message.kind();
                    let burst = f64::from(type_rate(kind).burst);
                    let bucket = buckets.entry(kind).or_insert(Bucket { tokens: burst, at: start });
                    prop_assert!(bucket.accepts(kind, arrived), "{:?}", kind);
                }
            }
        }
    }
}
