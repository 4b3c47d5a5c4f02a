//! Which tracks of the others this client receives.

use super::options::{SubscribePolicy, kind_of_source};
use crate::client::event::RemoteTrack;
use std::collections::BTreeSet;
use tacet_proto::{
    ParticipantId, TrackId,
    media::{Kind, Source},
};

/// The application's policy and its explicit choices.
#[derive(Debug)]
pub(super) struct Subscriptions {
    policy: SubscribePolicy,
    /// Used by [`SubscribePolicy::Manual`].
    chosen: BTreeSet<TrackId>,
    /// Sources of chosen tracks that a restarted server has forgotten: their tracks come back under other ids.
    awaited: BTreeSet<(ParticipantId, Source)>,
}

impl Subscriptions {
    pub(super) fn new(policy: SubscribePolicy) -> Self {
        Self { policy, chosen: BTreeSet::new(), awaited: BTreeSet::new() }
    }

    /// Whether the server subscribes this client to every track without being asked for each.
    pub(super) fn is_automatic(&self) -> bool {
        self.policy == SubscribePolicy::All
    }

    /// Whether this client has to ask the server for a track that appeared.
    pub(super) fn must_request(&mut self, track: &RemoteTrack) -> bool {
        if self.awaited.remove(&(track.participant, track.source)) {
            self.chosen.insert(track.track);
        }
        match self.policy {
            SubscribePolicy::All => false,
            SubscribePolicy::AudioOnly => {
                kind_of_source(track.source) == Kind::Audio || self.chosen.contains(&track.track)
            }
            SubscribePolicy::Manual => self.chosen.contains(&track.track),
        }
    }

    /// These tracks are about to be listed again, perhaps under other ids.
    pub(super) fn expect_again(&mut self, tracks: impl Iterator<Item = RemoteTrack>) {
        let chosen = tracks.filter(|track| self.chosen.contains(&track.track));
        self.awaited.extend(chosen.map(|track| (track.participant, track.source)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::media::Codec;

    fn camera(track: u32) -> RemoteTrack {
        let (participant, source) = (ParticipantId(1), Source::Camera);
        RemoteTrack { track: TrackId(track), participant, source, codec: Codec::Vp8, muted: false, stalled: false }
    }

    #[test]
    fn chosen_track_is_requested_again_under_its_new_id() {
        let mut subscriptions = Subscriptions::new(SubscribePolicy::AudioOnly);
        assert!(!subscriptions.must_request(&camera(7)));
        subscriptions.add(&[TrackId(7)]);
        assert!(subscriptions.must_request(&camera(7)));
        assert!(!subscriptions.must_request(&camera(8)));
        subscriptions.expect_again([camera(7)].into_iter());
        assert!(subscriptions.must_request(&camera(8)));
        assert!(!subscriptions.must_request(&camera(9)), "once");
    }
}
