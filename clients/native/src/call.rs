//! A participant's place in a call: signaling and keys, without media.
//!
//! [`Call::join`] goes through `hello`, `join` and `subscribe` without waiting for answers that it does not need.
//! Afterwards [`Call::next`] is the whole life of the call: it passes key traffic to the session and its answers to
//! the server, and gives what is left for the program to act on.

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
    client::{ClientTransport, Credential, Empty, Hello, Join, Publish, SlotsReady, Subscribe, TrackRef, Unsubscribe},
    server::{ErrorMessage, Joined, ServerTransport, Slots, Speaker, Tracks, TransportState, Welcome},
};
use tokio::time::sleep_until;

/// Most tracks that one `subscribe` may name.
const TRACKS_PER_REQUEST: usize = 50;

/// How to join.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// The name to show others, which the server cannot read.
    pub name: String,
    /// How the server proves itself.
    pub trust: Trust,
    /// Whether to receive every track of the others, now and later.
    pub subscribe: bool,
    /// Whether to take part in key traffic. A load bot that opens no frame need not; it is shown to nobody then.
    pub exchange_keys: bool,
}

impl JoinOptions {
    /// Receives everything, exchanges keys, trusts public authorities.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), trust: Trust::default(), subscribe: true, exchange_keys: true }
    }
}

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The connection.
    #[error(transparent)]
    Signaling(#[from] SignalingError),
    /// The name.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// An event that does not fit the session.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The session is over: leave, and join anew.
    #[error("the session is over: {0:?}")]
    Ended(Ended),
    /// The server refuses the request.
    #[error("the server refuses: {code:?}: {detail}")]
    Refused {
        /// Why.
        code: ErrorCode,
        /// For people.
        detail: String,
    },
    /// The server has ended the connection.
    #[error("the server closed the connection with {code}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Closed {
        /// WebSocket close code.
        code: u16,
        /// For people.
        reason: String,
    },
}

/// What happens in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// The server's half of the media path.
    Transport(ServerTransport),
    /// The media path came up or broke, as the server sees it.
    TransportState(TransportState),
    /// New receiving sections and what is in which; to be confirmed by [`Call::slots_ready`].
    Slots(Slots),
    /// A track of this client has a number.
    Published {
        /// The client's own name of the track.
        cid: String,
        /// Its number.
        track: TrackId,
    },
    /// What others publish has changed.
    Tracks(Tracks),
    /// This participant is who it says, as far as the link tells.
    Verified {
        /// Who.
        participant: ParticipantId,
        /// Its seat, which its frames name.
        seat: Seat,
        /// The name it gave itself.
        name: String,
    },
    /// This participant has left.
    Left(ParticipantId),
    /// A stream of this client has a key: frames may be sealed.
    StreamReady(StreamId),
    /// A key of this sender became usable: retry held frames, ask for a key frame.
    KeyInstalled(ParticipantId),
    /// This client's own key in use has changed: somebody joined or left, or it was time.
    Generation {
        /// Key generation.
        generation: u32,
        /// Ratchet step in it.
        step: u8,
    },
    /// Something of a participant was refused.
    Problem {
        /// Whose; `None` if that is unknown.
        participant: Option<ParticipantId>,
        /// What.
        problem: Problem,
    },
    /// Who is loud.
    Speakers(Vec<Speaker>),
    /// The server refuses a request.
    Refused {
        /// The request.
        re: Option<u32>,
        /// Why.
        error: ErrorMessage,
    },
}

