//! Everyone pages through a large room as fast as a page allows, also while people come and go: no client sends or is sent more
//! than 30 messages in any second.

use super::*;
use crate::rate::TypeRates;
use sfu_api::{LayerReason, Mid, Wish};
use tacet_proto::{MessageType, limits::MESSAGES_PER_WINDOW};

const TILES: usize = 49;
const STEP: Duration = Duration::from_millis(5);
/// How long a client puts together what changes in its window.
const COALESCING: Duration = Duration::from_millis(250);
/// How long all page.
const PAGING: Duration = Duration::from_secs(3);
/// Time between two things that people do who come and go.
const BUSTLE: Duration = Duration::from_millis(250);

/// A client as the server sees it.
struct Client {
    id: u32,
    next_layers: Instant,
    next_heartbeat: Instant,
    next_ping: Instant,
    /// When it distributes keys, and to which seats.
    next_keys: Option<(Instant, Vec<u16>)>,
    pages: usize,
    received: u32,
    sent: Vec<Instant>,
    sent_by_type: TypeRates,
    heard: Vec<Instant>,
    kinds: BTreeMap<&'static str, usize>,
}

/// Most of these in any second.
pub(super) fn busiest_second(times: &[Instant]) -> usize {
    let within =
        |first: usize| times[first..].iter().take_while(move |time| **time - times[first] < Duration::from_secs(1));
    (0..times.len()).map(|first| within(first).count()).max().unwrap_or_default()
}

/// What the media plane makes of wishes: a layer in each slot, and what the receivers of each track want together.
#[derive(Default)]
struct Selection {
    slots: BTreeMap<(ParticipantId, Mid), (TrackId, u16)>,
    viewers: BTreeMap<TrackId, BTreeSet<(u16, ParticipantId)>>,
    wanted: BTreeMap<TrackId, Vec<bool>>,
}

impl Selection {
    fn set_slot(&mut self, participant: ParticipantId, mid: Mid, track: Option<TrackId>) {
        self.leave(participant, mid);
        if let Some(track) = track {
            self.slots.insert((participant, mid), (track, 0));
        }
    }

    fn leave(&mut self, participant: ParticipantId, mid: Mid) {
        if let Some((track, height)) = self.slots.remove(&(participant, mid)) {
            self.viewers.entry(track).or_default().remove(&(height, participant));
        }
    }

    fn wish(&mut self, participant: ParticipantId, wish: &Wish) -> Event {
        let height = if wish.paused { 0 } else { wish.height };
        if let Some(slot) = self.slots.get_mut(&(participant, wish.mid)) {
            let viewers = self.viewers.entry(slot.0).or_default();
            viewers.remove(&(slot.1, participant));
            viewers.insert((height, participant));
            slot.1 = height;
        }
        let (height, reason) = match wish.paused {
            true => (None, LayerReason::Pause),
            false => (Some(height), LayerReason::Wish),
        };
        Event::Layer { participant, mid: wish.mid, height, temporal: height.map(|_| 2), reason }
    }

    /// The tracks of which other encodings are wanted now.
    fn changes(&mut self) -> Vec<(TrackId, Vec<bool>, u16)> {
        let mut changes = Vec::new();
        for (track, viewers) in &self.viewers {
            let height = viewers.last().map_or(0, |(height, _)| *height);
            let active = vec![true, height > 180, height > 360];
            if self.wanted.get(track) != Some(&active) {
                self.wanted.insert(*track, active.clone());
                changes.push((*track, active, height));
            }
        }
        changes
    }
}

struct Gallery {
    story: Story,
    clients: Vec<Client>,
    cameras: Vec<TrackId>,
    selection: Selection,
    next_speakers: Instant,
    /// When people come, go, or are muted next, if they do, and how often they did.
    bustle: Option<Instant>,
    bustled: usize,
}

/// Someone joins a call with a camera, and shows nothing yet.
fn join_with_camera(story: &mut Story, id: u32) {
    story.enter(id);
    let ClientMessage::Join(mut join) = join(id as u8) else { unreachable!() };
    join.announce.0[ANNOUNCE_DEVICE_KEY].fill((id >> 8) as u8);
    join.announce.0[ANNOUNCE_DEVICE_KEY.start] = id as u8;
    story.ask(id, ClientMessage::Join(join));
    story.ask(id, layers([]));
    story.ask(id, auto());
    story.ask(id, ClientMessage::Publish(cam()));
}

