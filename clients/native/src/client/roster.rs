//! Who is in the call and what they publish.
//!
//! Participants are those whose announces were verified; what they publish is the server's list, of which only the
//! tracks of verified participants are shown. Changes come out as events.

use super::event::{ClientEvent, Encryption, Participant, RemoteTrack};
use e2ee_frames::Problem;
use std::collections::BTreeMap;
use tacet_proto::{
    ParticipantId, TrackId,
    media::{Source, Track},
    server::Tracks,
};

/// Frames in a row that do not open before a participant counts as broken: half a second of sound. Single ones may be
/// late frames of a key that is gone.
const BROKEN_AFTER: u32 = 25;

/// The participants and tracks of one connection.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<ParticipantId, Member>,
    tracks: BTreeMap<TrackId, RemoteTrack>,
}

/// What is new in the server's list of tracks, and what is gone from it.
#[derive(Debug, Default)]
pub(super) struct TrackChange {
    pub(super) added: Vec<RemoteTrack>,
    pub(super) removed: Vec<RemoteTrack>,
}

#[derive(Debug)]
struct Member {
    name: String,
    encryption: Encryption,
    unopened: u32,
}

impl Roster {
    /// An announce was verified: somebody is new, or has another name.
    pub(super) fn verified(&mut self, id: ParticipantId, name: String, tell: &mut impl FnMut(ClientEvent)) {
        if let Some(member) = self.members.get_mut(&id) {
            if member.name != name {
                member.name.clone_from(&name);
                tell(ClientEvent::ParticipantRenamed(Participant { id, name }));
            }
            return;
        }
        let encryption = Encryption::WaitingForKey;
        self.members.insert(id, Member { name: name.clone(), encryption, unopened: 0 });
        tell(ClientEvent::ParticipantJoined(Participant { id, name }));
        tell(ClientEvent::Encryption { participant: id, state: encryption });
        for track in self.tracks_of(id) {
            tell(ClientEvent::TrackAdded(track));
        }
    }

    /// Somebody has gone.
    pub(super) fn left(&mut self, id: ParticipantId, tell: &mut impl FnMut(ClientEvent)) {
        let Some(member) = self.members.remove(&id) else { return };
        for track in self.tracks_of(id) {
            self.tracks.remove(&track.track);
            tell(ClientEvent::TrackRemoved(track));
        }
        tell(ClientEvent::ParticipantLeft(Participant { id, name: member.name }));
    }

    /// The connection is lost: everyone is out of sight.
    pub(super) fn clear(&mut self, tell: &mut impl FnMut(ClientEvent)) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.left(id, tell);
        }
        self.tracks.clear();
    }

    /// The server's list has changed. Gives what is new in it and what is gone.
    pub(super) fn tracks(&mut self, change: Tracks, tell: &mut impl FnMut(ClientEvent)) -> TrackChange {
        let TrackChange { mut added, mut removed } = TrackChange::default();
        for id in change.del {
            let Some(track) = self.tracks.remove(&id) else { continue };
            if self.members.contains_key(&track.participant) {
                tell(ClientEvent::TrackRemoved(track));
            }
            removed.push(track);
        }
        for track in change.add.into_iter().chain(change.upd).map(remote) {
            let known = self.tracks.insert(track.track, track);
            if known.is_none() {
                added.push(track);
            }
            if known == Some(track) || !self.members.contains_key(&track.participant) {
                continue;
            }
            tell(if known.is_some() { ClientEvent::TrackMuted(track) } else { ClientEvent::TrackAdded(track) });
        }
        TrackChange { added, removed }
    }

    /// Whether media of this participant may be shown.
    pub(super) fn contains(&self, id: ParticipantId) -> bool {
        self.members.contains_key(&id)
    }

    /// A frame of this participant was opened, or a key of it came.
    pub(super) fn opens(&mut self, id: ParticipantId, tell: &mut impl FnMut(ClientEvent)) {
        if let Some(member) = self.members.get_mut(&id) {
            member.unopened = 0;
            member.set(id, Encryption::Verified, tell);
        }
    }

    /// A frame in a slot that shows this participant, as the server says, is not authentic.
    pub(super) fn does_not_open(&mut self, id: ParticipantId, tell: &mut impl FnMut(ClientEvent)) {
        if let Some(member) = self.members.get_mut(&id) {
            member.unopened = member.unopened.saturating_add(1);
            if member.unopened >= BROKEN_AFTER {
                member.set(id, Encryption::Broken, tell);
            }
        }
    }

    /// Something of a participant was refused.
    pub(super) fn problem(
        &mut self,
        participant: Option<ParticipantId>,
        problem: Problem,
        tell: &mut impl FnMut(ClientEvent),
    ) {
        tell(ClientEvent::Problem { participant, problem });
        let Some(id) = participant else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        if matches!(problem, Problem::KeysRefused | Problem::Equivocation) {
            member.set(id, Encryption::Broken, tell);
        }
    }

    /// Everyone with name and protection, for a look at the whole.
    pub(super) fn members(&self) -> impl Iterator<Item = (Participant, Encryption)> {
        let participant = |(id, member): (&ParticipantId, &Member)| {
            (Participant { id: *id, name: member.name.clone() }, member.encryption)
        };
        self.members.iter().map(participant)
    }

    /// The tracks of everyone on the roster.
    pub(super) fn shown_tracks(&self) -> impl Iterator<Item = RemoteTrack> {
        self.tracks.values().filter(|track| self.contains(track.participant)).copied()
    }

    /// The tracks that the server lists.
    pub(super) fn all_tracks(&self) -> impl Iterator<Item = TrackId> {
        self.tracks.keys().copied()
    }

    /// The track of a participant's source.
    pub(super) fn track(&self, id: ParticipantId, source: Source) -> Option<RemoteTrack> {
        self.tracks.values().find(|track| (track.participant, track.source) == (id, source)).copied()
    }

    fn tracks_of(&self, id: ParticipantId) -> Vec<RemoteTrack> {
        self.tracks.values().filter(|track| track.participant == id).copied().collect()
    }
}

