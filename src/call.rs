//! `tacet call`: a participant in the terminal, which plays and records files.

#[cfg(feature = "device-audio")]
mod device;
mod event_text;
mod play;
mod record;
mod screen;

use crate::{log, pin::pin, stop::StopSignal};
use anyhow::{Context, bail};
use clap::Args;
use play::{Pictures, Played, Sound};
use record::{PictureFiles, SoundFile};
use screen::{Files, Screen};
use std::{
    io::{self, Read, Write},
    path::PathBuf,
    time::{Duration, Instant},
};
use tacet_native::{
    QUIET_LIBRARIES,
    client::{AudioOptions, Client, ClientEvent, ClientOptions, EndReason, Events, Receive, VideoOptions},
    link::RoomLink,
    tls::Trust,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep_until},
};

/// How long the last of what was played may still travel before it leaves.
const LINGER: Duration = Duration::from_millis(500);
/// How often the status screen is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// Takes part in a call from the terminal
///
/// Joins the call of a room link, plays files into it and records what is heard and seen. Without anything to play it
/// listens. Frames are encrypted on this machine; when the connection is lost it joins again, with new keys.
///
/// It leaves after --seconds; without that, when what it plays has ended; without anything that ends, at Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES:
  tacet call 'http://127.0.0.1:8800/r/…#…'                         listen, and see who is there
  tacet call LINK --play hello.wav --record answer.wav --seconds 10
  tacet call LINK --video film.ivf --play film.wav --loop           a film for everyone
  tacet call LINK --record-video recordings --json                  for scripts: one event a line
  pass show room | tacet call - --name Bot                          a link that no process list shows

Put the link in quotes, and copy it whole: what stands behind # is the secret, and never leaves this machine.")]
pub(crate) struct Call {
    /// Room link, or - to read it from the standard input
    // Not parsed by clap, whose error would repeat the link with its secret.
    #[arg(value_name = "LINK")]
    link: String,
    /// The name that the others see; the server does not
    #[arg(long, value_name = "NAME", default_value = "Terminal")]
    name: String,
    /// WAV file to play, of any rate and depth
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
    /// WAV file for the sound of all others
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Pictures to show: .ivf with VP8, VP9, AV1 or H.264, or .y4m, which vpxenc encodes
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Folder for the pictures of the others, an IVF file for each
    #[arg(long, value_name = "DIR")]
    record_video: Option<PathBuf>,
    /// Use this machine's microphone and loudspeaker
    #[cfg(feature = "device-audio")]
    #[arg(long, conflicts_with = "play")]
    device_audio: bool,
    /// Play files again and again
    #[arg(long = "loop")]
    repeat: bool,
    /// Leave after this time
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// SHA-256 of the server's self-signed certificate, as it prints it at its start
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// Print one JSON object for each event
    #[arg(long)]
    json: bool,
    /// What to log on the standard error, such as debug or tacet_native=debug
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

impl Call {
    /// Takes part until it is over.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        log::start(QUIET_LIBRARIES, &self.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let result = runtime.block_on(self.take_part());
        // A thread that reads a file for nobody is not waited for.
        runtime.shutdown_background();
        result
    }

    fn link(&self) -> anyhow::Result<RoomLink> {
        let text = if self.link == "-" {
            let mut text = String::new();
            io::stdin().lock().take(4_096).read_to_string(&mut text).context("reading the link")?;
            text
        } else {
            self.link.clone()
        };
        text.parse().context("LINK is not a room link")
    }

    fn options(&self, link: &RoomLink) -> anyhow::Result<ClientOptions> {
        let trust = match self.pin {
            Some(_) if !link.is_secure() => bail!("--pin is for https://, and this link is not"),
            Some(pin) => Trust::Pinned(pin),
            None => Trust::PublicAuthorities,
        };
        let receive = if self.record_video.is_some() { Receive::Everything } else { Receive::Sound };
        Ok(ClientOptions { trust, receive, ..ClientOptions::new(&self.name) })
    }

