//! The task of a client: one session after another, until the application leaves or the call ends.
//!
//! ```text
//!                      ┌──────────────── what was lost ─────────────────┐
//!                      ▼                                                │
//!   Repair ─ steps ─► Driver ─ requests ─► Connection: Call (signaling, keys) + Endpoint (media path)
//!                      ▲  └─ starts ─► attempt: another signaling connection, or another session
//!                      └──────────────────┘
//! ```
//! The driver owns the session, and its own ticks drive everything, heartbeats included: a process that is frozen seems
//! frozen to the others.

use super::{
    ClientError,
    connection::{
        Connection, ConnectionRequest,
        attempt::{Aim, Outcome, attempt},
    },
    disconnect::{ConnectionEnd, DisconnectReason, EndReason},
    event::{ClientEvent, ConnectionState},
    local_track::LocalTrack,
    random::random_fraction,
    repair::{Recovery, Repair, Step},
    session_state::SessionState,
    snapshot::ReceiverStatistics,
    tiles::VideoTile,
};
use crate::{
    call::{Admission, Call, CallError, Ticket},
    link::RoomLink,
    media::Engine,
};
use e2ee_frames::ChatContent;
use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};
use tacet_proto::{ParticipantId, TrackId, media::Source};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

/// Interval of audio blocks and of everything else that depends on time.
const TICK: Duration = Duration::from_millis(20);
/// Ticks between two snapshots.
const SNAPSHOT_TICKS: u32 = 10;
/// Maximum time for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Difference between this machine's clock and the server's that is reported.
const CLOCK_SKEW: i64 = 120;

/// A request of the application.
#[derive(Debug)]
pub(super) enum Command {
    Publish(LocalTrack, oneshot::Sender<Result<(), ClientError>>),
    Subscribe(Vec<TrackId>),
    Unsubscribe(Vec<TrackId>),
    Show(Vec<VideoTile>),
    Say(ChatContent, oneshot::Sender<Result<(), ClientError>>),
    /// Request a key frame of a participant's source.
    RequestKeyFrame(ParticipantId, Source),
}

/// An attempt to connect that is being made.
type Attempt = Pin<Box<dyn Future<Output = Result<Outcome, CallError>> + Send>>;

/// The client's task.
pub(super) struct Driver<G: Engine> {
    engine: Arc<G>,
    link: RoomLink,
    session: SessionState,
    connection: Connection<G>,
    repair: Repair,
    attempt: Option<Attempt>,
    /// Whether the server refuses to continue the session: the next attempt is that of a new participant.
    newcomer: bool,
    commands: mpsc::Receiver<Command>,
    ticks: Interval,
    tick: u32,
}

/// What the task waits for.
enum Woken {
    Connection(super::connection::ConnectionEvent),
    Attempt(Result<Outcome, CallError>),
    Command(Option<Command>),
    Input,
    Tick,
}

impl<G: Engine> Driver<G> {
    pub(super) fn new(
        engine: Arc<G>,
        link: RoomLink,
        session: SessionState,
        call: Call,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let mut ticks = interval(TICK);
        // Audio is delivered block by block: the blocks that a stall delayed follow at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let repair = Repair::new(Instant::now(), session.options().reconnect);
        let connection = Connection::new(engine.clone(), call);
        Self { engine, link, session, connection, repair, attempt: None, newcomer: false, commands, ticks, tick: 0 }
    }

    /// Runs until the call is over for this client, and emits the reason.
    pub(super) async fn run(mut self) {
        self.report_clock_skew();
        let reason = loop {
            if let Err(end) = self.step().await
                && let Some(reason) = self.lost(end)
            {
                break reason;
            }
            self.update_state();
            if self.session.events().has_overflowed() {
                break EndReason::EventsUnread;
            }
        };
        let Self { mut session, connection, link, .. } = self;
        let (goodbye, trust) = (connection.call().ticket(), session.options().trust);
        let unheard = reason == EndReason::Left && !connection.call().is_attached();
        let _ = timeout(CLOSE_TIMEOUT, connection.close()).await;
        if unheard {
            // If the server can be reached, the others need not wait for this participant.
            let _ = timeout(CLOSE_TIMEOUT, Admission::leave(&link, trust, goodbye)).await;
        }
        session.end();
        session.publish_snapshot(ReceiverStatistics::default());
        session.events().emit(ClientEvent::Ended(reason));
    }

