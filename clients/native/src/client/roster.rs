//! The participants of a call and their tracks.
//!
//! A participant is on the roster once its announce was verified. Tracks come from the server's list; only those of
//! verified participants are shown. Changes are emitted as events.

use super::event::{ClientEvent, Encryption, Participant, RemoteTrack};
use e2ee_frames::Problem;
use std::collections::{BTreeMap, BTreeSet};
use tacet_proto::{
    ParticipantId, TrackId,
    media::{Source, Track},
    server::Tracks,
};

/// Number of consecutive frames that do not open before a participant counts as broken: half a second of audio. Fewer may
/// be late frames of an expired key.
const BROKEN_AFTER: u32 = 25;

/// The participants and tracks of the call. They outlive connections.
#[derive(Debug, Default)]
pub(super) struct Roster {
    members: BTreeMap<ParticipantId, Member>,
    /// Participants that are away, also those that are not verified.
    away: BTreeSet<ParticipantId>,
    tracks: BTreeMap<TrackId, RemoteTrack>,
}

/// Tracks that appeared in the server's list and disappeared from it.
#[derive(Debug, Default)]
pub(super) struct TrackChange {
    pub(super) added: Vec<RemoteTrack>,
    pub(super) removed: Vec<RemoteTrack>,
}

#[derive(Debug)]
struct Member {
    name: String,
    encryption: Encryption,
    /// Consecutive frames that did not open.
    unopened: u32,
}

impl Roster {
    /// An announce was verified: a participant is new, or has changed its name.
    pub(super) fn verified(&mut self, id: ParticipantId, name: String, emit: &mut impl FnMut(ClientEvent)) {
        if let Some(member) = self.members.get_mut(&id) {
            if member.name != name {
                member.name.clone_from(&name);
                emit(ClientEvent::ParticipantRenamed(Participant { id, name }));
            }
            return;
        }
        let encryption = Encryption::WaitingForKey;
        self.members.insert(id, Member { name: name.clone(), encryption, unopened: 0 });
        emit(ClientEvent::ParticipantJoined(Participant { id, name }));
        emit(ClientEvent::Encryption { participant: id, state: encryption });
        if let Some(participant) = self.participant(id).filter(|_| self.away.contains(&id)) {
            emit(ClientEvent::ParticipantAway(participant));
        }
        for track in self.tracks_of(id) {
            emit(ClientEvent::TrackAdded(track));
        }
    }

    /// The server says whether a participant is away.
    pub(super) fn set_away(&mut self, id: ParticipantId, away: bool, emit: &mut impl FnMut(ClientEvent)) {
        let changed = if away { self.away.insert(id) } else { self.away.remove(&id) };
        if let Some(participant) = self.participant(id).filter(|_| changed) {
            emit(if away {
                ClientEvent::ParticipantAway(participant)
            } else {
                ClientEvent::ParticipantBack(participant)
            });
        }
    }

    /// Whether a participant is away.
    pub(super) fn is_away(&self, id: ParticipantId) -> bool {
        self.away.contains(&id)
    }

    /// This client has a new session: it waits for the keys of everyone, and to hear who is away.
    pub(super) fn start_session(&mut self, emit: &mut impl FnMut(ClientEvent)) {
        for id in std::mem::take(&mut self.away) {
            if let Some(participant) = self.participant(id) {
                emit(ClientEvent::ParticipantBack(participant));
            }
        }
        for (id, member) in &mut self.members {
            member.unopened = 0;
            member.set(*id, Encryption::WaitingForKey, emit);
        }
    }

    /// Removes the tracks that are not in the server's list. Returns them.
    pub(super) fn retain_tracks(&mut self, listed: &[TrackId], emit: &mut impl FnMut(ClientEvent)) -> TrackChange {
        let del = self.tracks.keys().copied().filter(|track| !listed.contains(track)).collect();
        self.update_tracks(Tracks { add: Vec::new(), del, upd: Vec::new() }, emit)
    }

