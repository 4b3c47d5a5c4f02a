//! Changes that a participant has yet to be sent. Changes that occur close together are sent together, and a track that is
//! withdrawn before it was sent is never sent. A leave always is, because keys depend on it.
//!
//! The backlog of a participant without a connection waits. It is bounded by what there is in the room.

use super::pages::Page;
use crate::{outbox::Outgoing, rate::Window};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::{
    ParticipantId, Seat, ServerMessage, TrackId,
    binary::{self, ANNOUNCE_DEVICE_KEY, AnnounceEntry, BatchEntry, BatchHeader, MAX_KEYS, PREFIX_BYTES, WantedKey},
    limits::MAX_MESSAGE_BYTES,
    media::Track,
    server::{Joined, Roster, RosterEntry, Tracks},
};

/// Minimum time between two deliveries of changes. The first change after a quiet period is sent at once.
const CHANGE_GAP: Duration = Duration::from_millis(40);
/// How long keys wait for those of other senders: after a participant leaves, all senders rotate at about the same time.
const KEY_GAP: Duration = Duration::from_millis(20);
/// Maximum number of messages per second for changes; answers and hints use the rest of the 30 that a client expects.
const CHANGES_PER_SECOND: usize = 20;
/// Maximum number of keys that wait for one participant; more than honest senders of a room produce.
const MAX_WAITING_KEYS: usize = 2_048;
/// Maximum number of key requests that wait for one participant.
const MAX_WAITING_REQUESTS: usize = 128;

/// An announce and sealed name, shared by the backlogs of all that have yet to receive them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    /// The participant's seat.
    pub(super) seat: Seat,
    /// The announce.
    pub(super) announce: Arc<[u8]>,
    /// The sealed name.
    pub(super) display: Arc<[u8]>,
}

impl Announced {
    /// Public key of the device.
    pub(super) fn device(&self) -> Option<&[u8; 32]> {
        self.announce.get(ANNOUNCE_DEVICE_KEY)?.try_into().ok()
    }
}

/// One participant's backlog.
#[derive(Debug)]
pub(super) struct Backlog {
    roster_rev: u32,
    arrived: BTreeMap<ParticipantId, RosterEntry>,
    changed: BTreeMap<ParticipantId, RosterEntry>,
    left: BTreeSet<ParticipantId>,
    /// The next roster message replaces what the client knows; it answers this request.
    full: Option<Option<u32>>,
    announces: BTreeMap<ParticipantId, Announced>,
    keys: VecDeque<(Arc<BatchHeader>, BatchEntry)>,
    key_requests: VecDeque<(Seat, Vec<WantedKey>)>,
    tracks_added: BTreeMap<TrackId, Track>,
    tracks_removed: BTreeSet<TrackId>,
    tracks_changed: BTreeMap<TrackId, Track>,
    delivered: Option<Instant>,
    due: Option<Instant>,
    budget: Window,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            roster_rev: 0,
            arrived: BTreeMap::new(),
            changed: BTreeMap::new(),
            left: BTreeSet::new(),
            full: None,
            announces: BTreeMap::new(),
            keys: VecDeque::new(),
            key_requests: VecDeque::new(),
            tracks_added: BTreeMap::new(),
            tracks_removed: BTreeSet::new(),
            tracks_changed: BTreeMap::new(),
            delivered: None,
            due: None,
            budget: Window::new(CHANGES_PER_SECOND, Duration::from_secs(1)),
        }
    }
}

impl Backlog {
    /// When the next delivery is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something changed: schedules a delivery, at once or when enough time has passed since the last one.
    pub(super) fn touch(&mut self, now: Instant) {
        self.due_by(self.delivered.map_or(now, |last| now.max(last + CHANGE_GAP)));
    }

    fn due_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// A participant joined.
    pub(super) fn arrived(&mut self, now: Instant, participant: ParticipantId, announced: Announced, away: bool) {
        self.arrived.insert(participant, RosterEntry { participant, seat: announced.seat, away });
        self.announced(now, participant, announced);
    }