    /// Repairs what is due, then waits for something to happen and handles it.
    async fn step(&mut self) -> Result<(), ConnectionEnd> {
        while let Some(step) = self.repair.poll(Instant::now()) {
            self.update_state();
            self.take(step).await?;
        }
        let wake = self.session.wake();
        let attempt = async {
            match &mut self.attempt {
                Some(attempt) => attempt.await,
                None => std::future::pending().await,
            }
        };
        let woken = tokio::select! {
            event = self.connection.next() => Woken::Connection(event),
            outcome = attempt => Woken::Attempt(outcome),
            command = self.commands.recv() => Woken::Command(command),
            () = wake.notified() => Woken::Input,
            _ = self.ticks.tick() => Woken::Tick,
        };
        match woken {
            Woken::Connection(event) => self.connection.handle(event, &mut self.session).await?,
            Woken::Attempt(outcome) => {
                self.attempt = None;
                self.finish_attempt(outcome).await?;
            }
            Woken::Command(None) => return Err(ConnectionEnd::Final(EndReason::Left)),
            Woken::Command(Some(command)) => {
                let request = self.handle_command(command);
                self.connection.request(request, &mut self.session).await?;
            }
            Woken::Input => self.connection.reconcile_tracks(&mut self.session).await?,
            Woken::Tick => {
                let now = Instant::now();
                self.on_tick(now);
                self.connection.on_tick(now, &mut self.session).await?;
            }
        }
        match self.connection.take_path_change() {
            Some(true) => self.repair.media_up(),
            Some(false) => return Err(DisconnectReason::MediaSilent.into()),
            None => {}
        }
        Ok(())
    }

    /// Takes a step of the repair.
    async fn take(&mut self, step: Step) -> Result<(), ConnectionEnd> {
        match step {
            Step::RestartIce => self.connection.restart_ice(&mut self.session).await,
            Step::Resume => {
                let ticket = self.connection.ticket();
                self.start_attempt(if self.newcomer { Aim::Newcomer } else { Aim::Continue(ticket) });
                Ok(())
            }
            Step::JoinAgain => {
                let ticket = self.connection.ticket();
                if self.newcomer {
                    self.start_attempt(Aim::Newcomer);
                } else if self.connection.call().is_attached() {
                    self.start_succession(ticket);
                } else {
                    self.start_attempt(Aim::Replace(ticket));
                }
                Ok(())
            }
            Step::GiveUp { after, last } => Err(ConnectionEnd::Final(EndReason::GaveUp { after, last })),
        }
    }

    fn start_attempt(&mut self, aim: Aim) {
        // The attempt owns what it needs, since commands may change the session meanwhile.
        self.attempt = Some(Box::pin(attempt(self.link.clone(), self.session.join_options(), aim)));
    }

    /// Sends the session away, then connects its successor.
    fn start_succession(&mut self, ticket: Ticket) {
        let away = self.connection.hand_over();
        let next = attempt(self.link.clone(), self.session.join_options(), Aim::Succeed(ticket));
        self.attempt = Some(Box::pin(async move {
            away.await;
            next.await
        }));
    }