    /// Ids of all participants.
    pub(super) fn ids(&self) -> Vec<ParticipantId> {
        self.members.keys().copied().collect()
    }

    fn participant(&self, id: ParticipantId) -> Option<Participant> {
        self.members.get(&id).map(|member| Participant { id, name: member.name.clone() })
    }

    /// A participant has left.
    pub(super) fn left(&mut self, id: ParticipantId, emit: &mut impl FnMut(ClientEvent)) {
        self.away.remove(&id);
        let Some(member) = self.members.remove(&id) else { return };
        for track in self.tracks_of(id) {
            self.tracks.remove(&track.track);
            emit(ClientEvent::TrackRemoved(track));
        }
        emit(ClientEvent::ParticipantLeft(Participant { id, name: member.name }));
    }

    /// The call is over: removes everyone.
    pub(super) fn clear(&mut self, emit: &mut impl FnMut(ClientEvent)) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.left(id, emit);
        }
        self.tracks.clear();
    }

    /// Applies a change of the server's track list.
    pub(super) fn update_tracks(&mut self, change: Tracks, emit: &mut impl FnMut(ClientEvent)) -> TrackChange {
        let TrackChange { mut added, mut removed } = TrackChange::default();
        for id in change.del {
            let Some(track) = self.tracks.remove(&id) else { continue };
            if self.members.contains_key(&track.participant) {
                emit(ClientEvent::TrackRemoved(track));
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
            let Some(known) = known else {
                emit(ClientEvent::TrackAdded(track));
                continue;
            };
            if known.muted != track.muted {
                emit(ClientEvent::TrackMuted(track));
            }
            if known.stalled != track.stalled {
                emit(ClientEvent::TrackStalled(track));
            }
        }
        TrackChange { added, removed }
    }

    /// Whether a participant is on the roster; only then its media may be delivered.
    pub(super) fn contains(&self, id: ParticipantId) -> bool {
        self.members.contains_key(&id)
    }

    /// A frame of this participant was opened, or its key was installed.
    pub(super) fn frame_opened(&mut self, id: ParticipantId, emit: &mut impl FnMut(ClientEvent)) {
        if let Some(member) = self.members.get_mut(&id) {
            member.unopened = 0;
            member.set(id, Encryption::Verified, emit);
        }
    }

    /// A frame in a slot that shows this participant, according to the server, is not authentic.
    pub(super) fn frame_rejected(&mut self, id: ParticipantId, emit: &mut impl FnMut(ClientEvent)) {
        if let Some(member) = self.members.get_mut(&id) {
            member.unopened = member.unopened.saturating_add(1);
            if member.unopened >= BROKEN_AFTER {
                member.set(id, Encryption::Broken, emit);
            }
        }
    }

    /// A message of a participant was rejected.
    pub(super) fn problem(
        &mut self,
        participant: Option<ParticipantId>,
        problem: Problem,
        emit: &mut impl FnMut(ClientEvent),
    ) {
        emit(ClientEvent::Problem { participant, problem });
        let Some(id) = participant else { return };
        let Some(member) = self.members.get_mut(&id) else { return };
        // Refused keys take nothing away from the keys that a participant has: only frames that do not open would.
        match problem {
            Problem::KeysRefused if member.encryption == Encryption::WaitingForKey => {
                member.set(id, Encryption::Broken, emit);
            }
            Problem::Equivocation => member.set(id, Encryption::Broken, emit),
            Problem::KeyMissing => member.set(id, Encryption::WaitingForKey, emit),
            Problem::KeysRefused
            | Problem::AnnounceRefused
            | Problem::ClockSkew
            | Problem::RosterDiffers
            | Problem::ChatRefused => {}
        }
    }

    /// All participants with their encryption state.
    pub(super) fn members(&self) -> impl Iterator<Item = (Participant, Encryption)> {
        let participant = |(id, member): (&ParticipantId, &Member)| {
            (Participant { id: *id, name: member.name.clone() }, member.encryption)
        };
        self.members.iter().map(participant)
    }

    /// The tracks of all participants on the roster.
    pub(super) fn shown_tracks(&self) -> impl Iterator<Item = RemoteTrack> {
        self.tracks.values().filter(|track| self.contains(track.participant)).copied()
    }

    /// All tracks in the server's list, also those of unverified participants.
    pub(super) fn all_tracks(&self) -> impl Iterator<Item = RemoteTrack> {
        self.tracks.values().copied()
    }

    /// The track of a participant's source, if the server lists one.
    pub(super) fn track(&self, id: ParticipantId, source: Source) -> Option<RemoteTrack> {
        self.tracks.values().find(|track| (track.participant, track.source) == (id, source)).copied()
    }

    fn tracks_of(&self, id: ParticipantId) -> Vec<RemoteTrack> {
        self.tracks.values().filter(|track| track.participant == id).copied().collect()
    }
}

