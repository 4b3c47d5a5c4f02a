//! A joined call: its event loop, until one side ends it.

#[cfg(feature = "device-audio")]
use super::device;
use super::{output::Output, playback::Played, recording::Recording, screen::Files, writing};
use crate::stop::StopSignal;
use std::time::{Duration, Instant};
use tacet_native::client::{Client, ClientError, ClientEvent, EndReason, Events};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Interval, MissedTickBehavior, interval, sleep_until},
};

/// Time for the last played packets, and their retransmissions, to arrive before this client leaves.
const LINGER: Duration = Duration::from_millis(500);
/// Interval at which the status screen is drawn.
const DRAW_INTERVAL: Duration = Duration::from_millis(200);

/// A call that was joined.
pub(super) struct Participation {
    pub(super) client: Client,
    pub(super) events: Events,
    pub(super) players: JoinSet<anyhow::Result<Played>>,
    /// What is played, for the status screen.
    pub(super) playing: Vec<String>,
    /// Lines for the chat, until standard input ends.
    pub(super) written: Option<mpsc::Receiver<String>>,
    pub(super) recording: Recording,
    #[cfg(feature = "device-audio")]
    pub(super) devices: Option<device::Devices>,
    pub(super) output: Output,
    /// When to leave; `None` until that is known.
    pub(super) until: Option<Instant>,
}

/// Why the event loop ended.
enum End {
    /// The client ended by itself; `None` if its event queue closed without a reason.
    Client(Option<EndReason>),
    /// A file could not be played.
    Player(anyhow::Error),
    /// The time is up, or a signal arrived.
    Requested,
}

/// The next line for the chat; never if there is none.
async fn next_line(written: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(lines) = written
        && let Some(line) = lines.recv().await
    {
        return line;
    }
    *written = None;
    std::future::pending().await
}

/// What the event loop waits for besides events of the client.
struct Waits {
    stop: StopSignal,
    draw: Interval,
    joined: Instant,
}

impl Participation {
    /// Runs until the call is over, then leaves and finishes the recordings.
    ///
    /// # Errors
    /// If the client could not stay in the call, a file could not be played, or not everything could be recorded.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut draw = interval(DRAW_INTERVAL);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waits = Waits { stop: StopSignal::new()?, draw, joined: Instant::now() };
        // Tracks stay published until the end, since their last packets may have to be retransmitted.
        let mut finished = Vec::new();
        let end = self.run_until_end(&mut waits, &mut finished).await?;
        self.finish(end, waits.joined.elapsed()).await
    }

    async fn run_until_end(&mut self, waits: &mut Waits, finished: &mut Vec<Played>) -> anyhow::Result<End> {
        loop {
            let until = self.until.unwrap_or(waits.joined);
            tokio::select! {
                event = self.events.next() => match event {
                    None => return Ok(End::Client(None)),
                    Some(ClientEvent::Ended(reason)) => return Ok(End::Client(Some(reason))),
                    Some(event) => self.on_event(&event)?,
                },
                Some(played) = self.players.join_next() => {
                    if let Err(error) = self.on_played(played, finished)? {
                        return Ok(End::Player(error));
                    }
                }
                line = next_line(&mut self.written) => self.write(&line).await?,
                () = sleep_until(until.into()), if self.until.is_some() => return Ok(End::Requested),
                () = waits.stop.received() => return Ok(End::Requested),
                _ = waits.draw.tick() => {
                    let lines = self.playing.iter().cloned().chain(self.recording.status()).collect();
                    self.output.draw(&self.client, Files { lines }, waits.joined.elapsed())?;
                }
            }
        }
    }

    /// Writes a line in the chat.
    async fn write(&mut self, line: &str) -> anyhow::Result<()> {
        match writing::text(line) {
            Ok(text) => match self.client.say(text).await {
                Ok(()) => {}
                // The event that says why follows.
                Err(ClientError::Ended) => {}
                Err(error) => self.output.line(&error.to_string())?,
            },
            Err(error) => self.output.line(&error.to_string())?,
        }
        Ok(())
    }

    /// Plays, records and prints an event.
    fn on_event(&mut self, event: &ClientEvent) -> anyhow::Result<()> {
        #[cfg(feature = "device-audio")]
        if let (Some(devices), ClientEvent::MixedAudio(audio)) = (&self.devices, event) {
            devices.play(audio);
        }
        if let Some(error) = self.recording.on_event(event) {
            self.output.line(&error)?;
        }
        Ok(self.output.event(event)?)
    }

    /// A file has ended. When the last one has, this client leaves soon, unless --seconds is set.
    fn on_played(
        &mut self,
        played: Result<anyhow::Result<Played>, JoinError>,
        finished: &mut Vec<Played>,
    ) -> anyhow::Result<Result<(), anyhow::Error>> {
        match played? {
            Ok(track) => finished.push(track),
            Err(error) => return Ok(Err(error)),
        }
        if self.players.is_empty() && self.until.is_none() {
            self.until = Some(Instant::now() + LINGER);
        }
        Ok(Ok(()))
    }

    async fn finish(mut self, end: End, duration: Duration) -> anyhow::Result<()> {
        self.players.abort_all();
        let received = self.client.snapshot().received;
        self.client.leave().await;
        let reason = match &end {
            End::Client(Some(reason)) => reason.clone(),
            End::Client(None) | End::Player(_) | End::Requested => EndReason::Left,
        };
        self.output.event(&ClientEvent::Ended(reason))?;
        self.output.summary(duration, received)?;
        let recorded = self.recording.finish();
        match end {
            End::Player(error) => Err(error),
            End::Client(Some(reason)) if reason != EndReason::Left => Err(reason.into()),
            End::Client(_) | End::Requested => recorded,
        }
    }
}
