//! Signaling and keys of one participant in a call, without media.
//!
//! ```text
//!   Admission (hello, welcome) ──► Call ◄──► Signaling      one WebSocket at a time
//!                                   ├─ requests             what the server has not answered
//!                                   ├─ inbox                which of its messages have arrived
//!                                   ├─ pulse                signs of life in both directions
//!                                   ├─ members              who is here, and who is away
//!                                   └─ SharedKeys           the end-to-end encrypted session
//! ```
//! After [`Call::join`], [`Call::next`] drives the call: it passes key traffic between server and session, keeps the
//! connection alive, and returns what is left for the program to act on.
//!
//! A call outlives its WebSocket. When [`Call::next`] fails, the program may [`Call::detach`], open an [`Admission`] with
//! the [`Call::ticket`] while media goes on, and [`Call::attach`] it. Requests that are made meanwhile are sent then.

mod admission;
mod error;
mod event;
mod inbox;
mod members;
mod pulse;
mod requests;

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
    requests::{Requests, Subject},
};
use crate::{
    keys::{CLOCK_CHECK_INTERVAL, SharedKeys, WallClock},
    link::RoomLink,
    outbox::{Frame, Priority, StateKind},
    signaling::{Incoming, Received, Signaling, SignalingError},
    tls::Trust,
};
use e2ee_frames::{Action, Event, EventError, StreamId};
use std::{
    collections::VecDeque,
    time::{Instant, SystemTime},
};
use tacet_proto::{
    ClientEnvelope, ClientMessage, CloseCode, ErrorCode, ParticipantId, Seat, ServerMessage, TrackId,
    binary::{key_batch, key_request},
    bytes::Base64,
    client::{
        Ack, Announce, ClientTransport, Empty, Join, Ping, Publish, SlotsReady, Subscribe, TrackRef, Unsubscribe,
    },
    resume::Tokens,
    server::{ByeReason, ErrorMessage, Joined, Tracks, Welcome},
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
            inbox: Inbox::starting_after(seq),
            pulse: Pulse::starting(now),
            members: Members::expecting(&options.known),
            clock_check_at: now,
            media_flows: true,
            replay_barrier: None,
            batches_to_repeat: Vec::new(),
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

    /// What another connection needs in order to continue this call.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        Ticket {
            keys: self.keys.clone(),
            call: self.welcome.call,
            session: self.welcome.session,
            participant: self.welcome.participant,
            tokens: self.tokens.clone(),
            last_seq: self.inbox.last(),
        }
    }

    /// Whether the call has a connection.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.signaling.is_some()
    }

    /// Drops the connection. The session lives on, and requests wait for [`Call::attach`].
    pub fn detach(&mut self) {
        if self.signaling.take().is_some() {
            // Whether the path needs another restart will be known then; the answer to this one arrives if it was made.
            self.requests.withdraw(Subject::IceRestart);
            // A session that has ended accepts no events, and needs none.
            let _ = self.keys.handle(Event::Detached);
        }
    }

    /// Ends the connection without a goodbye, so that a successor of this session may take its place.
    pub fn hand_over(&mut self) -> impl Future<Output = ()> + Send + use<> {
        let signaling = self.signaling.take();
        async move {
            if let Some(signaling) = signaling {
                admission::hand_over(signaling).await;
            }
        }
    }

    /// Continues the call on another connection, whose [`Admission::continues`] is `session` or `seat`. With `seat` the
    /// server has forgotten everything else: transport, tracks and subscriptions have to be made again, and
    /// [`CallEvent::TrackList`] follows.
    ///
    /// # Errors
    /// If the server continues nothing, or the session has ended.
    pub fn attach(&mut self, admission: Admission) -> Result<(), CallError> {
        let Admission { signaling, welcome, seq } = admission;
        let fresh = match welcome.continues {
            Continues::Session => false,
            Continues::Seat => true,
            Continues::Participant | Continues::Nothing => return Err(CallError::OutOfOrder("welcome")),
        };
        self.keys.handle(Event::Attached { fresh })?;
        self.tokens = welcome.tokens.clone();
        self.welcome = welcome;
        self.signaling = Some(signaling);
        self.pulse = Pulse::starting(Instant::now());
        if fresh {
            self.inbox = Inbox::starting_after(seq);
            self.batches_to_repeat = self.requests.keep_key_batches();
            self.replay_barrier = None;
            self.run_actions()
        } else {
            let barrier = u64::from(self.requests.next_number());
            self.replay_barrier = Some(barrier);
            self.ping(barrier)?;
            self.run_actions()
        }
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
        let deadlines = [self.inbox.ack_at(), self.members.deadline()];
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
                self.send_only(Priority::State(StateKind::Heartbeat), ClientMessage::Heartbeat(Empty {}))?;
            }
            Some(Beat::Ping) => self.ping(0)?,
            Some(Beat::Dead) => return Err(SignalingError::Silent.into()),
            None => {}
        }
        if let Some(seq) = self.inbox.take_ack(now) {
            self.send_only(Priority::State(StateKind::Ack), ClientMessage::Ack(Ack { seq }))?;
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

    /// Sends this client's transport parameters to the server.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn transport(&mut self, local: ClientTransport) -> Result<(), CallError> {
        self.request_about(Subject::Transport, Priority::Control, ClientMessage::Transport(local)).map(drop)
    }

    /// Asks for new ICE credentials of the server for the same transport; [`CallEvent::Transport`] follows, to be answered
    /// by [`Call::transport`]. Returns the number of the request, which [`CallEvent::Refused`] repeats.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn restart_ice(&mut self) -> Result<u32, CallError> {
        self.request_about(Subject::IceRestart, Priority::Control, ClientMessage::IceRestart(Empty {}))
    }

    /// Publishes a track and opens its stream: frames can be sealed after [`CallEvent::StreamReady`]. Returns the
    /// number of the request, which [`CallEvent::Refused`] repeats.
    ///
    /// # Errors
    /// If the stream is already open; [`CallError`].
    pub fn publish(&mut self, stream: StreamId, track: Publish) -> Result<u32, CallError> {
        self.keys.handle(Event::StreamOpened(stream))?;
        let request = self.request(Priority::Control, ClientMessage::Publish(track))?;
        self.run_actions()?;
        Ok(request)
    }

    /// Unpublishes a track and closes its stream.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn unpublish(&mut self, stream: StreamId, track: TrackId) -> Result<(), CallError> {
        self.keys.handle(Event::StreamClosed(stream))?;
        self.request(Priority::Control, ClientMessage::Unpublish(TrackRef { track }))?;
        self.run_actions()
    }

    /// Closes a stream whose track the server refused, or has forgotten.
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
    /// [`CallError`].
    pub fn set_muted(&mut self, track: TrackId, muted: bool) -> Result<(), CallError> {
        let body = TrackRef { track };
        let message = if muted { ClientMessage::Mute(body) } else { ClientMessage::Unmute(body) };
        self.set_state(StateKind::Muted(track.0), message)
    }

    /// Subscribes to tracks, in addition to the current ones.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn subscribe(&mut self, tracks: &[TrackId]) -> Result<(), CallError> {
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Subscribe { auto: false, tracks: tracks.to_vec() };
            self.request(Priority::Control, ClientMessage::Subscribe(some))?;
        }
        Ok(())
    }

    /// Unsubscribes from tracks. Also ends the automatic subscription to new tracks that [`JoinOptions::subscribe`]
    /// requested.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn unsubscribe(&mut self, tracks: &[TrackId]) -> Result<(), CallError> {
        self.automatic = false;
        for tracks in tracks.chunks(TRACKS_PER_REQUEST) {
            let some = Unsubscribe { tracks: tracks.to_vec() };
            self.request(Priority::Control, ClientMessage::Unsubscribe(some))?;
        }
        Ok(())
    }

    /// Confirms that all slots up to this revision are applied; the server sends media in new slots only after that.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn slots_ready(&mut self, rev: u32) -> Result<(), CallError> {
        self.set_state(StateKind::SlotsReady, ClientMessage::SlotsReady(SlotsReady { rev }))
    }

    /// Leaves the call and closes the connection. Without a connection, the server learns of it when the hold of the
    /// session ends.
    pub async fn leave(self) {
        let _ = self.send_only(Priority::Control, ClientMessage::Leave(Empty {}));
        if let Some(signaling) = self.signaling {
            signaling.close().await;
        }
    }

    /// Makes a request, which is kept until the server answers it.
    fn request(&mut self, priority: Priority, message: ClientMessage) -> Result<u32, CallError> {
        self.request_about(Subject::Other, priority, message)
    }

    /// Requests a state; older unanswered requests for it are forgotten.
    fn set_state(&mut self, kind: StateKind, message: ClientMessage) -> Result<(), CallError> {
        self.request_about(Subject::State(kind), Priority::State(kind), message).map(drop)
    }

    fn request_about(
        &mut self,
        subject: Subject,
        priority: Priority,
        message: ClientMessage,
    ) -> Result<u32, CallError> {
        let number = self.requests.next_number();
        let text = ClientEnvelope { id: Some(number), message }.to_json();
        self.keep_and_send(number, priority, Frame::Text(text), subject)?;
        Ok(number)
    }

    fn keep_and_send(
        &mut self,
        number: u32,
        priority: Priority,
        frame: Frame,
        subject: Subject,
    ) -> Result<(), CallError> {
        self.requests.add(number, priority, frame.clone(), subject)?;
        match &self.signaling {
            // What is made before the barrier is sent with everything that is unanswered then.
            Some(signaling) if self.replay_barrier.is_none() => Ok(signaling.send(priority, frame)?),
            _ => Ok(()),
        }
    }

    /// Sends a message that has no answer, or whose answer does not matter.
    fn send_only(&self, priority: Priority, message: ClientMessage) -> Result<(), CallError> {
        let Some(signaling) = &self.signaling else { return Ok(()) };
        Ok(signaling.send(priority, Frame::Text(ClientEnvelope { id: None, message }.to_json()))?)
    }

    fn ping(&self, ms: u64) -> Result<(), CallError> {
        self.send_only(Priority::Keys, ClientMessage::Ping(Ping { ms }))
    }

    fn dispatch(&mut self, incoming: Incoming) -> Result<(), CallError> {
        let (seq, received) = match incoming {
            Incoming::Received { seq, received } => (seq, received),
            Incoming::Closed { code, reason } => return Err(CallError::Closed { code, reason }),
        };
        self.pulse.heard();
        if !self.inbox.accept(tokio::time::Instant::now().into_std(), seq) {
            return Ok(());
        }
        let refused = match received {
            Received::Announces(_) | Received::Keys(_) | Received::KeyRequest(_) if !self.exchange_keys => Ok(()),
            Received::Announces(body) => self.keys.handle(Event::Announces(&body)),
            Received::Keys(body) => self.keys.handle(Event::Keys(&body)),
            Received::KeyRequest(body) => self.keys.handle(Event::KeyRequest(&body)),
            Received::Unknown => Ok(()),
            Received::Message { re, message } => {
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
        if let ServerMessage::Error(error) = message {
            return self.refused(re, error);
        }
        if let Some(number) = re.and_then(|re| self.requests.answered(re)) {
            self.keys.handle(Event::KeyBatchAccepted { number })?;
        }
        let event = match message {
            ServerMessage::Joined(joined) => return self.joined(joined),
            // A half that the server made before it read the restart that it has yet to answer. If this client answered it,
            // the server would take that for the answer to the half that follows.
            ServerMessage::Transport(_) if self.requests.awaits(Subject::IceRestart) => {
                tracing::debug!("the server's half of the transport is outdated");
                return Ok(());
            }
            ServerMessage::Transport(transport) => CallEvent::Transport(transport),
            ServerMessage::TransportState(change) => CallEvent::TransportState(change.state),
            ServerMessage::Slots(slots) => CallEvent::Slots(slots),
            ServerMessage::Published(published) => CallEvent::Published { cid: published.cid, track: published.track },
            ServerMessage::Tracks(tracks) => CallEvent::Tracks(tracks),
            ServerMessage::Speakers(speakers) => CallEvent::Speakers(speakers.speakers),
            ServerMessage::Roster(roster) => {
                let changes = self.members.changed(&roster);
                return self.report(changes);
            }
            ServerMessage::Pong(pong) => {
                if let Some(tokens) = pong.tokens {
                    self.tokens = tokens;
                }
                return if self.replay_barrier == Some(pong.ms) { self.send_unanswered() } else { Ok(()) };
            }
            ServerMessage::Bye(bye) => {
                return Err(match bye.reason {
                    ByeReason::Restart => CallError::Restarting,
                    ByeReason::Left => CallError::Closed { code: CloseCode::Normal.code(), reason: "left".to_owned() },
                });
            }
            ServerMessage::Error(_)
            | ServerMessage::Challenge(_)
            | ServerMessage::Welcome(_)
            | ServerMessage::Ok(_) => return Ok(()),
        };
        self.ready.push_back(event);
        Ok(())
    }

    fn joined(&mut self, joined: Joined) -> Result<(), CallError> {
        self.seat = joined.seat;
        if let Some(tokens) = joined.tokens {
            self.tokens = tokens;
        }
        self.keys.handle(Event::Joined { seat: joined.seat })?;
        for number in std::mem::take(&mut self.batches_to_repeat) {
            self.send_again(number)?;
        }
        let changes = self.members.joined(tokio::time::Instant::now().into_std(), &joined.roster, joined.gathering);
        if std::mem::replace(&mut self.has_joined, true) {
            self.report(changes)?;
        } else {
            // The session has no keys that participants of an earlier one could know.
            self.ready.extend(changes);
        }
        self.ready.push_back(CallEvent::TrackList(joined.tracks.iter().map(|track| track.track).collect()));
        if !joined.tracks.is_empty() {
            let tracks = Tracks { add: joined.tracks, del: Vec::new(), upd: Vec::new() };
            self.ready.push_back(CallEvent::Tracks(tracks));
        }
        self.run_actions()
    }

    /// The server refused a request.
    fn refused(&mut self, re: Option<u32>, error: ErrorMessage) -> Result<(), CallError> {
        if let Some(re) = re {
            if error.code == ErrorCode::RateLimited {
                // It was not processed. The outbox spaces what it sends.
                return self.send_again(re);
            }
            // A key batch stays: its key must not be used before the server has accepted it.
            if !self.requests.is_key_batch(re) {
                self.requests.answered(re);
            }
        }
        self.ready.push_back(CallEvent::Refused { re, error });
        Ok(())
    }

    /// Sends an unanswered request again.
    fn send_again(&self, number: u32) -> Result<(), CallError> {
        match (self.requests.frame(number), &self.signaling) {
            (Some((priority, frame)), Some(signaling)) => Ok(signaling.send(priority, frame)?),
            _ => Ok(()),
        }
    }

    /// Everything that was sent before the connection was lost, and has an answer, is answered: sends the rest again.
    fn send_unanswered(&mut self) -> Result<(), CallError> {
        self.replay_barrier = None;
        if let Some(signaling) = &self.signaling {
            for (priority, frame) in self.requests.unanswered() {
                signaling.send(priority, frame)?;
            }
        }
        Ok(())
    }

    /// Queues changes of the roster and passes departures to the session.
    fn report(&mut self, changes: Vec<CallEvent>) -> Result<(), CallError> {
        let left: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                CallEvent::Left(participant) => Some(*participant),
                _ => None,
            })
            .collect();
        self.ready.extend(changes);
        if !left.is_empty() {
            self.keys.handle(Event::Left(&left))?;
        }
        self.run_actions()
    }

    /// Carries out the actions that the session has queued.
    fn run_actions(&mut self) -> Result<(), CallError> {
        while let Some(action) = self.keys.poll() {
            let event = match action {
                Action::SendAnnounce { first, announce, display } => {
                    self.send_announce(first, announce, display)?;
                    continue;
                }
                Action::SendKeyBatch { number: batch, body } => {
                    let number = self.requests.next_number();
                    let frame = Frame::Binary(key_batch(number, &body));
                    self.keep_and_send(number, Priority::Keys, frame, Subject::KeyBatch(batch))?;
                    continue;
                }
                Action::SendKeyRequest(wanted) => {
                    let number = self.requests.next_number();
                    let frame = Frame::Binary(key_request(number, &wanted));
                    self.keep_and_send(number, Priority::Keys, frame, Subject::Other)?;
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

    fn send_announce(&mut self, first: bool, announce: Vec<u8>, display: Vec<u8>) -> Result<(), CallError> {
        let (announce, display) = (Base64(announce), Base64(display));
        if !first {
            let renewal = Announce { announce, display };
            return self.request(Priority::Keys, ClientMessage::Announce(renewal)).map(drop);
        }
        let join = Join { announce, display, expects: self.members.expected() };
        self.request(Priority::Keys, ClientMessage::Join(join))?;
        if self.automatic {
            let all = Subscribe { auto: true, tracks: Vec::new() };
            self.request(Priority::Control, ClientMessage::Subscribe(all))?;
        }
        Ok(())
    }
}
