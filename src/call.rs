//! `tacet call`: a participant in the terminal that plays and records files.

mod attempts;
#[cfg(feature = "device-audio")]
mod device;
mod event_text;
mod exit_code;
mod output;
mod participation;
mod playback;
mod recording;
mod screen;
mod writing;

pub(crate) use exit_code::exit_code;

use crate::{log, pin::pin};
use anyhow::{Context, bail};
use clap::Args;
use output::Output;
use participation::Participation;
use playback::{AudioFile, VideoFile};
use recording::Recording;
use std::{
    io::{self, Read},
    path::PathBuf,
    time::{Duration, Instant},
};
use tacet_native::{
    QUIET_LIBRARIES,
    audio::EncoderOptions,
    client::{AudioOptions, Client, ClientOptions, SubscribePolicy, VideoOptions},
    link::RoomLink,
    tls::Trust,
};
use tokio::task::JoinSet;

/// Join a call from the terminal
///
/// Joins the call of a room link, plays files into it, and records the audio and video of the others. Without files to
/// play it only listens. Frames are encrypted on this machine. If the connection is lost, the client reconnects for as
/// long as it takes.
///
/// It leaves after --seconds, else when its files have ended, else on Ctrl-C. The exit status says why the call ended: 0
/// left, 2 wrong arguments, 3 no such room, 4 removed, 5 wrong secret or room token, 6 server unreachable, 7 room full or
/// server busy, 8 room locked, 1 anything else.
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLES:
  tacet call 'http://127.0.0.1:8800/r/…#…'                         listen, and show the participants
  tacet call LINK --play hello.wav --record answer.wav --seconds 10
  tacet call LINK --video film.ivf --play film.wav --loop           play a film to everyone
  tacet call LINK --code                                            compare the call code by voice
  tacet call LINK --chat                                            write what is typed in the chat
  tacet call LINK --record-video recordings --json                  for scripts: one event per line
  pass show room | tacet call - --name Bot                          hide the link from ps

Quote the link and copy it whole. The part after # is the secret; it never leaves this machine.")]
pub(crate) struct Call {
    /// Room link, or - to read it from standard input
    // Not parsed by clap, whose error would repeat the link with its secret.
    #[arg(value_name = "LINK")]
    link: String,
    /// File with a room token, as `tacet token` prints it, to enter in its role; or set TACET_ROOM_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Name shown to the others; the server cannot read it
    #[arg(long, value_name = "NAME", default_value = "Terminal")]
    name: String,
    /// WAV file to play, at any sample rate and bit depth
    #[arg(long, value_name = "FILE")]
    play: Option<PathBuf>,
    /// WAV file for the mixed audio of the others
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Video to play: .ivf with VP8, VP9, AV1 or H.264, or .y4m, which vpxenc encodes
    #[arg(long, value_name = "FILE")]
    video: Option<PathBuf>,
    /// Directory for the video of the others, one IVF file per track
    #[arg(long, value_name = "DIR")]
    record_video: Option<PathBuf>,
    /// Use this machine's microphone and speaker
    #[cfg(feature = "device-audio")]
    #[arg(long, conflicts_with = "play")]
    device_audio: bool,
    /// Hide when you speak: send audio at a constant rate, even in silence, and without levels
    ///
    /// Otherwise packets that are not sent in silence, and the level in each header, show it to everyone on the way. A room
    /// with more than ten microphones plays the loudest, which are found by their levels: there no one hears you.
    #[arg(long)]
    constant_audio: bool,
    /// Text to write in the chat once this participant is in the call; may be given several times
    #[arg(long, value_name = "TEXT")]
    say: Vec<String>,
    /// Write each line of standard input in the chat
    ///
    /// What others write is always shown. Only participants can read it: it is sealed like audio and video.
    #[arg(long)]
    chat: bool,
    /// Repeat files until the call ends
    #[arg(long = "loop")]
    repeat: bool,
    /// Leave after this many seconds
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// SHA-256 of the server's self-signed certificate, as the server prints it at startup
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// Print the call code when it changes; compare it by voice
    ///
    /// The code has six groups of five digits and is the same for everyone in the call. One person reads the first three
    /// groups aloud, another one the last three. If a group differs, wait until no one is joining and compare once more. If it
    /// still differs, devices that you do not know of are in the call: say nothing confidential, leave, make a new room on
    /// your own machine with `tacet room`, and send its link another way. With --json every code is printed, with all of its
    /// 32 bytes.
    #[arg(long)]
    code: bool,
    /// Print one JSON object per event
    #[arg(long)]
    json: bool,
    /// Log filter for standard error, such as debug or tacet_native=debug
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

impl Call {
    /// Runs the command until the call is over.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        log::start(QUIET_LIBRARIES, &self.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let result = runtime.block_on(self.participate());
        // Do not wait for a thread that still reads a file.
        runtime.shutdown_background();
        result
    }