impl Member {
    fn set(&mut self, id: ParticipantId, state: Encryption, emit: &mut impl FnMut(ClientEvent)) {
        if self.encryption != state {
            self.encryption = state;
            emit(ClientEvent::Encryption { participant: id, state });
        }
    }
}

fn remote(track: Track) -> RemoteTrack {
    let Track { track, participant, source, codec, muted, stalled, .. } = track;
    RemoteTrack { track, participant, source, codec, muted, stalled }
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
            stalled: false,
        }
    }

    fn tracks(add: &[Track], del: &[TrackId], upd: &[Track]) -> Tracks {
        Tracks { add: add.to_vec(), del: del.to_vec(), upd: upd.to_vec() }
    }

    fn events_of(act: impl FnOnce(&mut dyn FnMut(ClientEvent))) -> Vec<ClientEvent> {
        let mut events = Vec::new();
        act(&mut |event| events.push(event));
        events
    }

    fn ada(name: &str) -> Participant {
        Participant { id: ADA, name: name.to_owned() }
    }

    #[test]
    fn track_is_shown_once_its_publisher_is_verified() {
        let mut roster = Roster::default();
        assert_eq!(events_of(|mut emit| drop(roster.update_tracks(tracks(&[track(false)], &[], &[]), &mut emit))), []);
        let events = events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        assert_eq!(events.first(), Some(&ClientEvent::ParticipantJoined(ada("Ada"))));
        assert_eq!(events.last(), Some(&ClientEvent::TrackAdded(remote(track(false)))));
    }

    #[test]
    fn changes_are_emitted_once() {
        let mut roster = Roster::default();
        events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        events_of(|mut emit| drop(roster.update_tracks(tracks(&[track(false)], &[], &[]), &mut emit)));
        assert_eq!(
            events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit)),
            [],
            "a renewal is no change"
        );
        let renamed = events_of(|mut emit| roster.verified(ADA, "Countess".to_owned(), &mut emit));
        assert_eq!(renamed, [ClientEvent::ParticipantRenamed(ada("Countess"))]);
        let muted = || tracks(&[], &[], &[track(true)]);
        let events = events_of(|mut emit| drop(roster.update_tracks(muted(), &mut emit)));
        assert_eq!(events, [ClientEvent::TrackMuted(remote(track(true)))]);
        assert_eq!(events_of(|mut emit| drop(roster.update_tracks(muted(), &mut emit))), []);
        let left = events_of(|mut emit| roster.left(ADA, &mut emit));
        assert_eq!(
            left,
            [ClientEvent::TrackRemoved(remote(track(true))), ClientEvent::ParticipantLeft(ada("Countess"))]
        );
        assert_eq!(events_of(|mut emit| roster.left(ADA, &mut emit)), []);
    }

    #[test]
    fn participant_goes_away_and_comes_back() {
        let mut roster = Roster::default();
        assert_eq!(events_of(|mut emit| roster.set_away(ADA, true, &mut emit)), [], "not verified yet");
        let events = events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        assert_eq!(events.last(), Some(&ClientEvent::ParticipantAway(ada("Ada"))));
        assert!(roster.is_away(ADA));
        let back = events_of(|mut emit| roster.set_away(ADA, false, &mut emit));
        assert_eq!(back, [ClientEvent::ParticipantBack(ada("Ada"))]);
        assert_eq!(events_of(|mut emit| roster.set_away(ADA, false, &mut emit)), []);
    }

    #[test]
    fn stalled_track_is_not_a_muted_one() {
        let mut roster = Roster::default();
        events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        events_of(|mut emit| drop(roster.update_tracks(tracks(&[track(false)], &[], &[]), &mut emit)));
        let stalled = || Track { stalled: true, ..track(false) };
        let events = events_of(|mut emit| drop(roster.update_tracks(tracks(&[], &[], &[stalled()]), &mut emit)));
        assert_eq!(events, [ClientEvent::TrackStalled(remote(stalled()))]);
    }

    #[test]
    fn participants_outlive_a_new_session() {
        let mut roster = Roster::default();
        events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        events_of(|mut emit| roster.frame_opened(ADA, &mut emit));
        events_of(|mut emit| drop(roster.update_tracks(tracks(&[track(false)], &[], &[]), &mut emit)));
        let waiting = ClientEvent::Encryption { participant: ADA, state: Encryption::WaitingForKey };
        assert_eq!(events_of(|mut emit| roster.start_session(&mut emit)), [waiting]);
        assert_eq!(events_of(|mut emit| drop(roster.retain_tracks(&[TrackId(9)], &mut emit))), []);
        let gone = events_of(|mut emit| drop(roster.retain_tracks(&[TrackId(8)], &mut emit)));
        assert_eq!(gone, [ClientEvent::TrackRemoved(remote(track(false)))]);
        assert_eq!(roster.ids(), [ADA]);
    }

    #[test]
    fn encryption_breaks_after_many_rejected_frames_and_recovers() {
        let state = |state| ClientEvent::Encryption { participant: ADA, state };
        let mut roster = Roster::default();
        events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        assert_eq!(events_of(|mut emit| roster.frame_opened(ADA, &mut emit)), [state(Encryption::Verified)]);
        assert_eq!(events_of(|mut emit| roster.frame_opened(ADA, &mut emit)), []);
        for _ in 1..BROKEN_AFTER {
            assert_eq!(events_of(|mut emit| roster.frame_rejected(ADA, &mut emit)), []);
        }
        assert_eq!(events_of(|mut emit| roster.frame_rejected(ADA, &mut emit)), [state(Encryption::Broken)]);
        assert_eq!(events_of(|mut emit| roster.frame_opened(ADA, &mut emit)), [state(Encryption::Verified)]);
    }

    #[test]
    fn refused_keys_break_only_a_participant_without_keys() {
        let problem = |problem| ClientEvent::Problem { participant: Some(ADA), problem };
        let state = |state| ClientEvent::Encryption { participant: ADA, state };
        let mut roster = Roster::default();
        events_of(|mut emit| roster.verified(ADA, "Ada".to_owned(), &mut emit));
        let events = events_of(|mut emit| roster.problem(Some(ADA), Problem::KeysRefused, &mut emit));
        assert_eq!(events, [problem(Problem::KeysRefused), state(Encryption::Broken)]);
        events_of(|mut emit| roster.frame_opened(ADA, &mut emit));
        let events = events_of(|mut emit| roster.problem(Some(ADA), Problem::KeysRefused, &mut emit));
        assert_eq!(events, [problem(Problem::KeysRefused)], "what it sends opens");
        let events = events_of(|mut emit| roster.problem(Some(ADA), Problem::RosterDiffers, &mut emit));
        assert_eq!(events, [problem(Problem::RosterDiffers)], "its frames are its own");
        let events = events_of(|mut emit| roster.problem(Some(ADA), Problem::KeyMissing, &mut emit));
        assert_eq!(events, [problem(Problem::KeyMissing), state(Encryption::WaitingForKey)]);
        let events = events_of(|mut emit| roster.problem(Some(ADA), Problem::Equivocation, &mut emit));
        assert_eq!(events.last(), Some(&state(Encryption::Broken)));
    }
}