    /// A participant went away or is back.
    pub(super) fn presence(&mut self, now: Instant, entry: RosterEntry) {
        match self.arrived.get_mut(&entry.participant) {
            Some(arrived) => *arrived = entry,
            None => {
                self.changed.insert(entry.participant, entry);
            }
        }
        self.touch(now);
    }

    /// A participant's announce is new or renewed.
    pub(super) fn announced(&mut self, now: Instant, participant: ParticipantId, announced: Announced) {
        self.announces.insert(participant, announced);
        self.touch(now);
    }

    /// A participant left. If it joins again as the same participant, the leave is sent first.
    pub(super) fn left(&mut self, now: Instant, participant: ParticipantId) {
        self.announces.remove(&participant);
        self.arrived.remove(&participant);
        self.changed.remove(&participant);
        self.left.insert(participant);
        self.touch(now);
    }

    /// The client is to get the whole roster again, in answer to a request or because it may lack something.
    pub(super) fn resync(&mut self, now: Instant, re: Option<u32>, roster: Vec<RosterEntry>) {
        self.arrived = roster.into_iter().map(|entry| (entry.participant, entry)).collect();
        self.changed.clear();
        self.full = Some(re.or(self.full.flatten()));
        self.touch(now);
    }

    /// A sender has a key for this participant.
    pub(super) fn keys(&mut self, now: Instant, header: Arc<BatchHeader>, entry: BatchEntry) {
        if self.keys.len() >= MAX_WAITING_KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back((header, entry));
        self.due_by(now + KEY_GAP);
    }

    /// Another participant lacks keys of this one.
    pub(super) fn key_request(&mut self, now: Instant, requester: Seat, wanted: Vec<WantedKey>) {
        if self.key_requests.len() < MAX_WAITING_REQUESTS {
            self.key_requests.push_back((requester, wanted));
            self.due_by(now + KEY_GAP);
        }
    }

    /// A track was published.
    pub(super) fn track_added(&mut self, now: Instant, track: Track) {
        self.tracks_added.insert(track.track, track);
        self.touch(now);
    }

    /// A track was muted or unmuted.
    pub(super) fn track_changed(&mut self, now: Instant, track: Track) {
        match self.tracks_added.get_mut(&track.track) {
            Some(added) => *added = track,
            None => {
                self.tracks_changed.insert(track.track, track);
            }
        }
        self.touch(now);
    }

    /// A track was withdrawn.
    pub(super) fn track_removed(&mut self, now: Instant, track: TrackId) {
        self.tracks_changed.remove(&track);
        if self.tracks_added.remove(&track).is_none() {
            self.tracks_removed.insert(track);
        }
        self.touch(now);
    }

    /// Returns the answer to `join`, with as much of roster and tracks as fits; the rest stays in the backlog.
    pub(super) fn joined(&mut self, seat: Seat, gathering: bool) -> Joined {
        let mut page = Page::new();
        let roster = self.roster_page(&mut page);
        let tracks = take(&mut self.tracks_added, &mut page);
        self.roster_rev = self.roster_rev.wrapping_add(1);
        Joined { seat, rev: self.roster_rev, roster, tracks, gathering, tokens: None }
    }