    async fn take_part(self) -> anyhow::Result<()> {
        // All that can be wrong with what was asked is said before anybody sees this participant.
        let link = self.link()?;
        let options = self.options(&link)?;
        let lasts = self.seconds.map(Duration::try_from_secs_f64).transpose().context("--seconds")?;
        let sound = self.play.as_deref().map(|path| Sound::open(path, self.repeat)).transpose()?;
        let pictures = self.video.as_deref().map(|path| Pictures::open(path, self.repeat)).transpose()?;
        let recording = Recording {
            sound: self.record.as_deref().map(SoundFile::create).transpose()?,
            pictures: self.record_video.as_deref().map(PictureFiles::create).transpose()?,
            failed: false,
        };
        let (client, events) = Client::join(&link, options).await.context("cannot join")?;

        let mut players = JoinSet::new();
        let mut playing = Vec::new();
        if let (Some(sound), Some(path)) = (sound, &self.play) {
            let microphone = client.publish_audio(AudioOptions::default()).await?;
            players.spawn(sound.play(microphone));
            playing.push(format!("playing {}", path.display()));
        }
        if let (Some(pictures), Some(path)) = (pictures, &self.video) {
            let camera = client.publish_video(VideoOptions::camera(pictures.codec())).await?;
            players.spawn(pictures.play(camera));
            playing.push(format!("showing {}", path.display()));
        }
        #[cfg(feature = "device-audio")]
        let devices = match self.device_audio {
            true => Some(device::Devices::open(client.publish_audio(AudioOptions::default()).await?)?),
            false => None,
        };
        let output = Output::new(self.json, self.name.clone());
        let until = lasts.map(|lasts| Instant::now() + lasts);
        let participation = Participation {
            client,
            events,
            players,
            playing,
            recording,
            #[cfg(feature = "device-audio")]
            devices,
            output,
            until,
        };
        participation.run().await
    }
}

/// What is written to files.
struct Recording {
    sound: Option<SoundFile>,
    pictures: Option<PictureFiles>,
    failed: bool,
}

impl Recording {
    /// Writes media, and gives what is to be told.
    fn take(&mut self, event: &ClientEvent) -> Option<String> {
        let written = match event {
            ClientEvent::Mixed(sound) => self.sound.as_mut().map(|file| file.write(sound)),
            ClientEvent::Video(frame) => self.pictures.as_mut().map(|files| files.write(frame)),
            ClientEvent::ParticipantJoined(participant) | ClientEvent::ParticipantRenamed(participant) => {
                if let Some(files) = &mut self.pictures {
                    files.name(participant.id, &participant.name);
                }
                None
            }
            _ => None,
        };
        let error = written?.err()?;
        self.failed = true;
        Some(format!("{error:#}; what was recorded before stays"))
    }

    fn status(&self) -> impl Iterator<Item = String> {
        let sound = self.sound.as_ref().map(SoundFile::status);
        sound.into_iter().chain(self.pictures.as_ref().map(PictureFiles::status))
    }

    fn finish(self) -> anyhow::Result<()> {
        self.sound.map_or(Ok(()), SoundFile::finish)?;
        self.pictures.map_or(Ok(()), PictureFiles::finish)?;
        if self.failed {
            bail!("not everything could be recorded");
        }
        Ok(())
    }
}

/// A call that was joined.
struct Participation {
    client: Client,
    events: Events,
    players: JoinSet<anyhow::Result<Played>>,
    playing: Vec<String>,
    recording: Recording,
    #[cfg(feature = "device-audio")]
    devices: Option<device::Devices>,
    output: Output,
    until: Option<Instant>,
}

