//! What a run consists of.

use crate::expectation::Expectation;
use std::time::Duration;
use tacet_impair::{Bottleneck, Impairment};

/// Part of a run for which figures are computed, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
}

/// A time without video.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pause {
    /// From.
    pub from: f64,
    /// To.
    pub to: f64,
    /// Whether audio goes on.
    pub audio: bool,
}

/// How video follows the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// An encoder that takes any rate, as RFC 8867 means.
    Continuous,
    /// A choice of nine layers, as a forwarding server has it.
    Layered,
}

/// A call's sender: audio of 20 kbit/s and video.
#[derive(Clone, Debug)]
pub struct MediaFlow {
    /// When it begins and ends, in seconds.
    pub active: Window,
    /// When it sends no video.
    pub pause: Option<Pause>,
    /// Least and greatest rate of the video.
    pub video: (f64, f64),
    /// First estimate.
    pub first_rate: f64,
    /// One-way delay.
    pub delay: Duration,
    /// The bottlenecks on its way, by place in the scenario.
    pub route: Vec<usize>,
}

impl MediaFlow {
    /// What audio and the headers of video add to the rate of the video.
    pub const BESIDE_VIDEO: f64 = 40e3;

    /// What it uses at most.
    pub fn most(&self) -> f64 {
        self.video.1 + Self::BESIDE_VIDEO
    }

    pub(crate) fn sends_video(&self, at: f64) -> bool {
        self.active.covers(at) && self.pause.is_none_or(|pause| at < pause.from || at >= pause.to)
    }

    pub(crate) fn sends_audio(&self, at: f64) -> bool {
        self.active.covers(at) && (self.sends_video(at) || self.pause.is_some_and(|pause| pause.audio))
    }
}

impl Window {
    pub(crate) fn covers(&self, at: f64) -> bool {
        at >= self.from && at < self.to
    }

    pub(crate) fn length(&self) -> f64 {
        self.to - self.from
    }
}

/// A TCP flow.
#[derive(Clone, Copy, Debug)]
pub struct TcpFlow {
    /// When it begins and ends, in seconds.
    pub active: Window,
    /// Files of 30 to 50 kB with pauses of ten seconds on average between them, rather than one without end.
    pub short: bool,
    /// Whether a short flow begins with a file rather than a pause.
    pub begins: bool,
    /// One-way delay.
    pub delay: Duration,
}

/// A run: what the network does, who sends, and what must come out.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Identifier, such as `rfc8867_5_1_variable_capacity_single_flow`.
    pub name: &'static str,
    /// For people.
    pub title: String,
    /// Bottlenecks of the way there.
    pub forward: Vec<Bottleneck>,
    /// The bottleneck of the way back; without one it is clear.
    pub backward: Option<Bottleneck>,
    /// Loss and jitter behind the bottlenecks.
    pub path: Impairment,
    /// Calls.
    pub media: Vec<MediaFlow>,
    /// Calls in the other direction.
    pub reverse: Vec<MediaFlow>,
    /// Downloads.
    pub tcp: Vec<TcpFlow>,
    /// How video follows.
    pub source: SourceKind,
    /// Length in seconds.
    pub lasts: f64,
    /// When figures are computed.
    pub windows: Vec<Window>,
    /// Changes of capacity (second, bits per second) for which the times up and down are computed.
    pub changes: Vec<(f64, f64)>,
    /// What a good controller achieves.
    pub expectations: Vec<Expectation>,
}
