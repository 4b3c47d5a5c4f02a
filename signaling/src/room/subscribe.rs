//! Subscriptions, and the readiness of the slots that carry them.

use super::{
    Answer, DONE, Refusal, Room,
    arrange::send,
    authorized::{Authorized, Present, Subscribes},
    refusal,
};
use std::{collections::BTreeSet, time::Instant};
use tacet_proto::{ErrorCode, ParticipantId, TrackId, client::Subscribe, media::Track};

/// Maximum number of tracks that one request names.
const MAX_TRACKS: usize = 50;

/// The tracks that a participant wants to receive.
#[derive(Debug)]
pub(super) enum Subscription {
    /// Every track of other participants, present and future.
    Auto,
    /// These tracks, while they exist.
    Tracks(BTreeSet<TrackId>),
}

impl Default for Subscription {
    fn default() -> Self {
        Self::Tracks(BTreeSet::new())
    }
}

impl Subscription {
    /// Whether a participant with this subscription is to receive a track.
    pub(super) fn wants(&self, me: ParticipantId, track: &Track) -> bool {
        track.participant != me
            && match self {
                Self::Auto => true,
                Self::Tracks(tracks) => tracks.contains(&track.track),
            }
    }
}

impl Room {
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        by: Authorized<Subscribes>,
        request: &Subscribe,
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        if request.auto != request.tracks.is_empty() || request.tracks.len() > MAX_TRACKS {
            return Err(refusal(ErrorCode::BadMessage, "either auto or 1 to 50 tracks"));
        }
        let foreign = |id| self.tracks.get(id).is_some_and(|published| published.track.participant != from);
        if !request.tracks.iter().all(foreign) {
            return Err(refusal(ErrorCode::NoTrack, "no other participant publishes such a track"));
        }
        let limit = self.limits.slots_per_participant;
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        match &mut member.subscription {
            subscription if request.auto => *subscription = Subscription::Auto,
            Subscription::Auto => {}
            Subscription::Tracks(tracks) => {
                if tracks.union(&request.tracks.iter().copied().collect()).count() > limit {
                    return Err(refusal(ErrorCode::LimitTracks, "maximum number of subscriptions reached"));
                }
                tracks.extend(&request.tracks);
            }
        }
        self.arrange(now, from);
        Ok(DONE)
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Instant,
        by: Authorized<Present>,
        tracks: &[TrackId],
    ) -> Result<Answer, Refusal> {
        let from = by.participant();
        if tracks.len() > MAX_TRACKS {
            return Err(refusal(ErrorCode::BadMessage, "at most 50 tracks"));
        }
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        let mut kept: BTreeSet<_> = self
            .tracks
            .values()
            .filter(|published| member.subscription.wants(from, &published.track))
            .map(|published| published.track.track)
            .collect();
        for track in tracks {
            kept.remove(track);
        }
        member.subscription = Subscription::Tracks(kept);
        for &track in tracks {
            let outputs = &mut self.outputs;
            member.slots.vacate(track, &mut |command| send(outputs, from, command));
        }
        self.arrange(now, from);
        Ok(DONE)
    }

    pub(super) fn slots_ready(&mut self, by: Authorized<Present>, rev: u32) -> Result<Answer, Refusal> {
        let from = by.participant();
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        let outputs = &mut self.outputs;
        if member.slots.ready(rev, &mut |command| send(outputs, from, command)) {
            Ok(DONE)
        } else {
            Err(refusal(ErrorCode::BadMessage, "rev: no such revision"))
        }
    }
}
