//! The task of a client: one connection after another, until the application leaves or the room ends.
//!
//! ```text
//!            ┌─────────────────── new connection, new keys ◄──────────────────┐
//!            ▼                                                                │
//!   run_connection: signaling, media,  ── lost ──► reconnect: wait, try ──────┤
//!     commands, 20 ms ticks                            │ gave up, or final    │ failed: wait longer
//!            └── left, room ended ──────► ended ◄──────┘                      ▼
//! ```

use super::{
    ClientError,
    connection::{Connection, ConnectionRequest},
    disconnect::{ConnectionEnd, DisconnectReason, EndReason},
    event::{ClientEvent, ConnectionState},
    local_track::LocalTrack,
    random::random_fraction,
    session_state::SessionState,
    snapshot::ReceiverStatistics,
};
use crate::{link::RoomLink, media::Engine};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::{ParticipantId, TrackId, media::Source};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};

/// Interval of audio blocks and of everything else that depends on time.
const TICK: Duration = Duration::from_millis(20);
/// Ticks between two snapshots.
const SNAPSHOT_TICKS: u32 = 10;
/// Maximum time for closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A request of the application.
#[derive(Debug)]
pub(super) enum Command {
    Publish(LocalTrack, oneshot::Sender<Result<(), ClientError>>),
    Subscribe(Vec<TrackId>),
    Unsubscribe(Vec<TrackId>),
    /// Request a key frame of a participant's source.
    RequestKeyFrame(ParticipantId, Source),
}

/// The client's task.
pub(super) struct Driver<G> {
    engine: Arc<G>,
    link: RoomLink,
    session: SessionState,
    commands: mpsc::Receiver<Command>,
    ticks: Interval,
    tick: u32,
}

impl<G: Engine> Driver<G> {
    pub(super) fn new(
        engine: Arc<G>,
        link: RoomLink,
        session: SessionState,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let mut ticks = interval(TICK);
        // Audio is delivered block by block: the blocks that a stall delayed follow at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self { engine, link, session, commands, ticks, tick: 0 }
    }

    /// Runs until the call is over for this client, and emits the reason.
    pub(super) async fn run(mut self, mut connection: Connection<G>) {
        let reason = loop {
            self.session.set_connection_state(ConnectionState::Joined);
            let end = self.run_connection(&mut connection).await;
            let closing = timeout(CLOSE_TIMEOUT, connection.close());
            let cause = match end {
                ConnectionEnd::Final(reason) => {
                    let _ = closing.await;
                    break reason;
                }
                ConnectionEnd::Reconnect(cause) => cause,
            };
            // The old connection closes while the new one is made.
            tokio::spawn(closing);
            match self.reconnect(cause).await {
                Ok(made) => connection = made,
                Err(reason) => break reason,
            }
        };
        self.session.reset_connection();
        self.session.publish_snapshot(ReceiverStatistics::default());
        self.session.events().emit(ClientEvent::Ended(reason));
    }

    /// Runs a connection until it is lost or the call is over.
    async fn run_connection(&mut self, connection: &mut Connection<G>) -> ConnectionEnd {
        loop {
            let wake = self.session.wake();
            let result = tokio::select! {
                event = connection.next() => connection.handle(event, &mut self.session).await,
                command = self.commands.recv() => match command {
                    None => Err(ConnectionEnd::Final(EndReason::Left)),
                    Some(command) => {
                        let request = self.handle_command(command);
                        connection.request(request, &mut self.session).await
                    }
                },
                () = wake.notified() => connection.reconcile_tracks(&mut self.session).await,
                _ = self.ticks.tick() => {
                    let now = Instant::now();
                    self.on_tick(now, connection.statistics());
                    connection.on_tick(now, &mut self.session).await
                }
            };
            if let Err(end) = result {
                return end;
            }
            if self.session.events().has_overflowed() {
                return ConnectionEnd::Final(EndReason::EventsUnread);
            }
        }
    }

    /// Makes a new connection after one was lost.
    async fn reconnect(&mut self, mut cause: DisconnectReason) -> Result<Connection<G>, EndReason> {
        let lost_at = Instant::now();
        let mut attempt = 0;
        loop {
            let policy = self.session.options().reconnect;
            let Some(wait) = policy.delay(attempt, lost_at.elapsed(), random_fraction()) else {
                return Err(EndReason::GaveUp { after: lost_at.elapsed(), last: cause });
            };
            attempt += 1;
            // The state comes first: participants that disappear now have not left, but are out of sight.
            self.session.set_connection_state(ConnectionState::Reconnecting { attempt, cause });
            self.session.reset_connection();
            self.while_disconnected(sleep(wait)).await?;
            // The attempt owns what it needs, since commands may change the session meanwhile.
            let (engine, link, options) = (self.engine.clone(), self.link.clone(), self.session.join_options());
            match self.while_disconnected(Connection::open(engine, &link, options)).await? {
                Ok(connection) => return Ok(connection),
                Err(error) => match ConnectionEnd::from(error) {
                    ConnectionEnd::Final(reason) => return Err(reason),
                    ConnectionEnd::Reconnect(next) => cause = next,
                },
            }
        }
    }

    /// Awaits something without a connection. Meanwhile audio goes on, silent, and commands are accepted.
    async fn while_disconnected<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, EndReason> {
        tokio::pin!(awaited);
        loop {
            let wake = self.session.wake();
            tokio::select! {
                done = &mut awaited => return Ok(done),
                command = self.commands.recv() => match command {
                    None => return Err(EndReason::Left),
                    // The next connection starts from the session, which the command has changed.
                    Some(command) => drop(self.handle_command(command)),
                },
                () = wake.notified() => self.session.discard_input(),
                _ = self.ticks.tick() => self.on_tick(Instant::now(), ReceiverStatistics::default()),
            }
            if self.session.events().has_overflowed() {
                return Err(EndReason::EventsUnread);
            }
        }
    }

    fn on_tick(&mut self, now: Instant, received: ReceiverStatistics) {
        self.session.play_audio(now);
        self.tick = self.tick.wrapping_add(1);
        if self.tick.is_multiple_of(SNAPSHOT_TICKS) {
            self.session.publish_snapshot(received);
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
            Command::RequestKeyFrame(participant, source) => self
                .session
                .remote_track(participant, source)
                .map_or(ConnectionRequest::Reconcile, ConnectionRequest::RequestKeyFrame),
        }
    }
}
