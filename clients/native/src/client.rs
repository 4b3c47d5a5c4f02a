//! A complete participant: signaling, keys and media in one task.
//!
//! ```text
//!   AudioTrack ─ samples ──────► queue ─► encoder ─► seal ─► packets ─┐
//!   VideoTrack ─ access units ─► queue ────────────► seal ─► packets ─┤
//!                                                                     ▼
//!   Client ─ commands ─► Driver ─► Connection: Call (signaling, keys) + Endpoint (media path)
//!                                                                     │
//!   Events ◄─ queue ◄┬─ participants, tracks, encryption state ◄──────┤
//!                    ├─ 20 ms of audio ◄─ mixer ◄─ Playout ◄─ open ◄──┤
//!                    └─ access units ◄─ open ◄─ whole frames ◄────────┘
//! ```
//! * **It fails closed.** Only frames that the session has sealed are sent, and only frames that it has opened are
//!   delivered, under the name of the participant whose key opened them. Without a key frames are dropped; this cannot be
//!   configured.
//! * **It reconnects** until the application leaves or the server says that the call is over. A silent media path restarts
//!   ICE, and a lost signaling connection is resumed while media goes on; both keep keys, tracks and participant ids. Only
//!   a session that cannot go on is followed by another one, with a new identity, new keys and a new media path.
//! * **Everything is bounded.** A slow application loses the oldest media but never an event.
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
//!         ClientEvent::MixedAudio(audio) => microphone.write(&audio.samples),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod audio_receiver;
mod connection;
mod disconnect;
mod driver;
mod event;
mod event_queue;
mod input_queue;
mod local_track;
mod media_receiver;
mod options;
mod packet_loss;
mod path_state;
mod problem_log;
mod random;
mod reconnect;
mod repair;
mod roster;
mod session_state;
mod snapshot;
mod subscriptions;
mod tiles;
mod track;
mod track_sender;
mod uplink_loss;
mod video_receiver;

pub use self::{
    disconnect::{DisconnectReason, EndReason},
    event::{
        ClientEvent, ConnectionState, Encryption, MixedAudio, Participant, ParticipantAudio, RemoteTrack, VideoFrame,
    },
    event_queue::Events,
    options::{AudioOptions, AudioOutput, ClientOptions, SubscribePolicy, VideoOptions},
    reconnect::ReconnectPolicy,
    repair::Recovery,
    snapshot::{LocalTrackStatus, ParticipantStatus, ReceiverStatistics, Snapshot},
    tiles::VideoTile,
    track::{AudioTrack, TrackError, TrackState, VideoTrack},
};

pub use e2ee_frames::{CallCode, ChatContent, Problem};
pub use tacet_proto::{
    ErrorCode, ParticipantId, TrackId,
    layers::LayerReason,
    media::{Codec, Source},
};

use self::{
    connection::attempt::first_attempt,
    driver::{Command, Driver},
    event_queue::event_queue,
    input_queue::input_queue,
    local_track::{LocalAudioTrack, LocalTrack, LocalVideoTrack},
    options::kind_of_source,
    session_state::SessionState,
    track::{AUDIO_QUEUE_BLOCKS, VIDEO_QUEUE_FRAMES},
};
use crate::{audio::AudioError, call::CallError, link::RoomLink, media::Engine, webrtc::Webrtc};
use std::sync::Arc;
use tacet_proto::media::Kind;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Capacity of the command queue of the client's task.
const COMMAND_QUEUE: usize = 64;

/// Why a client cannot carry out a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The call is over for this client.
    #[error("the client has ended")]
    Ended,
    /// Another track has the same source; drop it first.
    #[error("{0:?} is already published")]
    AlreadyPublished(Source),
    /// A video source for an audio track, or the other way around.
    #[error("{0:?} is not a source for this kind of track")]
    WrongSource(Source),
    /// A text of no or more than 4,096 bytes, a reaction of more than 64, or 64 messages that the server has not taken yet.
    #[error("the message is empty or too long, or too many wait")]
    Chat,
    /// The encoder rejected its options.
    #[error(transparent)]
    Audio(#[from] AudioError),
}

/// A participant in a call. Dropping it leaves the call.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    wake: Arc<Notify>,
    snapshot: watch::Receiver<Snapshot>,
    task: JoinHandle<()>,
}

impl Client {
    /// Joins the call in the link's room, until [`Client::leave`] or the end of the call.
    ///
    /// # Errors
    /// [`CallError`] if the client cannot join. It reconnects only after it has joined once.
    pub async fn join(link: &RoomLink, options: ClientOptions) -> Result<(Self, Events), CallError> {
        Self::join_over(Webrtc, link, options).await
    }

