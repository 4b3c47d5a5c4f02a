//! A whole participant: signaling, keys and media in one task, with events out and media in and out.
//!
//! ```text
//!   AudioPublication ─ samples ──► Inlet ─► encoder ─► seal ─► packets ─┐
//!   VideoPublication ─ pictures ─► Inlet ────────────► seal ─► packets ─┤
//!                                                                       ▼
//!   Client ─ commands ─► Driver ─► Connection: Call (signaling, keys) + Endpoint (media path)
//!                                                                       │
//!   Events ◄─ Outlet ◄┬─ who is here, what they publish, how protected ─┤
//!                     ├─ 20 ms of sound ◄─ mixer ◄─ playouts ◄─ open ◄──┤
//!                     └─ pictures in order ◄─ open ◄─ whole frames ◄────┘
//! ```
//! * **It fails closed.** What leaves was sealed by the session; what comes out was opened by it, and carries the name of
//!   whose key opened it. Without a key, frames are dropped; nothing can be configured otherwise.
//! * **It comes back.** When signaling, the media path or the keys are lost, the driver joins anew, with a new identity,
//!   new keys and a new media path, and publishes again what the application still holds.
//! * **Everything is bounded.** A slow application loses the oldest media and never an event.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tacet_native::client::{AudioOptions, Client, ClientEvent, ClientOptions};
//!
//! let link = "https://call.example/r/AAAAAAAAAAAAAAAAAAAAAA#…".parse()?;
//! let (client, mut events) = Client::join(&link, ClientOptions::new("Parrot")).await?;
//! let microphone = client.publish_audio(AudioOptions::default()).await?;
//! while let Some(event) = events.next().await {
//!     match event {
//!         ClientEvent::ParticipantJoined(participant) => println!("{} is here", participant.name),
//!         ClientEvent::Mixed(sound) => microphone.write(&sound.samples),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod backoff;
mod connection;
mod driver;
mod end;
mod event;
mod inlet;
mod lasting;
mod options;
mod outlet;
mod path;
mod pictures;
mod publication;
mod random;
mod reception;
mod roster;
mod sending;
mod snapshot;
mod sounds;

pub use self::{
    backoff::Reconnect,
    end::{EndReason, Loss},
    event::{ClientEvent, ConnectionState, Encryption, Mixed, Participant, RemoteTrack, Sound, VideoFrame},
    inlet::PublicationState,
    options::{AudioOptions, ClientOptions, Receive, SoundOutput, VideoOptions},
    outlet::Events,
    publication::{AudioPublication, PublicationError, VideoPublication},
    snapshot::{ParticipantStatus, PublicationStatus, Received, Snapshot},
};

pub use e2ee_frames::Problem;
pub use tacet_proto::{
    ParticipantId, TrackId,
    media::{Codec, Source},
};

use self::{
    connection::Connection,
    driver::{Command, Driver},
    inlet::inlet,
    lasting::Lasting,
    options::kind_of_source,
    outlet::outlet,
    publication::{WAITING_BLOCKS, WAITING_PICTURES},
    sending::{LocalAudio, LocalVideo, Publication},
};
use crate::{audio::AudioError, call::CallError, link::RoomLink, media::Engine, webrtc::Webrtc};
use std::sync::Arc;
use tacet_proto::media::Kind;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Commands that wait for the client's task.
const COMMANDS: usize = 64;

/// Why a client does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The call is over for this client.
    #[error("the client has ended")]
    Ended,
    /// Its source is published; drop the other publication first.
    #[error("{0:?} is published already")]
    AlreadyPublished(Source),
    /// A picture as sound, or sound as a picture.
    #[error("{0:?} does not fit what is to be published")]
    WrongSource(Source),
    /// The encoder refuses its options.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

/// A participant of a call. Dropping it leaves.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    wake: Arc<Notify>,
    snapshot: watch::Receiver<Snapshot>,
    task: JoinHandle<()>,
}

impl Client {
    /// Enters the call of the link's room, and stays until [`Client::leave`] or until it is over.
    ///
    /// # Errors
    /// [`CallError`] if it cannot be entered. Only a call that was entered is made anew when it is lost.
    pub async fn join(link: &RoomLink, options: ClientOptions) -> Result<(Self, Events), CallError> {
        Self::join_over(Webrtc, link, options).await
    }

    /// The same over a media path of the application's own.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join_over(
        engine: impl Engine,
        link: &RoomLink,
        options: ClientOptions,
    ) -> Result<(Self, Events), CallError> {
        let (outlet, events) = outlet();
        let wake = Arc::new(Notify::new());
        let (snapshot_sender, snapshot) = watch::channel(Snapshot::default());
        let lasting = Lasting::new(options, outlet, wake.clone(), snapshot_sender);
        let engine = Arc::new(engine);
        let connection = Connection::open(engine.clone(), link, lasting.joining()).await?;
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let driver = Driver::new(engine, link.clone(), lasting, command_queue);
        let task = tokio::spawn(driver.run(connection));
        Ok((Self { commands, wake, snapshot, task }, events))
    }

    /// Publishes sound: write samples to what this gives.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish_audio(&self, options: AudioOptions) -> Result<AudioPublication, ClientError> {
        if kind_of_source(options.source) != Kind::Audio {
            return Err(ClientError::WrongSource(options.source));
        }
        let (inlet, feed) = inlet(WAITING_BLOCKS, options.muted, self.wake.clone());
        let (source, block_samples) = (options.source, options.encoder.channels.block_samples());
        self.publish(Publication::Audio(LocalAudio::new(options, inlet)?)).await?;
        Ok(AudioPublication { source, block_samples, feed })
    }

    /// Publishes pictures that the application encodes: write access units to what this gives.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish_video(&self, options: VideoOptions) -> Result<VideoPublication, ClientError> {
        if kind_of_source(options.source) != Kind::Video || options.codec == Codec::Opus {
            return Err(ClientError::WrongSource(options.source));
        }
        let (inlet, feed) = inlet(WAITING_PICTURES, options.muted, self.wake.clone());
        self.publish(Publication::Video(LocalVideo::new(options, inlet))).await?;
        Ok(VideoPublication { source: options.source, feed })
    }

    async fn publish(&self, publication: Publication) -> Result<(), ClientError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Publish(publication, answer)).await?;
        answered.await.map_err(|_| ClientError::Ended)?
    }

    /// Asks the server for tracks, beside those that come by [`ClientOptions::receive`].
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn subscribe(&self, tracks: &[TrackId]) -> Result<(), ClientError> {
        self.command(Command::Subscribe(tracks.to_vec())).await
    }

    /// Gives tracks back. From then on new tracks come only by [`Client::subscribe`].
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn unsubscribe(&self, tracks: &[TrackId]) -> Result<(), ClientError> {
        self.command(Command::Unsubscribe(tracks.to_vec())).await
    }

    /// Asks a participant for a key frame. A decoder that was started late needs it; after a loss the client asks by
    /// itself.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn ask_for_key_frame(&self, participant: ParticipantId, source: Source) -> Result<(), ClientError> {
        self.command(Command::AskForKeyFrame(participant, source)).await
    }

    /// How things stand.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    /// Leaves: the others are told, the keys are erased, and the media path is closed when this returns.
    pub async fn leave(self) {
        drop(self.commands);
        let _ = self.task.await;
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.commands.send(command).await.map_err(|_| ClientError::Ended)
    }
}