impl Member {
    fn set(&mut self, id: ParticipantId, state: Encryption, tell: &mut impl FnMut(ClientEvent)) {
        if self.encryption != state {
            self.encryption = state;
            tell(ClientEvent::Encryption { participant: id, state });
        }
    }
}

fn remote(track: Track) -> RemoteTrack {
    let Track { track, participant, source, codec, muted, .. } = track;
    RemoteTrack { track, participant, source, codec, muted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::media::{Codec, Kind};

    const ADA: ParticipantId = ParticipantId(1);

    fn track(muted: bool) -> Track {
        Track {
            track: TrackId(9),
            participant: ADA,
            kind: Kind::Audio,
            source: Source::Microphone,
            codec: Codec::Opus,
            muted,
        }
    }

    fn tracks(add: &[Track], del: &[TrackId], upd: &[Track]) -> Tracks {
        Tracks { add: add.to_vec(), del: del.to_vec(), upd: upd.to_vec() }
    }

    fn told(act: impl FnOnce(&mut dyn FnMut(ClientEvent))) -> Vec<ClientEvent> {
        let mut events = Vec::new();
        act(&mut |event| events.push(event));
        events
    }

    fn ada(name: &str) -> Participant {
        Participant { id: ADA, name: name.to_owned() }
    }

    #[test]
    fn a_track_is_shown_once_its_publisher_is_verified() {
        let mut roster = Roster::default();
        assert_eq!(told(|mut tell| drop(roster.tracks(tracks(&[track(false)], &[], &[]), &mut tell))), []);
        let events = told(|mut tell| roster.verified(ADA, "Ada".to_owned(), &mut tell));
        assert_eq!(events.first(), Some(&ClientEvent::ParticipantJoined(ada("Ada"))));
        assert_eq!(events.last(), Some(&ClientEvent::TrackAdded(remote(track(false)))));
    }

    #[test]
    fn names_mutes_and_leaves_are_told_once() {
        let mut roster = Roster::default();
        told(|mut tell| roster.verified(ADA, "Ada".to_owned(), &mut tell));
        told(|mut tell| drop(roster.tracks(tracks(&[track(false)], &[], &[]), &mut tell)));
        assert_eq!(told(|mut tell| roster.verified(ADA, "Ada".to_owned(), &mut tell)), [], "a renewal is no change");
        let renamed = told(|mut tell| roster.verified(ADA, "Countess".to_owned(), &mut tell));
        assert_eq!(renamed, [ClientEvent::ParticipantRenamed(ada("Countess"))]);
        let muted = || tracks(&[], &[], &[track(true)]);
        let events = told(|mut tell| drop(roster.tracks(muted(), &mut tell)));
        assert_eq!(events, [ClientEvent::TrackMuted(remote(track(true)))]);
        assert_eq!(told(|mut tell| drop(roster.tracks(muted(), &mut tell))), []);
        let left = told(|mut tell| roster.left(ADA, &mut tell));
        assert_eq!(
            left,
            [ClientEvent::TrackRemoved(remote(track(true))), ClientEvent::ParticipantLeft(ada("Countess"))]
        );
        assert_eq!(told(|mut tell| roster.left(ADA, &mut tell)), []);
    }

    #[test]
    fn encryption_is_broken_by_refused_keys_or_many_frames_and_mended_by_one() {
        let state = |state| ClientEvent::Encryption { participant: ADA, state };
        let mut roster = Roster::default();
        told(|mut tell| roster.verified(ADA, "Ada".to_owned(), &mut tell));
        assert_eq!(told(|mut tell| roster.opens(ADA, &mut tell)), [state(Encryption::Verified)]);
        assert_eq!(told(|mut tell| roster.opens(ADA, &mut tell)), []);
        for _ in 1..BROKEN_AFTER {
            assert_eq!(told(|mut tell| roster.does_not_open(ADA, &mut tell)), []);
        }
        assert_eq!(told(|mut tell| roster.does_not_open(ADA, &mut tell)), [state(Encryption::Broken)]);
        assert_eq!(told(|mut tell| roster.opens(ADA, &mut tell)), [state(Encryption::Verified)]);
        let events = told(|mut tell| roster.problem(Some(ADA), Problem::KeysRefused, &mut tell));
        assert_eq!(events.last(), Some(&state(Encryption::Broken)));
    }
}