impl Participation {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut stop = StopSignal::new()?;
        let mut draw = interval(DRAW_EVERY);
        draw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let joined = Instant::now();
        let mut reason = None;
        let mut trouble = None;
        let mut played_out = Vec::new();
        loop {
            let until = self.until.unwrap_or(joined);
            tokio::select! {
                event = self.events.next() => match event {
                    None => break,
                    Some(ClientEvent::Ended(end)) => {
                        self.output.event(&ClientEvent::Ended(end.clone()))?;
                        reason = Some(end);
                        break;
                    }
                    Some(event) => {
                        #[cfg(feature = "device-audio")]
                        if let (Some(devices), ClientEvent::Mixed(sound)) = (&self.devices, &event) {
                            devices.play(sound);
                        }
                        if let Some(line) = self.recording.take(&event) {
                            self.output.line(&line)?;
                        }
                        self.output.event(&event)?;
                    }
                },
                Some(played) = self.players.join_next() => {
                    match played? {
                        // What was published stays until the end, as its last packets may have to be repeated.
                        Ok(publication) => played_out.push(publication),
                        Err(error) => {
                            trouble = Some(error);
                            break;
                        }
                    }
                    if self.players.is_empty() && self.until.is_none() {
                        self.until = Some(Instant::now() + LINGER);
                    }
                }
                () = sleep_until(until.into()), if self.until.is_some() => break,
                () = stop.received() => break,
                _ = draw.tick() => {
                    let lines = self.playing.iter().cloned().chain(self.recording.status()).collect();
                    self.output.draw(&self.client, Files { lines }, joined.elapsed())?;
                }
            }
        }
        self.players.abort_all();
        let snapshot = self.client.snapshot();
        self.client.leave().await;
        if reason.is_none() {
            self.output.event(&ClientEvent::Ended(EndReason::Left))?;
        }
        self.output.summary(joined.elapsed(), snapshot.received)?;
        let recorded = self.recording.finish();
        match (reason, trouble) {
            (_, Some(error)) => Err(error),
            (Some(end), None) if end != EndReason::Left => Err(end.into()),
            _ => recorded,
        }
    }
}

/// Where events go.
enum Output {
    Json,
    Lines,
    Screen(Box<Screen>, String),
}

impl Output {
    fn new(json: bool, name: String) -> Self {
        if json {
            return Self::Json;
        }
        Screen::of_stdout().map_or(Self::Lines, |screen| Self::Screen(Box::new(screen), name))
    }

    fn event(&mut self, event: &ClientEvent) -> io::Result<()> {
        if let Self::Json = self {
            return match event_text::object(event) {
                Some(object) => writeln!(io::stdout(), "{object}"),
                None => Ok(()),
            };
        }
        match event_text::line(event) {
            Some(line) => self.line(&line),
            None => Ok(()),
        }
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Json => writeln!(io::stdout(), "{}", serde_json::json!({ "t": "trouble", "text": line })),
            Self::Lines => writeln!(io::stdout(), "{line}"),
            Self::Screen(screen, _) => screen.log(line),
        }
    }

    fn draw(&mut self, client: &Client, files: Files, lasted: Duration) -> io::Result<()> {
        match self {
            Self::Screen(screen, name) => screen.draw(&screen::status(name, &client.snapshot(), &files, lasted)),
            Self::Json | Self::Lines => Ok(()),
        }
    }

    fn summary(&mut self, lasted: Duration, received: tacet_native::client::Received) -> io::Result<()> {
        let (seconds, lost) = (lasted.as_secs_f64(), received.lost);
        match self {
            Self::Json => {
                let summary = serde_json::json!({
                    "t": "summary", "seconds": seconds, "packets": received.packets, "lost": lost,
                    "opened": received.opened, "not_opened": received.not_opened,
                });
                writeln!(io::stdout(), "{summary}")
            }
            Self::Lines | Self::Screen(..) => {
                if let Self::Screen(screen, _) = self {
                    screen.clear()?;
                }
                self.line(&format!(
                    "{seconds:.1} s, {} frames opened, {} of {} packets lost",
                    received.opened,
                    lost,
                    received.packets + lost
                ))
            }
        }
    }
}
