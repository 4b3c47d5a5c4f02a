//! Changes that a participant has yet to be sent. Changes that occur close together are sent together, and a track that is
//! withdrawn before it was sent is never sent. A leave always is, because keys depend on it.
//!
//! No sender can hold up another, whatever it sends: each [class](budget::Class) of changes has a reserved share of the
//! messages, inside a class the senders are served in turn (`round_robin`, `key_requests`), and each has a bounded number of
//! keys and key requests waiting.
//!
//! The backlog of a participant without a connection waits. It is bounded by what there is in the room.

mod budget;
mod chat;
mod key_requests;
mod round_robin;
mod slot_layers;

use super::{pages::Page, slots::Slots};
use crate::outbox::Outgoing;
use budget::{Budget, Class};
use chat::Chat;
use key_requests::KeyRequests;
use round_robin::RoundRobin;
use sfu_api::Mid;
use slot_layers::SlotLayers;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tacet_proto::{
    ParticipantId, Seat, ServerMessage, TrackId,
    binary::{self, ANNOUNCE_DEVICE_KEY, AnnounceEntry, BatchEntry, BatchHeader, MAX_KEYS, PREFIX_BYTES, WantedKey},
    layers::{SlotLayer, TrackWant, Want},
    limits::MAX_MESSAGE_BYTES,
    media::{SlotContent, SlotTrack, Track},
    resume::MAX_TOKENS_JSON_BYTES,
    server::{Joined, Policy, Roster, RosterEntry, Tracks},
};

/// Minimum time between two deliveries of changes. The first change after a quiet period is sent at once.
const CHANGE_GAP: Duration = Duration::from_millis(40);
/// How long keys wait for those of other senders: after a participant leaves, all senders rotate at about the same time.
const KEY_GAP: Duration = Duration::from_millis(20);
/// Maximum number of keys of one sender that wait for one participant: more than an honest sender makes while the
/// participant has no connection and would need when it is back. The sender's oldest falls out.
const MAX_WAITING_KEYS: usize = 16;

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

    /// As it is sent.
    fn entry(&self, participant: ParticipantId) -> AnnounceEntry<'_> {
        let Self { seat, announce, display } = self;
        AnnounceEntry { participant, seat: *seat, announce, display }
    }
}

/// A key of a sender for this participant.
type Key = (Arc<BatchHeader>, BatchEntry);