impl Gallery {
    fn new(people: u32) -> Self {
        let limits = RoomLimits { participants: people as usize + 1, ..RoomLimits::default() };
        let mut story = Story::with(limits);
        // What joining costs, other tests measure.
        for id in 1..=people {
            join_with_camera(&mut story, id);
        }
        story.quiet();
        story.heard.clear();
        story.commands.clear();
        let (now, cameras) = (story.now, story.room.tracks.keys().copied().collect::<Vec<_>>());
        assert_eq!(cameras.len(), people as usize);
        let client = |id: u32| Client {
            id,
            next_layers: now + COALESCING * id / people,
            next_heartbeat: now + Duration::from_secs(1) * id / people,
            next_ping: now + Duration::from_secs(10) * id / people,
            next_keys: None,
            pages: 0,
            received: 0,
            sent: Vec::new(),
            sent_by_type: TypeRates::default(),
            heard: Vec::new(),
            kinds: BTreeMap::new(),
        };
        let clients = (1..=people).map(client).collect();
        let selection = Selection::default();
        Self { story, clients, cameras, selection, next_speakers: now, bustle: None, bustled: 0 }
    }

    /// One of the things that happen in a large room, in turn: someone joins, goes away, is muted, leaves.
    fn bustle(&mut self) {
        let (now, kind, visitor) = (self.story.now, self.bustled % 4, 10_000 + self.bustled as u32 / 4);
        let other = self.clients[self.bustled * 7 % self.clients.len()].id;
        self.bustled += 1;
        match kind {
            0 => {
                join_with_camera(&mut self.story, visitor);
                let seat = self.story.room.members[&ParticipantId(visitor)].announced.seat.0;
                self.distribute(&[seat]);
            }
            1 => self.story.room.request(now, ParticipantId(other), None, ClientMessage::Away(Empty {})),
            2 => {
                let own = self.story.room.tracks.values().find(|track| track.track.participant == ParticipantId(other));
                let track = TrackRef { track: own.unwrap().track.track };
                self.story.room.request(now, ParticipantId(other), None, ClientMessage::Mute(track));
            }
            _ => {
                self.story.ask(visitor, ClientMessage::Leave(Empty {}));
                self.story.closed.clear();
                let seats: Vec<_> = self.story.room.members.values().map(|member| member.announced.seat.0).collect();
                self.distribute(&seats);
            }
        }
        self.story.settle();
    }

    /// All distribute keys to these seats, within a second.
    fn distribute(&mut self, seats: &[u16]) {
        let (now, count) = (self.story.now, self.clients.len() as u32);
        for (at, client) in (0..).zip(&mut self.clients) {
            let own = self.story.room.members[&ParticipantId(client.id)].announced.seat.0;
            let others = seats.iter().copied().filter(|seat| *seat != own).collect();
            client.next_keys = Some((now + Duration::from_secs(1) * at / count, others));
        }
    }