    fn link(&self) -> anyhow::Result<RoomLink> {
        let text = if self.link == "-" {
            let mut text = String::new();
            io::stdin()
                .lock()
                .take(4_096)
                .read_to_string(&mut text)
                .context("cannot read the link from standard input")?;
            text
        } else {
            self.link.clone()
        };
        let link: RoomLink = text.parse().context("LINK is not a room link")?;
        Ok(match self.token()? {
            Some(token) => link.with_token(token.trim()),
            None => link,
        })
    }

    /// The room token. It is no argument, since others on the machine see those.
    fn token(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.token_file else { return Ok(std::env::var("TACET_ROOM_TOKEN").ok()) };
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        file.take(4_096).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(text))
    }

    fn options(&self, link: &RoomLink) -> anyhow::Result<ClientOptions> {
        let trust = match self.pin {
            Some(_) if !link.is_secure() => bail!("--pin is for https:// links"),
            Some(pin) => Trust::Pinned(pin),
            None => Trust::PublicAuthorities,
        };
        let subscribe = if self.record_video.is_some() { SubscribePolicy::All } else { SubscribePolicy::AudioOnly };
        let send_audio_level = !self.constant_audio;
        Ok(ClientOptions { trust, subscribe, send_audio_level, ..ClientOptions::new(&self.name) })
    }

    fn microphone(&self) -> AudioOptions {
        let encoder = if self.constant_audio { EncoderOptions::strict() } else { EncoderOptions::default() };
        AudioOptions { encoder, ..AudioOptions::default() }
    }

    async fn participate(self) -> anyhow::Result<()> {
        // Report every error in the arguments before the others see this participant.
        let link = self.link()?;
        let options = self.options(&link)?;
        if self.chat && self.link == "-" {
            bail!("--chat reads standard input, from which the link comes");
        }
        let said = self.say.iter().map(|text| writing::text(text)).collect::<Result<Vec<_>, _>>().context("--say")?;
        let lasts = self.seconds.map(Duration::try_from_secs_f64).transpose().context("--seconds")?;
        let audio = self.play.as_deref().map(|path| AudioFile::open(path, self.repeat)).transpose()?;
        let video = self.video.as_deref().map(|path| VideoFile::open(path, self.repeat)).transpose()?;
        let recording = Recording::create(self.record.as_deref(), self.record_video.as_deref())?;
        let (client, events) = Client::join(&link, options).await.context("cannot join")?;

        let mut players = JoinSet::new();
        let mut playing = Vec::new();
        if let (Some(audio), Some(path)) = (audio, &self.play) {
            let microphone = client.publish_audio(self.microphone()).await?;
            players.spawn(audio.play(microphone));
            playing.push(format!("playing {}", path.display()));
        }
        if let (Some(video), Some(path)) = (video, &self.video) {
            let camera = client.publish_video(VideoOptions::camera(video.codec())).await?;
            players.spawn(video.play(camera));
            playing.push(format!("playing {}", path.display()));
        }
        #[cfg(feature = "device-audio")]
        let devices = match self.device_audio {
            true => Some(device::Devices::open(client.publish_audio(self.microphone()).await?)?),
            false => None,
        };
        let output = Output::new(self.json, self.code, self.name.clone());
        let until = lasts.map(|lasts| Instant::now() + lasts);
        for text in said {
            client.say(text).await?;
        }
        let written = self.chat.then(writing::standard_input);
        let participation = Participation {
            client,
            events,
            players,
            playing,
            written,
            recording,
            #[cfg(feature = "device-audio")]
            devices,
            output,
            until,
        };
        participation.run().await
    }
}
