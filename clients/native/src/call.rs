//! Signaling and keys of one participant in a call, without media.
//!
//! ```text
//!   Admission (hello, welcome) ──► Call ◄──► Signaling      one WebSocket at a time
//!                                   ├─ requests             what the server has not answered
//!                                   ├─ retries              what it was asked too fast, and when to ask again
//!                                   ├─ inbox                which of its messages have arrived
//!                                   ├─ pulse                signs of life in both directions
//!                                   ├─ members              who is here, and who is away
//!                                   └─ SharedKeys           the end-to-end encrypted session
//! ```
//! | module | what it does |
//! |---|---|
//! | this one | joins, and drives the call |
//! | `requesting` | what the program asks of the server |
//! | `receiving` | what the server says |
//! | `keying` | what the session wants done |
//! | `continuity` | drops a connection and goes on with another |
//!
//! After [`Call::join`], [`Call::next`] drives the call: it passes key traffic between server and session, keeps the
//! connection alive, and returns what is left for the program to act on.
//!
//! A call outlives its WebSocket. When [`Call::next`] fails, the program may [`Call::detach`], open an [`Admission`] with
//! the [`Call::ticket`] while media goes on, and [`Call::attach`] it. Requests that are made meanwhile are sent then.

mod admission;
mod continuity;
mod error;
mod event;
mod inbox;
mod keying;
mod members;
mod moderating;
mod pulse;
mod receiving;
mod requesting;
mod requests;
mod retries;

pub use self::{
    admission::{Admission, Return, Ticket},
    error::CallError,
    event::CallEvent,
};
pub use tacet_proto::resume::Continues;

use self::{
    inbox::Inbox,
    members::Members,
    pulse::{Beat, HEARTBEAT_INTERVAL, Pulse},
    requests::Requests,
    retries::Retries,
};
use crate::{
    keys::{CLOCK_CHECK_INTERVAL, SharedKeys, WallClock},
    link::RoomLink,
    signaling::{Incoming, Received, Signaling, SignalingError},
    tls::Trust,
};
use e2ee_frames::{ChatId, Event, EventError};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Instant, SystemTime},
};
use tacet_proto::{
    ClientMessage, ParticipantId, Seat, ServerMessage,
    client::{Ack, Empty},
    resume::Tokens,
    server::Welcome,
};
use tokio::time::sleep_until;

/// How to join.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// Name shown to the others; the server cannot read it.
    pub name: String,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Whether to receive every track of the others, including future ones.
    pub subscribe: bool,
    /// Whether to exchange keys. A load test bot that opens no frames need not; the others do not see it then.
    pub exchange_keys: bool,
    /// Participants that the program knows from an earlier session. [`CallEvent::Left`] follows for those that have left.
    pub known: Vec<ParticipantId>,
    /// Wall time, which announces carry. The session ends when it jumps against the monotonic clock.
    pub wall_clock: WallClock,
}

impl JoinOptions {
    /// Receives all tracks, exchanges keys, trusts public certificate authorities.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            trust: Trust::default(),
            subscribe: true,
            exchange_keys: true,
            known: Vec::new(),
            wall_clock: SystemTime::now,
        }
    }
}

/// A call that was joined.
#[derive(Debug)]
pub struct Call {
    /// `None` while the call has no connection.
    signaling: Option<Signaling>,
    keys: SharedKeys,
    welcome: Welcome,
    tokens: Tokens,
    seat: Seat,
    /// Whether the session has been in the call.
    has_joined: bool,
    exchange_keys: bool,
    /// Whether the server subscribes this client to every track.
    automatic: bool,
    requests: Requests,
    retries: Retries,
    inbox: Inbox,
    pulse: Pulse,
    members: Members,
    /// When the session compares its clocks next while there is no connection, and nothing else for it to do.
    clock_check_at: Instant,
    /// Whether sealed frames reach the network, as far as the program knows.
    media_flows: bool,
    /// The ping whose answer means that the server has sent again what was lost; requests wait for it.
    replay_barrier: Option<u64>,
    /// Key batches that a restarted server has to be sent again once it has admitted this client.
    batches_to_repeat: Vec<u32>,
    /// Chat messages that this connection's server has not answered, by request.
    chats: BTreeMap<u32, ChatId>,
    /// Number of the last chat message.
    last_chat: u64,
    ready: VecDeque<CallEvent>,
}

