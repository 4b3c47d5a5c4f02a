//! Signaling and keys of one participant in a call, without media.
//!
//! [`Call::join`] sends `hello`, `join` and `subscribe` without waiting for answers that it does not need. After that,
//! [`Call::next`] drives the call: it passes key traffic between server and session, and returns what is left for the
//! program to act on.

use crate::{
    keys::SharedKeys,
    link::RoomLink,
    outbox::{Priority, StateKind},
    signaling::{Incoming, Signaling, SignalingError},
    tls::Trust,
};
use e2ee_frames::{Action, Ended, Event, EventError, Problem, SessionError, StreamId};
use std::collections::VecDeque;
use tacet_proto::{
    ClientMessage, ErrorCode, ParticipantId, Seat, ServerMessage, TrackId,
    bytes::{Base64, Fixed},
    client::{
        Announce, ClientTransport, Credential, Empty, Hello, Join, Publish, SlotsReady, Subscribe, TrackRef,
        Unsubscribe,
    },
    server::{ErrorMessage, Joined, ServerTransport, Slots, Speaker, Tracks, TransportState, Welcome},
};
use tokio::time::sleep_until;

/// Maximum number of tracks in one `subscribe` message.
const TRACKS_PER_REQUEST: usize = 50;

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
}

impl JoinOptions {
    /// Receives all tracks, exchanges keys, trusts public certificate authorities.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), trust: Trust::default(), subscribe: true, exchange_keys: true }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The signaling connection failed.
    #[error(transparent)]
    Signaling(#[from] SignalingError),
    /// The session cannot be made: the name is too long.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An event does not fit the state of the session.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The session has ended: leave, and join again.
    #[error("the session has ended: {0:?}")]
    Ended(Ended),
    /// The server refused a request.
    #[error("the server refused: {code:?}: {detail}")]
    Refused {
        /// Error code.
        code: ErrorCode,
        /// Human-readable explanation.
        detail: String,
    },
    /// The server closed the connection.
    #[error("the server closed the connection with {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Closed {
        /// WebSocket close code.
        code: u16,
        /// Human-readable explanation.
        reason: String,
    },
}

/// An event of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// The server's transport parameters.
    Transport(ServerTransport),
    /// State of the transport, as the server sees it.
    TransportState(TransportState),
    /// New slots and what they show; to be confirmed by [`Call::slots_ready`].
    Slots(Slots),
    /// The server has assigned an id to a track of this client.
    Published {
        /// The client's own name of the track.
        cid: String,
        /// Track id.
        track: TrackId,
    },
    /// The server's list of tracks has changed.
    Tracks(Tracks),
    /// The announce of a participant was verified with the link's secret.
    Verified {
        /// Participant id.
        participant: ParticipantId,
        /// Its seat, which is part of the KID of its frames.
        seat: Seat,
        /// The name that the participant chose.
        name: String,
    },
    /// A participant has left.
    Left(ParticipantId),
    /// The session has a key for a stream of this client: frames can be sealed.
    StreamReady(StreamId),
    /// A key of this sender was installed: retry held frames, request a key frame.
    KeyInstalled(ParticipantId),
    /// This client's own key was ratcheted or rotated: a participant joined or left, or the key was old.
    Generation {
        /// Key generation.
        generation: u32,
        /// Ratchet step within the generation.
        step: u8,
    },
    /// A message of a participant was rejected.
    Problem {
        /// The sender; `None` if it is unknown.
        participant: Option<ParticipantId>,
        /// Why it was rejected.
        problem: Problem,
    },
    /// Active speakers, loudest first.
    Speakers(Vec<Speaker>),
    /// The server refused a request.
    Refused {
        /// Number of the request.
        re: Option<u32>,
        /// Error code and text.
        error: ErrorMessage,
    },
}

/// A call that was joined.
#[derive(Debug)]
pub struct Call {
    signaling: Signaling,
    keys: SharedKeys,
    welcome: Welcome,
    seat: Seat,
    exchange_keys: bool,
    ready: VecDeque<CallEvent>,
}