/// One participant's backlog.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    roster_rev: u32,
    arrived: BTreeMap<ParticipantId, RosterEntry>,
    changed: BTreeMap<ParticipantId, RosterEntry>,
    left: BTreeSet<ParticipantId>,
    /// The next roster message replaces what the client knows; it answers this request.
    full: Option<Option<u32>>,
    newcomers: RoundRobin<ParticipantId, Announced>,
    renewals: RoundRobin<ParticipantId, Announced>,
    keys: RoundRobin<ParticipantId, VecDeque<Key>>,
    key_requests: KeyRequests,
    chat: Chat,
    tracks_added: RoundRobin<TrackId, Track>,
    tracks_removed: BTreeSet<TrackId>,
    tracks_changed: RoundRobin<TrackId, Track>,
    wants: BTreeMap<TrackId, TrackWant>,
    layers: SlotLayers,
    delivered: Option<Instant>,
    due: Option<Instant>,
    budget: Budget,
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
    pub(super) fn arrived(&mut self, now: Instant, entry: RosterEntry, announced: Announced) {
        let participant = entry.participant;
        self.arrived.insert(participant, entry);
        self.renewals.remove(participant);
        self.newcomers.insert(participant, announced);
        self.touch(now);
    }

    /// A participant went away or is back, or something else of what the roster says of it is new.
    pub(super) fn entry_changed(&mut self, now: Instant, entry: RosterEntry) {
        match self.arrived.get_mut(&entry.participant) {
            Some(arrived) => *arrived = entry,
            None => {
                self.changed.insert(entry.participant, entry);
            }
        }
        self.touch(now);
    }

    /// A participant's announce is renewed.
    pub(super) fn renewed(&mut self, now: Instant, participant: ParticipantId, announced: Announced) {
        match self.newcomers.get_mut(participant) {
            Some(newcomer) => *newcomer = announced,
            None => self.renewals.insert(participant, announced),
        }
        self.touch(now);
    }

    /// A participant left. If it joins again as the same participant, the leave is sent first.
    pub(super) fn left(&mut self, now: Instant, participant: ParticipantId, seat: Option<Seat>) {
        self.newcomers.remove(participant);
        self.renewals.remove(participant);
        self.keys.remove(participant);
        if let Some(seat) = seat {
            self.key_requests.remove(seat);
        }
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
    pub(super) fn key(&mut self, now: Instant, sender: ParticipantId, header: Arc<BatchHeader>, entry: BatchEntry) {
        let keys = self.keys.or_default(sender);
        if keys.len() >= MAX_WAITING_KEYS {
            keys.pop_front();
        }
        keys.push_back((header, entry));
        self.due_by(now + KEY_GAP);
    }

    /// Another participant lacks keys of this one. Its requests are put together while they wait.
    pub(super) fn key_request(&mut self, now: Instant, requester: Seat, wanted: Vec<WantedKey>) {
        self.key_requests.add(requester, wanted);
        self.due_by(now + KEY_GAP);
    }

    /// A participant says something, with this rank in the order of messages.
    pub(super) fn chat(&mut self, now: Instant, rank: Instant, sender: ParticipantId, message: Arc<[u8]>) {
        self.chat.add(rank, sender, message);
        self.touch(now);
    }

    /// A track was published.
    pub(super) fn track_added(&mut self, now: Instant, track: Track) {
        self.tracks_added.insert(track.track, track);
        self.touch(now);
    }

    /// A track was muted or unmuted.
    pub(super) fn track_changed(&mut self, now: Instant, track: Track) {
        match self.tracks_added.get_mut(track.track) {
            Some(added) => *added = track,
            None => self.tracks_changed.insert(track.track, track),
        }
        self.touch(now);
    }

    /// A track was withdrawn.
    pub(super) fn track_removed(&mut self, now: Instant, track: TrackId) {
        self.tracks_changed.remove(track);
        if self.tracks_added.remove(track).is_none() {
            self.tracks_removed.insert(track);
        }
        self.touch(now);
    }

    /// The receivers of one of the client's own tracks want other encodings. The last word counts.
    pub(super) fn want(&mut self, now: Instant, want: TrackWant) {
        self.wants.insert(want.track, want);
        self.touch(now);
    }

    /// The client has withdrawn a track.
    pub(super) fn forget_want(&mut self, track: TrackId) {
        self.wants.remove(&track);
    }

    /// A slot receives another layer. The last word counts.
    pub(super) fn layer(&mut self, now: Instant, mid: Mid, content: SlotContent, layer: SlotLayer) {
        self.layers.insert(mid, content, layer);
        self.touch(now);
    }

    /// Returns the answer to `join`, with as much of roster and tracks as fits beside the tokens that are added to it; the rest
    /// stays in the backlog.
    pub(super) fn joined(&mut self, seat: Seat, policy: Policy, gathering: bool) -> Joined {
        let mut page = Page::beside(MAX_TOKENS_JSON_BYTES);
        let roster = take(&mut self.arrived, &mut page);
        let tracks = take_tracks(&mut self.tracks_added, &self.arrived, &mut page);
        self.roster_rev = self.roster_rev.wrapping_add(1);
        Joined { seat, rev: self.roster_rev, roster, tracks, policy, gathering, tokens: None }
    }

    /// Passes everything that is due to `send`, in the order in which a client needs it and within the budget.
    pub(super) fn deliver(&mut self, now: Instant, slots: &mut Slots, mut send: impl FnMut(Outgoing)) {
        self.delivered = Some(now);
        self.note_waiting(now, slots);
        while self.deliver_one_of_each(now, slots, &mut send) {}
        self.note_waiting(now, slots);
        let waiting = Class::ALL.into_iter().filter(|class| self.waits(*class, slots));
        self.due = waiting.map(|class| self.budget.allows_at(class, now)).min();
    }

    /// The client is sent a message that is not of the backlog: an answer, or one that may be lost.
    pub(super) fn count(&mut self, now: Instant) {
        self.budget.count(now);
    }

    /// What depends on another class waits as long as that: an announce is sent with the roster that lists its participant.
    fn note_waiting(&mut self, now: Instant, slots: &Slots) {
        for class in Class::ALL {
            if self.has(class, slots) {
                self.budget.wait(class, now);
            }
        }
    }

    /// Whether there is anything of a class, even if something else has to be sent first.
    fn has(&self, class: Class, slots: &Slots) -> bool {
        match class {
            Class::Chat => !self.chat.is_empty(),
            Class::Newcomers => self.newcomers.next(|_, _| true).is_some(),
            Class::Keys => self.keys.next(|_, _| true).is_some(),
            Class::Tracks => {
                let first = |tracks: &RoundRobin<TrackId, Track>| tracks.next(|_, _| true).is_some();
                !self.tracks_removed.is_empty() || first(&self.tracks_added) || first(&self.tracks_changed)
            }
            Class::Slots => slots.has_message(|_| true),
            Class::Renewals => self.renewals.next(|_, _| true).is_some(),
            Class::Roster | Class::KeyRequests | Class::Wants | Class::Layers => self.waits(class, slots),
        }
    }

    /// Passes on one message of each class that has one and may send it. Returns whether there was any.
    fn deliver_one_of_each(&mut self, now: Instant, slots: &mut Slots, send: &mut impl FnMut(Outgoing)) -> bool {
        let mut any = false;
        for class in self.budget.order(now) {
            if self.budget.allows_at(class, now) <= now
                && let Some(outgoing) = self.of(class, slots)
            {
                self.budget.spend(class, now);
                send(outgoing);
                any = true;
            }
        }
        any
    }

    /// The next message of a class.
    fn of(&mut self, class: Class, slots: &mut Slots) -> Option<Outgoing> {
        match class {
            Class::Chat => {
                let newcomers = &self.newcomers;
                let message = self.chat.next(|sender| !newcomers.contains(*sender))?;
                Some(Outgoing::Binary(message.to_vec()))
            }
            Class::Roster => self.roster(),
            Class::Newcomers => announces(&mut self.newcomers, &self.arrived),
            Class::Keys => self.sealed_keys(),
            Class::Tracks => self.tracks(),
            Class::Slots => {
                let message = slots.next_message(|source| self.knows(source))?;
                Some(Outgoing::Message { re: None, message: ServerMessage::Slots(message) })
            }
            Class::KeyRequests => self.requested_keys(),
            Class::Wants => {
                let tracks = take(&mut self.wants, &mut Page::new());
                let message = ServerMessage::Want(Want { tracks: Some(tracks).filter(|tracks| !tracks.is_empty())? });
                Some(Outgoing::Message { re: None, message })
            }
            Class::Layers => {
                let message = self.layers.next_message(slots)?;
                Some(Outgoing::Message { re: None, message: ServerMessage::Layer(message) })
            }
            Class::Renewals => announces(&mut self.renewals, &self.arrived),
        }
    }

    /// Whether a class has a message that could be sent now but for the budget.
    fn waits(&self, class: Class, slots: &Slots) -> bool {
        let listed = |participant: &ParticipantId| !self.arrived.contains_key(participant);
        match class {
            Class::Chat => self.chat.has(|sender| !self.newcomers.contains(*sender)),
            Class::Roster => self.roster_waits(),
            Class::Newcomers => self.newcomers.next(|participant, _| listed(participant)).is_some(),
            Class::Keys => self.next_sender().is_some(),
            Class::Tracks => self.tracks_wait(),
            Class::Slots => slots.has_message(|source| self.knows(source)),
            Class::KeyRequests => !self.key_requests.is_empty(),
            Class::Wants => !self.wants.is_empty(),
            Class::Layers => self.layers.has_message(slots),
            Class::Renewals => self.renewals.next(|participant, _| listed(participant)).is_some(),
        }
    }

    /// Whether the client was sent the track that a slot is to carry.
    fn knows(&self, source: SlotTrack) -> bool {
        !self.tracks_added.contains(source.track) && !self.arrived.contains_key(&source.participant)
    }

    fn roster_waits(&self) -> bool {
        !self.arrived.is_empty() || !self.changed.is_empty() || !self.left.is_empty() || self.full.is_some()
    }

    fn roster(&mut self) -> Option<Outgoing> {
        if !self.roster_waits() {
            return None;
        }
        let mut page = Page::new();
        let del = take_ids(&mut self.left, &mut page);
        self.chat.forget(&del);
        // A participant that left and joined again is on both lists.
        let (add, upd) = if self.left.is_empty() {
            (take(&mut self.arrived, &mut page), take(&mut self.changed, &mut page))
        } else {
            (Vec::new(), Vec::new())
        };
        self.roster_rev = self.roster_rev.wrapping_add(1);
        let full = if self.left.is_empty() { self.full.take() } else { None };
        let message = ServerMessage::Roster(Roster { rev: self.roster_rev, full: full.is_some(), add, del, upd });
        Some(Outgoing::Message { re: full.flatten(), message })
    }

    /// The sender that comes next: one whose announce the client has been sent.
    fn next_sender(&self) -> Option<ParticipantId> {
        self.keys.next(|sender, _| !self.newcomers.contains(*sender))
    }

    /// One key of each sender in turn.
    fn sealed_keys(&mut self) -> Option<Outgoing> {
        let mut taken: Vec<Key> = Vec::new();
        while taken.len() < MAX_KEYS
            && let Some(sender) = self.next_sender()
        {
            self.keys.served(sender);
            let keys = self.keys.or_default(sender);
            taken.extend(keys.pop_front());
            if keys.is_empty() {
                self.keys.remove(sender);
            }
        }
        if taken.is_empty() {
            return None;
        }
        Some(Outgoing::Binary(binary::keys(0, taken.iter().map(|(header, entry)| (&**header, entry)))))
    }

    fn requested_keys(&mut self) -> Option<Outgoing> {
        let (requester, wanted) = self.key_requests.next()?;
        Some(Outgoing::Binary(binary::forwarded_key_request(0, requester, &wanted)))
    }

    fn tracks_wait(&self) -> bool {
        let listed = |track: &Track| !self.arrived.contains_key(&track.participant);
        !self.tracks_removed.is_empty()
            || self.tracks_added.next(|_, track| listed(track)).is_some()
            || self.tracks_changed.next(|_, track| listed(track)).is_some()
    }

    fn tracks(&mut self) -> Option<Outgoing> {
        let mut page = Page::new();
        let del = take_ids(&mut self.tracks_removed, &mut page);
        let add = take_tracks(&mut self.tracks_added, &self.arrived, &mut page);
        let upd = take_tracks(&mut self.tracks_changed, &self.arrived, &mut page);
        if del.is_empty() && add.is_empty() && upd.is_empty() {
            return None;
        }
        Some(Outgoing::Message { re: None, message: ServerMessage::Tracks(Tracks { add, del, upd }) })
    }
}

