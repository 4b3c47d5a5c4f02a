//! Which layers a client wants, which ones it receives, and which ones its own tracks need to send.
//!
//! ```text
//!   subscriber ── layers ──► server ── want ──► publisher
//!        ▲                     │
//!        └─ layer, downlink ───┘
//! ```

use crate::ids::TrackId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Maximum number of tiles in one `layers`.
pub const MAX_TILES: usize = 50;

/// Body of `layers`: everything that the client shows, in place of what it sent before. A track without a tile is not
/// visible. Until the first `layers`, every subscribed track is wanted as large as it comes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// At most [`MAX_TILES`], one for each track.
    pub tiles: Vec<Tile>,
    /// Whether the client wants `downlink`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub downlink: bool,
}

/// A track that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// The track. One that does not exist any more is ignored.
    pub track: TrackId,
    /// Height in device pixels.
    pub height: u16,
    /// Whether it comes before all tiles that are not pinned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub pinned: bool,
    /// Whether no media of it is wanted for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub paused: bool,
}

/// Body of `layer`: slots whose layer changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Layer {
    /// The slots, each once.
    pub slots: Vec<SlotLayer>,
}

/// The layer that a slot receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SlotLayer {
    /// The slot.
    pub mid: String,
    /// Height of its video in lines, 0 if the server does not know it; none while nothing is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub height: Option<u16>,
    /// Its temporal layer, if the server knows it; none while nothing is forwarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub temporal: Option<u8>,
    /// Why it changed.
    pub reason: LayerReason,
}

/// Why a slot receives the layer that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum LayerReason {
    /// It is what the tile asks for.
    Wish,
    /// The bitrate that the server is set to send a client holds no more.
    Bandwidth,
    /// The path to the client is measured, and carries no more.
    Network,
    /// The server is overloaded, and can send no more.
    Server,
    /// The publisher sends no better one.
    Sender,
    /// The tile is paused.
    Pause,
}

/// Body of `downlink`: what is known of the path to the client, for diagnosis. Sent on change, at most once a second, to a
/// client that asks for it in `layers`; one may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Downlink {
    /// Bitrate that the path is estimated to carry, in kbit/s.
    pub kbps: u32,
    /// Bitrate with which all that is shown would have its size, in kbit/s.
    pub wanted_kbps: u32,
    /// How long packets wait in the queues of the path, in milliseconds.
    pub queue_ms: u32,
    /// What changed the estimate last, or keeps it from changing.
    pub cause: DownlinkCause,
}

/// What changed an estimate last, or keeps it from changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum DownlinkCause {
    /// Nothing yet: it is the assumption that a call starts with.
    Start,
    /// It grows: no signal objects.
    Growth,
    /// A probe has shown it.
    Probe,
    /// Less is sent than the estimate, so that it is not tested.
    Limited,
    /// The queue of the bottleneck grows.
    Trend,
    /// The queue of the bottleneck stands still, and is drained.
    Queue,
    /// Packets are lost.
    Loss,
    /// Feedback does not arrive, or much too late.
    NoFeedback,
    /// The path has changed.
    PathChange,
}

/// Body of `want`: tracks of this client for which the wanted encodings changed. A client that does not follow it only sends
/// more than is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Want {
    /// The tracks, each once.
    pub tracks: Vec<TrackWant>,
}

/// What receivers want of a track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TrackWant {
    /// The track.
    pub track: TrackId,
    /// For each encoding, in the order of `publish`, whether a receiver needs it.
    pub active: Vec<bool>,
    /// Height of the largest tile in device pixels.
    pub height: u16,
}
