//! The task of a client: one connection after another, until the application leaves or the room ends.
//!
//! ```text
//!            ┌──────────────────────────── a new connection, new keys ◄───────────────┐
//!            ▼                                                                        │
//!   live: signaling, media, commands, 20 ms ticks ── lost ──► again: wait, try ───────┤
//!            │                                                  │ too long, or final  │ failed: wait longer
//!            └── left, room ended ─────────► ended ◄────────────┘                     ▼
//! ```

use super::{
    ClientError,
    connection::{Connection, Step},
    end::{EndReason, Fate, Loss},
    event::{ClientEvent, ConnectionState},
    lasting::Lasting,
    options::Receive,
    random::chance,
    sending::Publication,
    snapshot::Received,
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

/// Blocks of sound are handed out this often, and everything else that waits for time is looked at.
const TICK: Duration = Duration::from_millis(20);
/// Ticks between two snapshots.
const SNAPSHOT_TICKS: u32 = 10;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the application wants done.
#[derive(Debug)]
pub(super) enum Command {
    /// To publish this.
    Publish(Publication, oneshot::Sender<Result<(), ClientError>>),
    /// To receive these tracks.
    Subscribe(Vec<TrackId>),
    /// To receive them no longer.
    Unsubscribe(Vec<TrackId>),
    /// To have a key frame of this source.
    AskForKeyFrame(ParticipantId, Source),
}

/// The task.
pub(super) struct Driver<G> {
    engine: Arc<G>,
    link: RoomLink,
    lasting: Lasting,
    commands: mpsc::Receiver<Command>,
    ticks: Interval,
    tick: u32,
}

impl<G: Engine> Driver<G> {
    pub(super) fn new(engine: Arc<G>, link: RoomLink, lasting: Lasting, commands: mpsc::Receiver<Command>) -> Self {
        let mut ticks = interval(TICK);
        // Sound is handed out block for block: what a stall has delayed comes at once after it.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self { engine, link, lasting, commands, ticks, tick: 0 }
    }

    /// Runs until the call is over for this client; tells why.
    pub(super) async fn run(mut self, mut connection: Connection<G>) {
        let reason = loop {
            self.lasting.enter(ConnectionState::Joined);
            let fate = self.live(&mut connection).await;
            let goodbye = timeout(GOODBYE, connection.close());
            let loss = match fate {
                Fate::End(reason) => {
                    let _ = goodbye.await;
                    break reason;
                }
                Fate::Again(loss) => loss,
            };
            // The old path is torn down beside the new one's making.
            tokio::spawn(goodbye);
            match self.again(loss).await {
                Ok(made) => connection = made,
                Err(reason) => break reason,
            }
        };
        self.lasting.forget();
        self.lasting.publish_snapshot(Received::default());
        self.lasting.outlet.event(ClientEvent::Ended(reason));
    }

    /// Lives with a connection until it is lost or the call is over.
    async fn live(&mut self, connection: &mut Connection<G>) -> Fate {
        loop {
            let wake = self.lasting.wake.clone();
            let done = tokio::select! {
                input = connection.next() => connection.handle(input, &mut self.lasting).await,
                command = self.commands.recv() => match command {
                    None => Err(Fate::End(EndReason::Left)),
                    Some(command) => {
                        let step = self.command(command);
                        connection.step(step, &mut self.lasting).await
                    }
                },
                () = wake.notified() => connection.attend(&mut self.lasting).await,
                _ = self.ticks.tick() => {
                    let now = Instant::now();
                    self.tick(now, connection.received());
                    connection.look(now, &mut self.lasting).await
                }
            };
            if let Err(fate) = done {
                return fate;
            }
            if self.lasting.outlet.is_unread() {
                return Fate::End(EndReason::EventsUnread);
            }
        }
    }

    /// Makes a new connection after a loss.
    async fn again(&mut self, mut loss: Loss) -> Result<Connection<G>, EndReason> {
        let lost_at = Instant::now();
        let mut attempt = 0;
        loop {
            let Some(wait) = self.lasting.options.reconnect.wait(attempt, lost_at.elapsed(), chance()) else {
                return Err(EndReason::GaveUp { lost: lost_at.elapsed(), last: loss });
            };
            attempt += 1;
            // First the state: whoever goes now has not left, but is out of sight.
            self.lasting.enter(ConnectionState::Reconnecting { attempt, cause: loss });
            self.lasting.forget();
            self.meanwhile(sleep(wait)).await?;
            // What the attempt needs to know is copied: commands may change it meanwhile.
            let (engine, link, options) = (self.engine.clone(), self.link.clone(), self.lasting.joining());
            match self.meanwhile(Connection::open(engine, &link, options)).await? {
                Ok(connection) => return Ok(connection),
                Err(error) => match Fate::from(error) {
                    Fate::End(reason) => return Err(reason),
                    Fate::Again(next) => loss = next,
                },
            }
        }
    }

    /// Waits for something without a connection; sound goes on, silent, and the application is heard.
    async fn meanwhile<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, EndReason> {
        tokio::pin!(awaited);
        loop {
            let wake = self.lasting.wake.clone();
            tokio::select! {
                done = &mut awaited => return Ok(done),
                command = self.commands.recv() => match command {
                    None => return Err(EndReason::Left),
                    // What it means for a connection, the next one finds.
                    Some(command) => drop(self.command(command)),
                },
                () = wake.notified() => self.lasting.idle(),
                _ = self.ticks.tick() => self.tick(Instant::now(), Received::default()),
            }
            if self.lasting.outlet.is_unread() {
                return Err(EndReason::EventsUnread);
            }
        }
    }

    fn tick(&mut self, now: Instant, received: Received) {
        self.lasting.sound(now);
        self.tick = self.tick.wrapping_add(1);
        if self.tick.is_multiple_of(SNAPSHOT_TICKS) {
            self.lasting.publish_snapshot(received);
        }
    }

    /// Does what a command changes for good; gives what it means for the present connection.
    fn command(&mut self, command: Command) -> Step {
        match command {
            Command::Publish(publication, answer) => {
                let _ = answer.send(self.lasting.take_publication(publication));
                Step::Attend
            }
            Command::Subscribe(tracks) => {
                self.lasting.chosen.extend(&tracks);
                Step::Subscribe(tracks)
            }
            Command::Unsubscribe(tracks) => {
                self.lasting.choose_all_but(&tracks);
                Step::Unsubscribe(tracks)
            }
            Command::AskForKeyFrame(participant, source) => {
                self.lasting.roster.track(participant, source).map_or(Step::Attend, Step::AskSender)
            }
        }
    }
}

impl Lasting {
    /// Takes a publication, unless its source is published.
    fn take_publication(&mut self, publication: Publication) -> Result<(), ClientError> {
        self.publications.retain(|known| !known.closed());
        let source = publication.source();
        if self.publications.iter().any(|known| known.source() == source) {
            return Err(ClientError::AlreadyPublished(source));
        }
        self.publications.push(publication);
        Ok(())
    }

    /// From now on what is received is a choice, which these are not in.
    fn choose_all_but(&mut self, tracks: &[TrackId]) {
        if self.receive != Receive::Chosen {
            self.chosen = self.roster.all_tracks().collect();
            self.receive = Receive::Chosen;
        }
        self.chosen.retain(|track| !tracks.contains(track));
    }
}