    async fn finish_attempt(&mut self, outcome: Result<Outcome, CallError>) -> Result<(), ConnectionEnd> {
        match outcome {
            Ok(Outcome::Continued(admission)) => {
                let now = Instant::now();
                match self.connection.attach(admission, &mut self.session).await {
                    Ok(recovery) => self.repair.attached(now, recovery),
                    Err(ConnectionEnd::Final(reason)) => return Err(ConnectionEnd::Final(reason)),
                    Err(ConnectionEnd::Reconnect(cause)) => {
                        self.connection.detach();
                        self.repair.attempt_failed(now, cause.clone(), None, random_fraction());
                        return Err(cause.into());
                    }
                }
            }
            Ok(Outcome::Joined(call)) => {
                self.newcomer = false;
                let same = call.welcome().participant == self.connection.call().welcome().participant;
                let old = std::mem::replace(&mut self.connection, Connection::new(self.engine.clone(), *call));
                // The old media path closes while the new one is made.
                tokio::spawn(timeout(CLOSE_TIMEOUT, old.discard()));
                self.session.replace_media_path();
                self.session.replace_session();
                let recovery = if same { Recovery::JoinedAgain } else { Recovery::NewParticipant };
                self.repair.attached(Instant::now(), recovery);
            }
            Err(error) if error.refuses_return() && !self.newcomer => {
                self.newcomer = true;
                self.repair.session_refused(Instant::now());
            }
            Err(error) => match ConnectionEnd::from(&error) {
                ConnectionEnd::Final(reason) => return Err(ConnectionEnd::Final(reason)),
                ConnectionEnd::Reconnect(cause) => {
                    self.repair.attempt_failed(Instant::now(), cause, error.retry_after(), random_fraction());
                }
            },
        }
        Ok(())
    }

    /// Something was lost. Returns the reason if the call is over.
    fn lost(&mut self, end: ConnectionEnd) -> Option<EndReason> {
        let cause = match end {
            ConnectionEnd::Final(reason) => return Some(reason),
            ConnectionEnd::Reconnect(cause) => cause,
        };
        tracing::debug!(%cause, "connection lost");
        if matches!(cause, DisconnectReason::Signaling(_) | DisconnectReason::ServerRestarting) {
            self.connection.detach();
        }
        self.repair.lost(Instant::now(), cause, random_fraction());
        None
    }

    /// Emits the state of the connection if it has changed.
    fn update_state(&mut self) {
        if let Some(recovery) = self.repair.take_recovery() {
            self.session.events().emit(ClientEvent::Reconnected(recovery));
        }
        let state = match self.repair.outage() {
            Some((attempt, cause)) => ConnectionState::Reconnecting { attempt, cause: cause.clone() },
            None if self.repair.media_is_up() => ConnectionState::Connected,
            None => ConnectionState::Joined,
        };
        self.session.set_connection_state(state);
    }

    /// Emits how far this machine's clock is from the server's, if it is far.
    fn report_clock_skew(&mut self) {
        let wall = (self.session.options().wall_clock)();
        let now = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let server = self.connection.call().welcome().time / 1_000;
        let skew = now.cast_signed().saturating_sub(server.cast_signed());
        if skew.abs() >= CLOCK_SKEW {
            self.session.events().emit(ClientEvent::ClockSkew(skew));
        }
    }

    fn on_tick(&mut self, now: Instant) {
        self.session.play_audio(now);
        self.tick = self.tick.wrapping_add(1);
        if self.tick.is_multiple_of(SNAPSHOT_TICKS) {
            self.session.emit_call_code();
            self.session.publish_snapshot(self.connection.statistics());
        }
    }

    /// Applies a command to the session. Returns what it asks of the current connection.
    fn handle_command(&mut self, command: Command) -> ConnectionRequest {
        match command {
            Command::Publish(track, answer) => {
                let _ = answer.send(self.session.local_tracks_mut().add(track));
                ConnectionRequest::Reconcile
            }
            Command::Subscribe(tracks) => {
                self.session.subscriptions_mut().add(&tracks);
                ConnectionRequest::Subscribe(tracks)
            }
            Command::Unsubscribe(tracks) => {
                self.session.unsubscribe(&tracks);
                ConnectionRequest::Unsubscribe(tracks)
            }
            Command::Show(tiles) => {
                // The next tick tells the server.
                self.session.show(tiles);
                ConnectionRequest::Reconcile
            }
            Command::Say(content, answer) => ConnectionRequest::Say(content, answer),
            Command::RequestKeyFrame(participant, source) => self
                .session
                .remote_track(participant, source)
                .map_or(ConnectionRequest::Reconcile, ConnectionRequest::RequestKeyFrame),
        }
    }
}