    /// Joins with another media engine.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn join_over(
        engine: impl Engine,
        link: &RoomLink,
        options: ClientOptions,
    ) -> Result<(Self, Events), CallError> {
        let (event_sender, events) = event_queue();
        let wake = Arc::new(Notify::new());
        let (snapshot_sender, snapshot) = watch::channel(Snapshot::default());
        let session = SessionState::new(options, event_sender, wake.clone(), snapshot_sender);
        let engine = Arc::new(engine);
        let call = first_attempt(link, &session.join_options()).await?;
        let (commands, command_queue) = mpsc::channel(COMMAND_QUEUE);
        let driver = Driver::new(engine, link.clone(), session, call, command_queue);
        let task = tokio::spawn(driver.run());
        Ok((Self { commands, wake, snapshot, task }, events))
    }

    /// Publishes an audio track.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish_audio(&self, options: AudioOptions) -> Result<AudioTrack, ClientError> {
        if kind_of_source(options.source) != Kind::Audio {
            return Err(ClientError::WrongSource(options.source));
        }
        let (receiver, input) = input_queue(AUDIO_QUEUE_BLOCKS, options.muted, self.wake.clone());
        let (source, block_samples) = (options.source, options.encoder.channels.block_samples());
        self.publish(LocalTrack::Audio(LocalAudioTrack::new(options, receiver)?)).await?;
        Ok(AudioTrack { source, block_samples, input })
    }

    /// Publishes a video track of access units that the application encodes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn publish_video(&self, options: VideoOptions) -> Result<VideoTrack, ClientError> {
        if kind_of_source(options.source) != Kind::Video || options.codec == Codec::Opus {
            return Err(ClientError::WrongSource(options.source));
        }
        let (receiver, input) = input_queue(VIDEO_QUEUE_FRAMES, options.muted, self.wake.clone());
        self.publish(LocalTrack::Video(LocalVideoTrack::new(options, receiver))).await?;
        Ok(VideoTrack { source: options.source, input })
    }

    async fn publish(&self, track: LocalTrack) -> Result<(), ClientError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Publish(track, answer)).await?;
        answered.await.map_err(|_| ClientError::Ended)?
    }

    /// Says something to everyone in the call, sealed. Returns once it waits for the server, which is sent it again after an outage
    /// until it accepts it. It is lost only if the session is followed by another one before that.
    ///
    /// # Errors
    /// [`ClientError::Chat`], [`ClientError::Ended`].
    pub async fn say(&self, content: ChatContent) -> Result<(), ClientError> {
        let (answer, answered) = oneshot::channel();
        self.command(Command::Say(content, answer)).await?;
        answered.await.map_err(|_| ClientError::Ended)?
    }

    /// Subscribes to tracks, in addition to those received by [`ClientOptions::subscribe`].
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn subscribe(&self, tracks: &[TrackId]) -> Result<(), ClientError> {
        self.command(Command::Subscribe(tracks.to_vec())).await
    }

    /// Unsubscribes from tracks, and switches to [`SubscribePolicy::Manual`].
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn unsubscribe(&self, tracks: &[TrackId]) -> Result<(), ClientError> {
        self.command(Command::Unsubscribe(tracks.to_vec())).await
    }

    /// Says which videos the application shows, and how high: the server chooses layers and fills slots by it. These are all: a
    /// video without a tile is not sent. Until the first call, every subscribed video is sent as large as it comes.
    ///
    /// The tiles are kept when the client reconnects. They may name participants and tracks that are not here yet. At most 50
    /// count, the first ones.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn show(&self, tiles: &[VideoTile]) -> Result<(), ClientError> {
        self.command(Command::Show(tiles.to_vec())).await
    }

    /// Requests a key frame from a participant, for a decoder that starts late. After a loss the client requests one by
    /// itself.
    ///
    /// # Errors
    /// [`ClientError::Ended`].
    pub async fn request_key_frame(&self, participant: ParticipantId, source: Source) -> Result<(), ClientError> {
        self.command(Command::RequestKeyFrame(participant, source)).await
    }

    /// State of the whole call, at most 200 ms old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    /// The code that participants compare by voice to make sure that no one stands between them; [`ClientEvent::CallCode`]
    /// says when it changes. `None` while this client has no session.
    ///
    /// It displays as 30 digits in six groups, to be read aloud; [`CallCode::as_bytes`] has all 32 bytes, for a QR code.
    #[must_use]
    pub fn call_code(&self) -> Option<CallCode> {
        self.snapshot.borrow().call_code
    }

    /// Leaves the call: notifies the others, erases the keys, and returns when the media path is closed.
    pub async fn leave(self) {
        drop(self.commands);
        let _ = self.task.await;
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        self.commands.send(command).await.map_err(|_| ClientError::Ended)
    }
}