impl Call {
    /// Joins the call in the link's room as a new participant.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join(link: &RoomLink, options: &JoinOptions) -> Result<Self, CallError> {
        let admission = Admission::open(link, options.trust, &Return::Newcomer).await?;
        Self::join_admitted(admission, link, options).await
    }

    /// Joins with new keys over a connection that the server has welcomed.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join_admitted(
        admission: Admission,
        link: &RoomLink,
        options: &JoinOptions,
    ) -> Result<Self, CallError> {
        let Admission { signaling, welcome, seq } = admission;
        let now = Instant::now();
        let mut call = Self {
            signaling: Some(signaling),
            keys: SharedKeys::with_wall_clock(link, welcome.call, &options.name, options.wall_clock)?,
            tokens: welcome.tokens.clone(),
            welcome,
            seat: Seat(0),
            has_joined: false,
            exchange_keys: options.exchange_keys,
            automatic: options.subscribe,
            requests: Requests::default(),
            retries: Retries::default(),
            inbox: Inbox::starting_after(seq),
            pulse: Pulse::starting(now),
            members: Members::expecting(&options.known),
            clock_check_at: now,
            media_flows: true,
            replay_barrier: None,
            batches_to_repeat: Vec::new(),
            chats: BTreeMap::new(),
            last_chat: 0,
            ready: VecDeque::new(),
        };
        call.run_actions()?;
        call.wait_until_joined().await?;
        Ok(call)
    }

    async fn wait_until_joined(&mut self) -> Result<(), CallError> {
        loop {
            let incoming = match &mut self.signaling {
                Some(signaling) => signaling.next().await?.ok_or(SignalingError::Ended)?,
                None => return Err(SignalingError::Ended.into()),
            };
            match &incoming {
                Incoming::Received { received: Received::Message { message, .. }, .. } => match message {
                    ServerMessage::Joined(_) => return self.dispatch(incoming),
                    ServerMessage::Error(error) => return Err(error.clone().into()),
                    _ => self.dispatch(incoming)?,
                },
                _ => self.dispatch(incoming)?,
            }
        }
    }

    /// Codecs, header extensions, limits and participant id, as the server sent them.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// This client's seat.
    #[must_use]
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// The session keys, for the media path.
    #[must_use]
    pub fn keys(&self) -> SharedKeys {
        self.keys.clone()
    }

    /// The next event. Cancel safe. Without a connection this only returns once the session has ended.
    ///
    /// # Errors
    /// [`CallError`]: the connection is lost, the session has ended, or the server has ended the call for this client.
    pub async fn next(&mut self) -> Result<CallEvent, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            // Without a connection the session can only notice that it has ended.
            let clock_check = tokio::time::Instant::from_std(self.clock_check_at);
            let session_due = if self.is_attached() { self.keys.deadline() } else { Some(clock_check) };
            let connection_due = self.connection_deadline().map(tokio::time::Instant::from_std);
            let deadline = session_due.into_iter().chain(connection_due).min();
            let incoming = async {
                match &mut self.signaling {
                    Some(signaling) => signaling.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                incoming = incoming => {
                    let incoming = incoming?.ok_or(SignalingError::Ended)?;
                    self.dispatch(incoming)?;
                }
                () = sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => {
                    self.tick()?;
                }
                () = self.keys.key_missing() => self.tick()?,
            }
        }
    }

    /// When [`Self::keep_alive`] is due.
    fn connection_deadline(&self) -> Option<Instant> {
        self.signaling.as_ref()?;
        let deadlines = [self.inbox.ack_at(), self.members.deadline(), self.retries.deadline()];
        deadlines.into_iter().flatten().chain([self.pulse.deadline()]).min()
    }

    fn tick(&mut self) -> Result<(), CallError> {
        let now = tokio::time::Instant::now().into_std();
        self.clock_check_at = now + CLOCK_CHECK_INTERVAL;
        match self.keys.handle(Event::Tick) {
            // The session has queued an action that says why.
            Ok(()) | Err(EventError::Ended) => self.run_actions()?,
            Err(error) => return Err(error.into()),
        }
        if self.is_attached() { self.keep_alive(now) } else { Ok(()) }
    }

    /// Sends the signs of life and acknowledgements that are due.
    fn keep_alive(&mut self, now: Instant) -> Result<(), CallError> {
        let media_leaves = self.media_flows && self.keys.sealed_within(HEARTBEAT_INTERVAL);
        match self.pulse.poll(now, media_leaves) {
            Some(Beat::Heartbeat) => {
                self.send_only(ClientMessage::Heartbeat(Empty {}))?;
            }
            Some(Beat::Ping) => self.ping(0)?,
            Some(Beat::Dead) => return Err(SignalingError::Silent.into()),
            None => {}
        }
        if let Some(seq) = self.inbox.take_ack(now) {
            self.send_only(ClientMessage::Ack(Ack { seq }))?;
        }
        for number in self.retries.due(now) {
            self.send_again(number)?;
        }
        let gone = self.members.expired(now);
        self.report(gone)
    }

    /// Checks soon whether the server still answers: something else suggests that the network is gone.
    pub fn probe(&mut self) {
        self.pulse.probe(tokio::time::Instant::now().into_std());
    }

    /// Says whether sealed frames reach the network. While they do not, the server is sent heartbeats.
    pub fn set_media_flows(&mut self, flows: bool) {
        self.media_flows = flows;
    }

    /// Leaves the call and closes the connection. Without a connection, the server learns of it when the hold of the
    /// session ends.
    pub async fn leave(self) {
        let _ = self.send_only(ClientMessage::Leave(Empty {}));
        if let Some(signaling) = self.signaling {
            signaling.close().await;
        }
    }
}
