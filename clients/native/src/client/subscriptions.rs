//! Which tracks of the others this client receives.

use super::options::{SubscribePolicy, kind_of_source};
use crate::client::event::RemoteTrack;
use std::collections::BTreeSet;
use tacet_proto::{TrackId, media::Kind};

/// The application's policy and its explicit choices.
#[derive(Debug)]
pub(super) struct Subscriptions {
    policy: SubscribePolicy,
    /// Used by [`SubscribePolicy::Manual`].
    chosen: BTreeSet<TrackId>,
}

impl Subscriptions {
    pub(super) fn new(policy: SubscribePolicy) -> Self {
        Self { policy, chosen: BTreeSet::new() }
    }

    /// Whether the server subscribes this client to every track without being asked for each.
    pub(super) fn is_automatic(&self) -> bool {
        self.policy == SubscribePolicy::All
    }

    /// Whether this client has to ask the server for a track that appeared.
    pub(super) fn must_request(&self, track: &RemoteTrack) -> bool {
        match self.policy {
            SubscribePolicy::All => false,
            SubscribePolicy::AudioOnly => kind_of_source(track.source) == Kind::Audio,
            SubscribePolicy::Manual => self.chosen.contains(&track.track),
        }
    }

    /// Remembers tracks that the application asked for.
    pub(super) fn add(&mut self, tracks: &[TrackId]) {
        self.chosen.extend(tracks);
    }

    /// Removes tracks, and switches to [`SubscribePolicy::Manual`]; `current` is what was received until now.
    pub(super) fn remove(&mut self, tracks: &[TrackId], current: impl Iterator<Item = TrackId>) {
        if self.policy != SubscribePolicy::Manual {
            self.chosen = current.collect();
            self.policy = SubscribePolicy::Manual;
        }
        self.chosen.retain(|track| !tracks.contains(track));
    }
}