impl Call {
    /// Joins the call in the link's room.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join(link: &RoomLink, options: &JoinOptions) -> Result<Self, CallError> {
        let mut signaling = Signaling::connect(link, options.trust).await?;
        let hello = Hello {
            room: link.room(),
            credential: Credential::GuestAccess { token: Fixed(e2ee_frames::access_token(link.invite())) },
            client: concat!("tacet-native/", env!("CARGO_PKG_VERSION")).to_owned(),
            features: Vec::new(),
            resume: None,
        };
        signaling.send(Priority::Keys, ClientMessage::Hello(hello))?;
        let welcome = loop {
            if let ServerMessage::Welcome(welcome) = answer(&mut signaling).await? {
                break welcome;
            }
        };
        let keys = SharedKeys::new(link, welcome.call, &options.name)?;
        while let Some(action) = keys.poll() {
            if let Action::SendAnnounce { announce, display, .. } = action {
                let join = Join { announce: Base64(announce), display: Base64(display), expects: Vec::new() };
                signaling.send(Priority::Keys, ClientMessage::Join(join))?;
            }
        }
        if options.subscribe {
            let all = Subscribe { auto: true, tracks: Vec::new() };
            signaling.send(Priority::Control, ClientMessage::Subscribe(all))?;
        }
        let mut call = Self {
            signaling,
            keys,
            welcome,
            seat: Seat(0),
            exchange_keys: options.exchange_keys,
            ready: VecDeque::new(),
        };
        call.wait_until_joined().await?;
        Ok(call)
    }

    async fn wait_until_joined(&mut self) -> Result<(), CallError> {
        loop {
            let incoming = self.signaling.next().await?.ok_or(SignalingError::Ended)?;
            match incoming {
                Incoming::Message { message: ServerMessage::Joined(joined), .. } => return self.joined(joined),
                Incoming::Message { message: ServerMessage::Error(error), .. } => {
                    return Err(CallError::Refused { code: error.code, detail: error.detail });
                }
                other => self.dispatch(other)?,
            }
        }
    }

    fn joined(&mut self, joined: Joined) -> Result<(), CallError> {
        self.seat = joined.seat;
        self.keys.handle(Event::Joined { seat: joined.seat })?;
        if !joined.tracks.is_empty() {
            let tracks = Tracks { add: joined.tracks, del: Vec::new(), upd: Vec::new() };
            self.ready.push_back(CallEvent::Tracks(tracks));
        }
        self.run_actions()
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

    /// The next event. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Closed`] when the server has ended the call for this client; [`CallError`].
    pub async fn next(&mut self) -> Result<CallEvent, CallError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let deadline = self.keys.deadline();
            tokio::select! {
                incoming = self.signaling.next() => {
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

    fn tick(&mut self) -> Result<(), CallError> {
        match self.keys.handle(Event::Tick) {
            // The session has queued an action that says why.
            Ok(()) | Err(EventError::Ended) => self.run_actions(),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends this client's transport parameters to the server.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn transport(&self, local: ClientTransport) -> Result<(), CallError> {
        self.signaling.send(Priority::Control, ClientMessage::Transport(local))?;
        Ok(())
    }

    /// Publishes a track and opens its stream: frames can be sealed after [`CallEvent::StreamReady`]. Returns the
    /// number of the request, which [`CallEvent::Refused`] repeats.
    ///
    /// # Errors
    /// If the stream is already open, or the connection has ended.
    pub fn publish(&mut self, stream: StreamId, track: Publish) -> Result<u32, CallError> {
        self.keys.handle(Event::StreamOpened(stream))?;
        let request = self.signaling.send(Priority::Control, ClientMessage::Publish(track))?;
        self.run_actions()?;
        Ok(request)
    }

    /// Unpublishes a track and closes its stream.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn unpublish(&mut self, stream: StreamId, track: TrackId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.signaling.send(Priority::Control, ClientMessage::Unpublish(TrackRef { track }))?;
        self.run_actions()
    }

    /// Closes a stream whose track the server refused.
    ///
    /// # Errors
    /// If the session has ended.
    pub fn close_stream(&mut self, stream: StreamId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.run_actions()
    }

    /// Tells the server whether a track is muted. Stop sending before muting; resume sending after unmuting.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn set_muted(&self, track: TrackId, muted: bool) -> Result<(), CallError> {
        let body = TrackRef { track };
        let message = if muted { ClientMessage::Mute(body) } else { ClientMessage::Unmute(body) };
        self.signaling.send(Priority::State(StateKind::Muted(track.0)), message)?;
        Ok(())
    }

    /// Subscribes to tracks, in addition to the current ones.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn subscribe(&self, tracks: &[TrackId]) -> Result<(), CallError> {
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Subscribe { auto: false, tracks: tracks.to_vec() };
            self.signaling.send(Priority::Control, ClientMessage::Subscribe(some))?;
        }
        Ok(())
    }

    /// Unsubscribes from tracks. Also ends the automatic subscription to new tracks that [`JoinOptions::subscribe`]
    /// requested.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn unsubscribe(&self, tracks: &[TrackId]) -> Result<(), CallError> {
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Unsubscribe { tracks: tracks.to_vec() };
            self.signaling.send(Priority::Control, ClientMessage::Unsubscribe(some))?;
        }
        Ok(())
    }

    /// Confirms that all slots up to this revision are applied; the server sends media in new slots only after that.
    ///
    /// # Errors
    /// If the connection has ended.
    pub fn slots_ready(&self, rev: u32) -> Result<(), CallError> {
        let message = ClientMessage::SlotsReady(SlotsReady { rev });
        self.signaling.send(Priority::State(StateKind::SlotsReady), message)?;
        Ok(())
    }

    /// Leaves the call and closes the connection.
    pub async fn leave(self) {
        let _ = self.signaling.send(Priority::Control, ClientMessage::Leave(Empty {}));
        self.signaling.close().await;
    }

    fn dispatch(&mut self, incoming: Incoming) -> Result<(), CallError> {
        let refused = match incoming {
            Incoming::Closed { code, reason } => return Err(CallError::Closed { code, reason }),
            Incoming::Announces(_) | Incoming::Keys(_) | Incoming::KeyRequest(_) if !self.exchange_keys => Ok(()),
            Incoming::Announces(body) => self.keys.handle(Event::Announces(&body)),
            Incoming::Keys(body) => self.keys.handle(Event::Keys(&body)),
            Incoming::KeyRequest(body) => self.keys.handle(Event::KeyRequest(&body)),
            Incoming::Message { re, message } => {
                self.message(re, message)?;
                Ok(())
            }
        };
        if let Err(error) = refused {
            // A malformed message of another participant must not end the call.
            tracing::warn!(%error, "rejected key traffic of a participant");
        }
        self.run_actions()
    }

    fn message(&mut self, re: Option<u32>, message: ServerMessage) -> Result<(), CallError> {
        let event = match message {
            ServerMessage::Transport(transport) => CallEvent::Transport(transport),
            ServerMessage::TransportState(change) => CallEvent::TransportState(change.state),
            ServerMessage::Slots(slots) => CallEvent::Slots(slots),
            ServerMessage::Published(published) => CallEvent::Published { cid: published.cid, track: published.track },
            ServerMessage::Tracks(tracks) => CallEvent::Tracks(tracks),
            ServerMessage::Speakers(speakers) => CallEvent::Speakers(speakers.speakers),
            ServerMessage::Error(error) => CallEvent::Refused { re, error },
            ServerMessage::Roster(roster) => {
                self.ready.extend(roster.del.iter().copied().map(CallEvent::Left));
                self.keys.handle(Event::Left(&roster.del))?;
                return Ok(());
            }
            ServerMessage::Bye(bye) => {
                return Err(CallError::Closed { code: 1000, reason: format!("{:?}", bye.reason).to_lowercase() });
            }
            ServerMessage::Challenge(_)
            | ServerMessage::Welcome(_)
            | ServerMessage::Joined(_)
            | ServerMessage::Ok(_)
            | ServerMessage::Pong(_) => return Ok(()),
        };
        self.ready.push_back(event);
        Ok(())
    }

    /// Carries out the actions that the session has queued.
    fn run_actions(&mut self) -> Result<(), CallError> {
        while let Some(action) = self.keys.poll() {
            let event = match action {
                Action::SendAnnounce { first: true, .. } => continue,
                Action::SendAnnounce { announce, display, .. } => {
                    let renewal = Announce { announce: Base64(announce), display: Base64(display) };
                    self.signaling.send(Priority::Keys, ClientMessage::Announce(renewal))?;
                    continue;
                }
                Action::SendKeyBatch { number, body } => {
                    self.signaling.send_key_batch(&body)?;
                    self.keys.handle(Event::KeyBatchAccepted { number })?;
                    continue;
                }
                Action::SendKeyRequest(wanted) => {
                    self.signaling.send_key_request(&wanted)?;
                    continue;
                }
                Action::ParticipantVerified { participant, seat, name } => {
                    CallEvent::Verified { participant, seat, name }
                }
                Action::ParticipantRemoved { participant } => CallEvent::Left(participant),
                Action::StreamReady { stream } => CallEvent::StreamReady(stream),
                Action::KeyInstalled { participant, .. } => CallEvent::KeyInstalled(participant),
                Action::Problem { participant, problem } => {
                    CallEvent::Problem { participant: (participant.0 != u32::MAX).then_some(participant), problem }
                }
                Action::GenerationChanged { generation, step } => CallEvent::Generation { generation, step },
                Action::Ended(reason) => return Err(CallError::Ended(reason)),
            };
            // Both the session and the roster report that a participant left.
            if self.ready.back() != Some(&event) {
                self.ready.push_back(event);
            }
        }
        Ok(())
    }
}

/// The next JSON message. Error messages and the end of the connection are errors.
async fn answer(signaling: &mut Signaling) -> Result<ServerMessage, CallError> {
    loop {
        match signaling.next().await?.ok_or(SignalingError::Ended)? {
            Incoming::Message { message: ServerMessage::Error(error), .. } => {
                return Err(CallError::Refused { code: error.code, detail: error.detail });
            }
            Incoming::Message { message, .. } => return Ok(message),
            Incoming::Closed { code, reason } => return Err(CallError::Closed { code, reason }),
            Incoming::Announces(_) | Incoming::Keys(_) | Incoming::KeyRequest(_) => {}
        }
    }
}