    /// Passes everything that is due to `send`, in the order in which a client needs it and within the budget; messages of
    /// `more` come last.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        mut more: impl FnMut() -> Option<ServerMessage>,
        mut send: impl FnMut(Outgoing),
    ) {
        self.delivered = Some(now);
        self.due = None;
        loop {
            if let Err(wait) = self.budget.check(now) {
                // Checked before anything is taken out, so nothing is lost. If nothing was left, one idle delivery follows.
                self.due = Some(now + wait);
                return;
            }
            let next = self.next().or_else(|| more().map(|message| Outgoing::Message { re: None, message }));
            let Some(outgoing) = next else { return };
            let _ = self.budget.accept(now);
            send(outgoing);
        }
    }

    fn next(&mut self) -> Option<Outgoing> {
        self.roster()
            .or_else(|| self.announces())
            .or_else(|| self.sealed_keys())
            .or_else(|| self.requested_keys())
            .or_else(|| self.tracks())
    }

    fn roster(&mut self) -> Option<Outgoing> {
        if self.arrived.is_empty() && self.changed.is_empty() && self.left.is_empty() && self.full.is_none() {
            return None;
        }
        let mut page = Page::new();
        let del = take_ids(&mut self.left, &mut page);
        // A participant that left and joined again is on both lists.
        let (add, upd) = if self.left.is_empty() {
            (self.roster_page(&mut page), take(&mut self.changed, &mut page))
        } else {
            (Vec::new(), Vec::new())
        };
        self.roster_rev = self.roster_rev.wrapping_add(1);
        let full = if self.left.is_empty() { self.full.take() } else { None };
        let message = ServerMessage::Roster(Roster { rev: self.roster_rev, full: full.is_some(), add, del, upd });
        Some(Outgoing::Message { re: full.flatten(), message })
    }

    fn roster_page(&mut self, page: &mut Page) -> Vec<RosterEntry> {
        take(&mut self.arrived, page)
    }

    fn announces(&mut self) -> Option<Outgoing> {
        let mut entries: Vec<AnnounceEntry<'_>> = Vec::new();
        let mut left = MAX_MESSAGE_BYTES - PREFIX_BYTES - 1;
        for (&participant, announced) in self.announces.iter().take(usize::from(u8::MAX)) {
            let Announced { seat, announce, display } = announced;
            let entry = AnnounceEntry { participant, seat: *seat, announce, display };
            let Some(rest) = left.checked_sub(binary::announce_bytes(&entry)) else { break };
            left = rest;
            entries.push(entry);
        }
        let last = entries.last()?.participant;
        let message = binary::announces(0, &entries);
        self.announces = self.announces.split_off(&ParticipantId(last.0.saturating_add(1)));
        Some(Outgoing::Binary(message))
    }

    fn sealed_keys(&mut self) -> Option<Outgoing> {
        let count = self.keys.len().min(MAX_KEYS);
        if count == 0 {
            return None;
        }
        let keys: Vec<_> = self.keys.drain(..count).collect();
        Some(Outgoing::Binary(binary::keys(0, keys.iter().map(|(header, entry)| (&**header, entry)))))
    }

    fn requested_keys(&mut self) -> Option<Outgoing> {
        let (requester, wanted) = self.key_requests.pop_front()?;
        Some(Outgoing::Binary(binary::forwarded_key_request(0, requester, &wanted)))
    }

    fn tracks(&mut self) -> Option<Outgoing> {
        if self.tracks_added.is_empty() && self.tracks_removed.is_empty() && self.tracks_changed.is_empty() {
            return None;
        }
        let mut page = Page::new();
        let del = take_ids(&mut self.tracks_removed, &mut page);
        let add = take(&mut self.tracks_added, &mut page);
        let upd = take(&mut self.tracks_changed, &mut page);
        Some(Outgoing::Message { re: None, message: ServerMessage::Tracks(Tracks { add, del, upd }) })
    }
}

fn take<I: Ord, T: serde::Serialize>(objects: &mut BTreeMap<I, T>, page: &mut Page) -> Vec<T> {
    let mut taken = Vec::new();
    while let Some(entry) = objects.first_entry().filter(|entry| page.fits(entry.get())) {
        taken.push(entry.remove());
    }
    taken
}

