//! Subscriptions, and the slots that carry them.

use super::{Answer, DONE, Refusal, Room, outputs::Outputs, refusal, slots::SlotCommand, wake};
use sfu_api::{Command, CommandId, SlotSource};
use std::{collections::BTreeSet, time::Instant};
use tacet_proto::{
    ErrorCode, ParticipantId, TrackId,
    client::{MAX_TILES, Subscribe, Tile},
    media::{SlotTrack, Track},
};

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
    fn wants(&self, me: ParticipantId, track: &Track) -> bool {
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
        from: ParticipantId,
        request: &Subscribe,
    ) -> Result<Answer, Refusal> {
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
        self.fill_slots(now);
        Ok(DONE)
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Instant,
        from: ParticipantId,
        tracks: &[TrackId],
    ) -> Result<Answer, Refusal> {
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
        member.backlog.touch(now);
        wake(&mut self.wake, member.backlog.due());
        self.fill_slots(now);
        Ok(DONE)
    }

    /// The client says what it shows.
    pub(super) fn set_layers(
        &mut self,
        _now: Instant,
        _from: ParticipantId,
        tiles: &[Tile],
    ) -> Result<Answer, Refusal> {
        let tracks: BTreeSet<_> = tiles.iter().map(|tile| tile.track).collect();
        if tiles.len() > MAX_TILES || tracks.len() < tiles.len() {
            return Err(refusal(ErrorCode::BadMessage, "tiles: at most 50, one for each track"));
        }
        Ok(DONE)
    }

    pub(super) fn slots_ready(&mut self, from: ParticipantId, rev: u32) -> Result<Answer, Refusal> {
        let Some(member) = self.members.get_mut(&from) else { return Ok(None) };
        let outputs = &mut self.outputs;
        if member.slots.ready(rev, &mut |command| send(outputs, from, command)) {
            Ok(DONE)
        } else {
            Err(refusal(ErrorCode::BadMessage, "rev: no such revision"))
        }
    }

    /// Puts every wanted track that is in no slot yet into one, as far as slots are available.
    pub(super) fn fill_slots(&mut self, now: Instant) {
        for (&me, member) in &mut self.members {
            let wanted = self.tracks.values().map(|published| &published.track);
            for track in wanted.filter(|track| member.subscription.wants(me, track)) {
                if member.slots.holds(track.track) {
                    continue;
                }
                let source = SlotTrack { track: track.track, participant: track.participant };
                let outputs = &mut self.outputs;
                if member.slots.place(source, track.codec, &mut |command| send(outputs, me, command)) {
                    member.backlog.touch(now);
                    wake(&mut self.wake, member.backlog.due());
                }
            }
        }
    }

    /// Empties every slot that holds a track, and ends its subscriptions.
    pub(super) fn vacate(&mut self, now: Instant, track: TrackId) {
        for (&me, member) in &mut self.members {
            if let Subscription::Tracks(tracks) = &mut member.subscription {
                tracks.remove(&track);
            }
            if member.slots.holds(track) {
                let outputs = &mut self.outputs;
                member.slots.vacate(track, &mut |command| send(outputs, me, command));
                member.backlog.touch(now);
                wake(&mut self.wake, member.backlog.due());
            }
        }
    }
}

/// Sends a command about a participant's slot.
fn send(outputs: &mut Outputs, participant: ParticipantId, command: SlotCommand) -> CommandId {
    outputs.command(match command {
        SlotCommand::Add(mid, codec) => Command::AddSlot { participant, mid, codec },
        SlotCommand::Activate(mid) => Command::ActivateSlot { participant, mid },
        SlotCommand::Set(mid, track) => Command::SetSlot { participant, mid, source: track.map(SlotSource::Track) },
    })
}