/// A place in a call.
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
    /// Enters the call of the link's room.
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
                let join = Join { announce: Base64(announce), display: Base64(display) };
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

    /// The server's tables and this client's number.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// This client's seat.
    #[must_use]
    pub fn seat(&self) -> Seat {
        self.seat
    }

    /// The keys, for the media path.
    #[must_use]
    pub fn keys(&self) -> SharedKeys {
        self.keys.clone()
    }

    /// What happens next. Cancel safe.
    ///
    /// # Errors
    /// [`CallError::Closed`] when the call is over for this client, and what else may go wrong.
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
                () = self.keys.stirred() => self.tick()?,
            }
        }
    }

    fn tick(&mut self) -> Result<(), CallError> {
        match self.keys.handle(Event::Tick) {
            // An action says why.
            Ok(()) | Err(EventError::Ended) => self.run_actions(),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the server this client's half of the media path.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn transport(&self, local: ClientTransport) -> Result<(), CallError> {
        self.signaling.send(Priority::Control, ClientMessage::Transport(local))?;
        Ok(())
    }

    /// Publishes a track, and opens its stream: [`CallEvent::StreamReady`] says when frames may be sealed. Gives the
    /// number of the request, which a refusal repeats.
    ///
    /// # Errors
    /// If the stream is open already, or the connection has ended.
    pub fn publish(&mut self, stream: StreamId, track: Publish) -> Result<u32, CallError> {
        self.keys.handle(Event::StreamOpened(stream))?;
        let request = self.signaling.send(Priority::Control, ClientMessage::Publish(track))?;
        self.run_actions()?;
        Ok(request)
    }

    /// Withdraws a track and closes its stream.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn unpublish(&mut self, stream: StreamId, track: TrackId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.signaling.send(Priority::Control, ClientMessage::Unpublish(TrackRef { track }))?;
        self.run_actions()
    }

    /// Closes a stream whose track the server refused.
    ///
    /// # Errors
    /// When the session is over.
    pub fn close_stream(&mut self, stream: StreamId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.run_actions()
    }

    /// Says whether a track is muted; this client has already stopped sending, or goes on only afterwards.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn set_muted(&self, track: TrackId, muted: bool) -> Result<(), CallError> {
        let body = TrackRef { track };
        let message = if muted { ClientMessage::Mute(body) } else { ClientMessage::Unmute(body) };
        self.signaling.send(Priority::State(StateKind::Muted(track.0)), message)?;
        Ok(())
    }

    /// Asks for tracks of others; those that are there already stay.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn subscribe(&self, tracks: &[TrackId]) -> Result<(), CallError> {
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Subscribe { auto: false, tracks: tracks.to_vec() };
            self.signaling.send(Priority::Control, ClientMessage::Subscribe(some))?;
        }
        Ok(())
    }

    /// Gives tracks back. Also ends the rule by which every new track comes, if [`JoinOptions::subscribe`] set it.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn unsubscribe(&self, tracks: &[TrackId]) -> Result<(), CallError> {
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Unsubscribe { tracks: tracks.to_vec() };
            self.signaling.send(Priority::Control, ClientMessage::Unsubscribe(some))?;
        }
        Ok(())
    }

    /// Says that all slots up to this revision are applied: only then does media flow in new ones.
    ///
    /// # Errors
    /// When the connection has ended.
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
            // What another participant sent does not end this one's call.
            tracing::warn!(%error, "key traffic refused");
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
            ServerMessage::Bye(bye) => return Err(CallError::Closed { code: 1000, reason: bye.reason }),
            ServerMessage::Challenge(_)
            | ServerMessage::Welcome(_)
            | ServerMessage::Joined(_)
            | ServerMessage::Ok(_)
            | ServerMessage::Pong(_) => return Ok(()),
        };
        self.ready.push_back(event);
        Ok(())
    }

    /// Does what the session wants done.
    fn run_actions(&mut self) -> Result<(), CallError> {
        while let Some(action) = self.keys.poll() {
            let event = match action {
                Action::SendAnnounce { first: true, .. } => continue,
                Action::SendAnnounce { announce, display, .. } => {
                    let renewal = Join { announce: Base64(announce), display: Base64(display) };
                    self.signaling.send(Priority::Keys, ClientMessage::Announce(renewal))?;
                    continue;
                }
                Action::SendKeyBatch(body) => {
                    self.signaling.send_key_batch(&body)?;
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
            // The session and the roster both tell of a leave.
            if self.ready.back() != Some(&event) {
                self.ready.push_back(event);
            }
        }
        Ok(())
    }
}

/// The next JSON message; refusals and the end of the connection are errors.
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