fn take_ids<I: Copy + Ord + serde::Serialize>(ids: &mut BTreeSet<I>, page: &mut Page) -> Vec<I> {
    let mut taken = Vec::new();
    while let Some(&id) = ids.first().filter(|id| page.fits(id)) {
        ids.pop_first();
        taken.push(id);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::{
        ServerEnvelope,
        binary::{ANNOUNCE_BYTES, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES, ServerBinary},
        media::{Codec, Kind, Source},
    };

    fn announced(seat: u16) -> Announced {
        Announced { seat: Seat(seat), announce: vec![1; ANNOUNCE_BYTES].into(), display: vec![2; 40].into() }
    }

    fn track(id: u32, muted: bool) -> Track {
        Track {
            track: TrackId(id),
            participant: ParticipantId(1),
            kind: Kind::Audio,
            source: Source::ScreenAudio,
            codec: Codec::Opus,
            muted,
            stalled: false,
        }
    }

    fn deliver(backlog: &mut Backlog, now: Instant) -> Vec<Outgoing> {
        let mut sent = Vec::new();
        backlog.deliver(now, || None, |outgoing| sent.push(outgoing));
        for outgoing in &sent {
            let bytes = match outgoing {
                Outgoing::Binary(bytes) => bytes.len(),
                Outgoing::Message { re, message } => {
                    ServerEnvelope { seq: u32::MAX, re: re.or(Some(u32::MAX)), message: message.clone() }
                        .to_json()
                        .len()
                }
            };
            assert!(bytes <= MAX_MESSAGE_BYTES, "a message of {bytes} bytes");
        }
        sent
    }

    #[test]
    fn first_change_is_due_at_once_and_the_next_after_a_gap() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.arrived(now, ParticipantId(1), announced(1), false);
        assert_eq!(backlog.due(), Some(now));
        assert_eq!(deliver(&mut backlog, now).len(), 2, "roster and announce");
        backlog.arrived(now, ParticipantId(2), announced(2), false);
        assert_eq!(backlog.due(), Some(now + CHANGE_GAP));
    }

    #[test]
    fn track_that_is_withdrawn_before_it_was_sent_is_not_sent() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.track_added(now, track(5, false));
        backlog.track_removed(now, TrackId(5));
        assert_eq!(deliver(&mut backlog, now), vec![]);
    }

    fn roster(rev: u32) -> Roster {
        Roster { rev, full: false, add: vec![], del: vec![], upd: vec![] }
    }

    fn entry(participant: u32, seat: u16, away: bool) -> RosterEntry {
        RosterEntry { participant: ParticipantId(participant), seat: Seat(seat), away }
    }

    fn rosters(sent: Vec<Outgoing>) -> Vec<Roster> {
        let roster = |outgoing| match outgoing {
            Outgoing::Message { message: ServerMessage::Roster(roster), .. } => Some(roster),
            _ => None,
        };
        sent.into_iter().filter_map(roster).collect()
    }

    #[test]
    fn leave_is_sent_even_if_the_join_was_not() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.arrived(now, ParticipantId(1), announced(1), false);
        backlog.left(now, ParticipantId(1));
        let sent = deliver(&mut backlog, now);
        assert_eq!(sent.len(), 1, "no announce of a participant that has left");
        assert_eq!(rosters(sent), [Roster { del: vec![ParticipantId(1)], ..roster(1) }]);
    }

    #[test]
    fn return_as_the_same_participant_is_a_leave_and_then_a_join() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.left(now, ParticipantId(1));
        backlog.arrived(now, ParticipantId(1), announced(7), false);
        let sent = deliver(&mut backlog, now);
        assert!(matches!(&sent[..], [Outgoing::Message { .. }, Outgoing::Binary(_)]), "the roster comes first");
        let expected = Roster { add: vec![entry(1, 7, false)], del: vec![ParticipantId(1)], ..roster(1) };
        assert_eq!(rosters(sent), [expected]);
        // Also where the leaves alone fill several messages.
        for id in 1..5_000 {
            backlog.left(now, ParticipantId(u32::MAX - id));
            backlog.arrived(now, ParticipantId(u32::MAX - id), announced(7), false);
        }
        let (mut left, mut now) = (BTreeSet::new(), now);
        while let Some(due) = backlog.due() {
            now = now.max(due);
            for roster in rosters(deliver(&mut backlog, now)) {
                left.extend(roster.del);
                assert!(roster.add.iter().all(|entry| left.contains(&entry.participant)));
            }
        }
    }

    #[test]
    fn last_presence_is_sent_once() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.arrived(now, ParticipantId(1), announced(1), false);
        for away in [true, false, true] {
            backlog.presence(now, entry(1, 1, away));
            backlog.presence(now, entry(2, 2, away));
        }
        let expected = Roster { add: vec![entry(1, 1, true)], upd: vec![entry(2, 2, true)], ..roster(1) };
        assert_eq!(rosters(deliver(&mut backlog, now)), [expected]);
    }

    #[test]
    fn new_track_is_sent_once_with_its_mute_state() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.track_added(now, track(5, false));
        backlog.track_changed(now, track(5, true));
        let message = ServerMessage::Tracks(Tracks { add: vec![track(5, true)], del: vec![], upd: vec![] });
        assert_eq!(deliver(&mut backlog, now), vec![Outgoing::Message { re: None, message }]);
    }

    #[test]
    fn keys_of_many_senders_share_messages() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        for _ in 0..64 {
            backlog.keys(now, Arc::new(BatchHeader([1; BATCH_HEADER_BYTES])), BatchEntry([2; BATCH_ENTRY_BYTES]));
        }
        assert_eq!(backlog.due(), Some(now + KEY_GAP));
        let counts: Vec<_> = deliver(&mut backlog, now + KEY_GAP)
            .iter()
            .map(|outgoing| match outgoing {
                Outgoing::Binary(bytes) => match binary::parse_server(bytes) {
                    Ok((_, ServerBinary::Keys(keys))) => keys.len() / (BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES),
                    other => panic!("{other:?}"),
                },
                other @ Outgoing::Message { .. } => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [63, 1]);
    }

    #[test]
    fn large_room_is_sent_in_bounded_messages_at_a_bounded_rate() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        for i in 0..4_000 {
            backlog.arrived(start, ParticipantId(u32::MAX - 5_000 + i), announced(4_095), false);
            backlog.track_added(start, track(u32::MAX - 5_000 + i, false));
        }
        let joined = backlog.joined(Seat(0), false);
        let (mut listed, mut rev, mut announces, mut tracks) =
            (joined.roster.len(), joined.rev, 0, joined.tracks.len());
        while let Some(due) = backlog.due() {
            let sent = deliver(&mut backlog, due);
            assert!(sent.len() <= CHANGES_PER_SECOND);
            for outgoing in sent {
                match outgoing {
                    Outgoing::Message { message: ServerMessage::Roster(roster), .. } => {
                        assert_eq!(roster.rev, rev + 1, "no gap");
                        rev = roster.rev;
                        listed += roster.add.len();
                    }
                    Outgoing::Message { message: ServerMessage::Tracks(more), .. } => tracks += more.add.len(),
                    Outgoing::Binary(bytes) => match binary::parse_server(&bytes) {
                        Ok((_, ServerBinary::Announces(more))) => announces += more.len(),
                        other => panic!("{other:?}"),
                    },
                    Outgoing::Message { .. } => panic!("unexpected"),
                }
            }
        }
        assert_eq!((listed, announces, tracks), (4_000, 4_000, 4_000));
    }

    #[test]
    fn resync_replaces_the_roster_and_answers_the_request() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.left(now, ParticipantId(9));
        backlog.resync(now, Some(7), vec![entry(1, 4, true)]);
        let roster = Roster { full: true, add: vec![entry(1, 4, true)], del: vec![ParticipantId(9)], ..roster(1) };
        let expected = Outgoing::Message { re: Some(7), message: ServerMessage::Roster(roster) };
        assert_eq!(deliver(&mut backlog, now), vec![expected]);
    }
}