/// The next announces of participants that are on the roster that was sent.
fn announces(
    waiting: &mut RoundRobin<ParticipantId, Announced>,
    arrived: &BTreeMap<ParticipantId, RosterEntry>,
) -> Option<Outgoing> {
    let (mut left, mut count) = (MAX_MESSAGE_BYTES - PREFIX_BYTES - 1, 0);
    let taken = waiting.take(
        |participant, _| !arrived.contains_key(participant),
        |participant, announced| {
            let Some(rest) = left.checked_sub(binary::announce_bytes(&announced.entry(*participant))) else {
                return false;
            };
            left = rest;
            count += 1;
            count <= usize::from(u8::MAX)
        },
    );
    let entries: Vec<_> = taken.iter().map(|(participant, announced)| announced.entry(*participant)).collect();
    if entries.is_empty() {
        return None;
    }
    Some(Outgoing::Binary(binary::announces(0, &entries)))
}

fn take<I: Ord, T: serde::Serialize>(objects: &mut BTreeMap<I, T>, page: &mut Page) -> Vec<T> {
    let mut taken = Vec::new();
    while let Some(entry) = objects.first_entry().filter(|entry| page.fits(entry.get())) {
        taken.push(entry.remove());
    }
    taken
}

/// Takes tracks of participants that are on the roster that was sent.
fn take_tracks(
    tracks: &mut RoundRobin<TrackId, Track>,
    arrived: &BTreeMap<ParticipantId, RosterEntry>,
    page: &mut Page,
) -> Vec<Track> {
    let taken = tracks.take(|_, track| !arrived.contains_key(&track.participant), |_, track| page.fits(track));
    taken.into_iter().map(|(_, track)| track).collect()
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
    use budget::MESSAGES_PER_SECOND;
    use tacet_proto::{
        Role, ServerEnvelope,
        binary::{ANNOUNCE_BYTES, BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES, ServerBinary, WANTED_KEY_BYTES},
        bytes::Base64,
        media::{Codec, Kind, Source},
        resume::{MAX_TOKEN_BYTES, Tokens},
    };

    /// A participant as the roster says it.
    fn entry_of(participant: ParticipantId, seat: u16) -> RosterEntry {
        RosterEntry { participant, seat: Seat(seat), away: false, role: Role::Speaker, hand: false }
    }

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
        backlog.deliver(now, &mut Slots::new(0), |outgoing| sent.push(outgoing));
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
        backlog.arrived(now, entry_of(ParticipantId(1), 1), announced(1));
        assert_eq!(backlog.due(), Some(now));
        assert_eq!(deliver(&mut backlog, now).len(), 2, "roster and announce");
        backlog.arrived(now, entry_of(ParticipantId(2), 2), announced(2));
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
        RosterEntry {
            participant: ParticipantId(participant),
            seat: Seat(seat),
            away,
            role: Role::Speaker,
            hand: false,
        }
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
        backlog.arrived(now, entry_of(ParticipantId(1), 1), announced(1));
        backlog.left(now, ParticipantId(1), None);
        let sent = deliver(&mut backlog, now);
        assert_eq!(sent.len(), 1, "no announce of a participant that has left");
        assert_eq!(rosters(sent), [Roster { del: vec![ParticipantId(1)], ..roster(1) }]);
    }

    #[test]
    fn return_as_the_same_participant_is_a_leave_and_then_a_join() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        backlog.left(now, ParticipantId(1), None);
        backlog.arrived(now, entry_of(ParticipantId(1), 7), announced(7));
        let sent = deliver(&mut backlog, now);
        assert!(matches!(&sent[..], [Outgoing::Message { .. }, Outgoing::Binary(_)]), "the roster comes first");
        let expected = Roster { add: vec![entry(1, 7, false)], del: vec![ParticipantId(1)], ..roster(1) };
        assert_eq!(rosters(sent), [expected]);
        // Also where the leaves alone fill several messages.
        for id in 1..5_000 {
            backlog.left(now, ParticipantId(u32::MAX - id), None);
            backlog.arrived(now, entry_of(ParticipantId(u32::MAX - id), 7), announced(7));
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
        backlog.arrived(now, entry_of(ParticipantId(1), 1), announced(1));
        for away in [true, false, true] {
            backlog.entry_changed(now, entry(1, 1, away));
            backlog.entry_changed(now, entry(2, 2, away));
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

    /// A key of a sender, marked.
    fn key(backlog: &mut Backlog, now: Instant, sender: u32, mark: u8) {
        let header = Arc::new(BatchHeader([sender as u8; BATCH_HEADER_BYTES]));
        backlog.key(now, ParticipantId(sender), header, BatchEntry([mark; BATCH_ENTRY_BYTES]));
    }

    /// Sender and mark of each key, in order.
    fn keys(sent: &[Outgoing]) -> Vec<(u8, u8)> {
        let mut found = Vec::new();
        for outgoing in sent {
            if let Outgoing::Binary(bytes) = outgoing
                && let Ok((_, ServerBinary::Keys(keys))) = binary::parse_server(bytes)
            {
                let keys = keys.chunks_exact(BATCH_HEADER_BYTES + BATCH_ENTRY_BYTES);
                found.extend(keys.filter_map(|key| Some((*key.first()?, *key.last()?))));
            }
        }
        found
    }

    #[test]
    fn each_sender_of_keys_is_served_and_loses_only_its_own() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        for mark in 0..200 {
            key(&mut backlog, now, 1, mark);
        }
        key(&mut backlog, now, 2, 7);
        let sent = keys(&deliver(&mut backlog, now + KEY_GAP));
        assert_eq!(sent.iter().position(|key| *key == (2, 7)), Some(1), "before the second key of the other");
        let flood: Vec<_> = sent.iter().filter(|(sender, _)| *sender == 1).map(|(_, mark)| *mark).collect();
        assert_eq!(flood, (200 - MAX_WAITING_KEYS as u8..200).collect::<Vec<_>>(), "its latest, in order");
    }

    #[test]
    fn key_waits_for_the_announce_of_its_sender() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        key(&mut backlog, now, 1, 7);
        backlog.arrived(now, entry_of(ParticipantId(1), 1), announced(1));
        let sent = deliver(&mut backlog, now);
        assert!(matches!(&sent[..], [Outgoing::Message { .. }, Outgoing::Binary(_), Outgoing::Binary(_)]));
        assert_eq!(keys(&sent[2..]), [(1, 7)]);
    }

    #[test]
    fn requests_of_one_requester_are_one_message() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        for mark in 0..200 {
            backlog.key_request(
                now,
                Seat(1),
                vec![WantedKey([mark; WANTED_KEY_BYTES]), WantedKey([0; WANTED_KEY_BYTES])],
            );
        }
        backlog.key_request(now, Seat(2), vec![WantedKey([9; WANTED_KEY_BYTES])]);
        let counts: Vec<_> = deliver(&mut backlog, now + KEY_GAP)
            .iter()
            .map(|outgoing| match outgoing {
                Outgoing::Binary(bytes) => match binary::parse_server(bytes) {
                    Ok((_, ServerBinary::KeyRequest { requester, wanted })) => {
                        (requester, wanted.len() / WANTED_KEY_BYTES)
                    }
                    other => panic!("{other:?}"),
                },
                other @ Outgoing::Message { .. } => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [(Seat(2), 1), (Seat(1), key_requests::MAX_WAITING_WANTED)], "few keys go first");
    }

    #[test]
    fn renewal_comes_after_keys_and_replaces_what_waits() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        for seat in 1..4 {
            backlog.renewed(now, ParticipantId(1), announced(seat));
        }
        key(&mut backlog, now, 2, 7);
        let sent = deliver(&mut backlog, now);
        assert_eq!((sent.len(), keys(&sent[..1])), (2, vec![(2, 7)]));
    }

    /// Everything waits at once, and goes on coming: no class waits longer than its reserve.
    #[test]
    fn no_class_is_starved_by_the_others() {
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        let mut slots = Slots::new(100);
        let (mut last, mut longest) = (BTreeMap::new(), Duration::ZERO);
        for step in 0..5_000u32 {
            let now = start + step * Duration::from_millis(1);
            backlog.arrived(now, entry_of(ParticipantId(1_000 + step), 9), announced(9));
            key(&mut backlog, now, step % 7, 1);
            backlog.key_request(now, Seat((step % 7) as u16), vec![WantedKey([7; WANTED_KEY_BYTES])]);
            backlog.track_added(now, Track { participant: ParticipantId(2), ..track(step, false) });
            if backlog.due().is_some_and(|due| due <= now) {
                backlog.deliver(now, &mut slots, |outgoing| {
                    let class = match outgoing {
                        Outgoing::Message { message: ServerMessage::Roster(_), .. } => 0,
                        Outgoing::Message { .. } => 1,
                        Outgoing::Binary(bytes) => 10 + bytes[0],
                    };
                    if let Some(last) = last.insert(class, now) {
                        longest = longest.max(now - last);
                    }
                });
            }
        }
        assert_eq!(last.len(), 5, "roster, tracks, keys, announces, requests");
        let limit = Duration::from_millis(200);
        assert!(last.values().all(|last| start + Duration::from_secs(5) - *last < limit));
        assert!(longest < limit, "{longest:?}");
    }

    #[test]
    fn keys_of_many_senders_share_messages() {
        let (mut backlog, now) = (Backlog::default(), Instant::now());
        for sender in 0..64 {
            key(&mut backlog, now, sender, 1);
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
            // As long as an entry may be.
            let largest = RosterEntry {
                away: true,
                role: Role::Moderator,
                hand: true,
                ..entry_of(ParticipantId(u32::MAX - 5_000 + i), 4_095)
            };
            backlog.arrived(start, largest, announced(4_095));
            backlog.track_added(start, track(u32::MAX - 5_000 + i, false));
        }
        let mut joined = backlog.joined(Seat(0), Policy::default(), false);
        let token = || Base64(vec![7; MAX_TOKEN_BYTES]);
        joined.tokens = Some(Tokens { session: token(), reload: token() });
        let message = ServerMessage::Joined(joined.clone());
        let answer = ServerEnvelope { seq: u32::MAX, re: Some(u32::MAX), message }.to_json();
        assert!(answer.len() <= MAX_MESSAGE_BYTES, "an answer of {} bytes", answer.len());
        let (mut listed, mut rev, mut announces, mut tracks) =
            (joined.roster.len(), joined.rev, 0, joined.tracks.len());
        while let Some(due) = backlog.due() {
            let sent = deliver(&mut backlog, due);
            assert!(sent.len() < MESSAGES_PER_SECOND + Class::ALL.len());
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
        backlog.left(now, ParticipantId(9), None);
        backlog.resync(now, Some(7), vec![entry(1, 4, true)]);
        let roster = Roster { full: true, add: vec![entry(1, 4, true)], del: vec![ParticipantId(9)], ..roster(1) };
        let expected = Outgoing::Message { re: Some(7), message: ServerMessage::Roster(roster) };
        assert_eq!(deliver(&mut backlog, now), vec![expected]);
    }
}