    /// One step: what clients send, what the media plane makes of it, and what clients are sent.
    fn step(&mut self) {
        let now = self.story.now;
        if let Some(next) = self.bustle.filter(|next| now >= *next) {
            self.bustle = Some(next + BUSTLE);
            self.bustle();
        }
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if let Some((_, seats)) = client.next_keys.take_if(|(at, _)| now >= *at) {
                client.sent.push(now);
                self.story.binary(client.id, &key_batch(&seats));
            }
            let client = &mut self.clients[index];
            if now >= client.next_layers {
                client.next_layers += COALESCING;
                client.pages += 1;
                // All change their sizes at about the same time, so that what is wanted of a track changes, too.
                let (first, height) = ((client.id as usize + client.pages) * 37, [180, 360, 720][client.pages % 3]);
                let tiles: Vec<_> =
                    (0..TILES).map(|n| tile(self.cameras[(first + n) % self.cameras.len()], height)).collect();
                self.send(index, layers(tiles));
            }
            let client = &mut self.clients[index];
            if now >= client.next_heartbeat {
                client.next_heartbeat += Duration::from_secs(1);
                self.send(index, ClientMessage::Heartbeat(Empty {}));
            }
            let client = &mut self.clients[index];
            if now >= client.next_ping {
                client.next_ping += Duration::from_secs(10);
                self.send(index, ClientMessage::Ping(Ping { ms: 1 }));
            }
        }
        self.select();
        if now >= self.next_speakers {
            self.next_speakers += Duration::from_millis(200);
            let levels = vec![(ParticipantId(1), 30)];
            self.story.room.media(now, Event::Speakers { room: sfu_api::RoomId(1), levels });
            for client in &mut self.clients {
                client.hear(now, "speakers");
            }
        }
        self.story.pass(STEP);
        for index in 0..self.clients.len() {
            self.listen(index);
        }
    }

    fn send(&mut self, index: usize, message: ClientMessage) {
        let (now, client) = (self.story.now, &mut self.clients[index]);
        let kind = MessageType::from(&message);
        client.sent.push(now);
        assert_eq!(client.sent_by_type.accept(kind, now), Ok(()), "{} sends too many {}", client.id, kind.name());
        // Only requests ask for an answer.
        let re = matches!(message, ClientMessage::Layers(_)).then_some(9);
        let from = ParticipantId(client.id);
        self.story.room.request(now, from, re, message);
        self.story.settle();
    }

    /// Lets the media plane follow its commands.
    fn select(&mut self) {
        let mut events = Vec::new();
        for command in std::mem::take(&mut self.story.commands) {
            match command {
                Command::SetSlot { participant, mid, source } => {
                    let track = source.and_then(|source| match source {
                        sfu_api::SlotSource::Track(track) => Some(track),
                        _ => None,
                    });
                    self.selection.set_slot(participant, mid, track);
                }
                Command::SetWishes { participant, wishes } => {
                    events.extend(wishes.iter().map(|wish| self.selection.wish(participant, wish)));
                }
                _ => {}
            }
        }
        for (track, active, height) in self.selection.changes() {
            let participant = self.story.room.tracks[&track].track.participant;
            events.push(Event::LayersWanted { participant, track, active, height });
        }
        for event in events {
            self.story.room.media(self.story.now, event);
        }
        self.story.settle();
    }

    fn listen(&mut self, index: usize) {
        let now = self.story.now;
        for outgoing in self.story.take(self.clients[index].id) {
            let client = &mut self.clients[index];
            let kind = match &outgoing {
                Outgoing::Binary(bytes) => match binary::parse_server(bytes).unwrap().1 {
                    ServerBinary::Keys(_) => "keys",
                    ServerBinary::Announces(_) => "announces",
                    ServerBinary::KeyRequest { .. } => "key request",
                    ServerBinary::Chat { .. } => "chat",
                },
                Outgoing::Message { message, .. } => match message {
                    ServerMessage::Slots(_) => "slots",
                    ServerMessage::Layer(_) => "layer",
                    ServerMessage::Want(_) => "want",
                    ServerMessage::Ok(_) => "ok",
                    ServerMessage::Pong(_) => "pong",
                    ServerMessage::Roster(_) => "roster",
                    ServerMessage::Tracks(_) => "tracks",
                    other => panic!("{other:?}"),
                },
            };
            client.hear(now, kind);
            client.received += 1;
            if let Outgoing::Message { message: ServerMessage::Slots(slots), .. } = outgoing {
                self.send(index, ClientMessage::SlotsReady(SlotsReady { rev: slots.rev }));
            }
            if self.clients[index].received.is_multiple_of(16) {
                let seq = self.clients[index].received;
                self.send(index, ClientMessage::Ack(Ack { seq }));
            }
        }
    }
}

impl Client {
    fn hear(&mut self, now: Instant, kind: &'static str) {
        *self.kinds.entry(kind).or_default() += 1;
        self.heard.push(now);
    }
}

/// Lets all page. Returns what a client sends and is sent in the busiest second.
fn page(gallery: &mut Gallery) -> [usize; 2] {
    let end = gallery.story.now + PAGING;
    while gallery.story.now < end {
        gallery.step();
    }
    assert_eq!(gallery.story.closed, []);
    let busiest = |times: fn(&Client) -> &[Instant]| {
        gallery.clients.iter().map(|client| busiest_second(times(client))).max().unwrap_or_default()
    };
    let (sent, heard) = (busiest(|client| &client.sent), busiest(|client| &client.heard));
    println!("in the busiest second a client sends {sent} messages and is sent {heard}");
    [sent, heard]
}

/// Keys, rosters, announces and tracks come beside what paging causes.
#[test]
fn paging_while_people_come_and_go_stays_within_30_messages_a_second() {
    let mut gallery = Gallery::new(80);
    gallery.bustle = Some(gallery.story.now + Duration::from_millis(600));
    let [sent, heard] = page(&mut gallery);
    let kinds = &gallery.clients[0].kinds;
    println!("{kinds:?}");
    for kind in ["keys", "roster", "announces", "tracks", "slots", "want", "layer"] {
        assert!(kinds.contains_key(kind), "no {kind}");
    }
    assert!(sent.max(heard) <= MESSAGES_PER_WINDOW, "{sent} sent, {heard} received");
}

#[test]
fn paging_by_everyone_stays_within_30_messages_a_second() {
    let mut gallery = Gallery::new(200);
    let [sent, heard] = page(&mut gallery);
    assert!(sent.max(heard) <= MESSAGES_PER_WINDOW, "{sent} sent, {heard} received");
    for client in &gallery.clients {
        let count = |kind| client.kinds.get(kind).copied().unwrap_or_default();
        let four_a_second = 4 * PAGING.as_secs() as usize;
        for kind in ["layer", "want", "slots"] {
            assert!(
                (four_a_second / 2..=four_a_second + 1).contains(&count(kind)),
                "{}: {:?}",
                client.id,
                client.kinds
            );
        }
    }
}
