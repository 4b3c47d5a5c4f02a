//! The call from which the vectors are taken.
//!
//! Ada and Béla meet and send; Cy joins, so that their keys ratchet; Béla leaves, so that Ada makes a new generation.

use crate::{
    Action, CallCode, ChatContent, ChatId, Clock, Codec, Event, FrameKind, MonotonicTime, ParticipantId, Seat, Session,
    SessionConfig, StreamId, WallTime, codec,
    keys::{
        batch::{self, ENTRY_BYTES, Ends, HEADER_BYTES, Header, Recipient},
        identity::{Call, JoinId},
        schedule::SessionKey,
    },
    rtp::{Fragments, Reassembly, max_sealed_bytes},
    sframe::kid::Kid,
};
use alloc::{format, string::String, sync::Arc, vec, vec::Vec};
use e2ee_core::{AgreementKey, BoxKey, Primitives, SecretBytes, Standard};
use std::sync::Mutex;
use x25519_dalek::StaticSecret;

/// `base`, `base` + 1, and so on.
const fn counting<const N: usize>(base: u8) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = base + index as u8;
        index += 1;
    }
    bytes
}

pub(super) const CALL: Call = Call { room: counting(0xa0), call: counting(0xb0) };
pub(super) const INVITE: [u8; 32] = counting(0x20);
/// Wall clock at virtual time 0, milliseconds since 1970.
const EPOCH: u64 = 1_800_000_000_000;

/// The clocks of every device at a virtual time in milliseconds.
fn at(now: u64) -> Clock {
    Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(EPOCH + now) }
}

/// The random bytes drawn, in order.
type Drawn = Arc<Mutex<Vec<Vec<u8>>>>;

/// Fixed random bytes: hashes of the owner's name and the number of the draw. Every draw is recorded.
fn draws(name: &str) -> (impl FnMut(&mut [u8]) + Send + use<>, Drawn) {
    let (drawn, name) = (Drawn::default(), String::from(name));
    let log = drawn.clone();
    let source = move |bytes: &mut [u8]| {
        let mut log = log.lock().unwrap();
        let hash = Standard::digest(format!("vectors of {name} {}", log.len()).as_bytes());
        bytes.copy_from_slice(&hash[..bytes.len()]);
        log.push(bytes.to_vec());
    };
    (source, drawn)
}

/// A device with its secrets, in the order in which a session draws them.
pub(super) struct Device {
    session: Session,
    pub(super) name: &'static str,
    pub(super) id: ParticipantId,
    pub(super) seat: Seat,
    pub(super) signing_seed: [u8; 32],
    pub(super) ephemeral: [u8; 32],
    pub(super) announce: Vec<u8>,
    pub(super) sealed_name: Vec<u8>,
}

impl Device {
    fn new(name: &'static str, id: u32, seat: u16, now: u64) -> Self {
        let (random, drawn) = draws(name);
        let config = SessionConfig::new(CALL.room, CALL.call, INVITE, name);
        let mut session = Session::new(config, random, at(now)).unwrap();
        let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("no announce") };
        session.handle(at(now), Event::Joined { seat: Seat(seat) }).unwrap();
        let draw = |index: usize| drawn.lock().unwrap()[index].clone().try_into().unwrap();
        let (signing_seed, ephemeral) = (draw(0), draw(2));
        let (id, seat) = (ParticipantId(id), Seat(seat));
        Self { session, name, id, seat, signing_seed, ephemeral, announce, sealed_name: display }
    }

    pub(super) fn join_id(&self) -> JoinId {
        CALL.join_id::<Standard>(self.announce[34..66].try_into().unwrap(), self.announce[66..82].try_into().unwrap())
    }

    pub(super) fn announce_hash(&self) -> [u8; 32] {
        Standard::digest(&self.announce)
    }

    fn announces_entry(&self) -> Vec<u8> {
        let (id, seat) = (self.id.0.to_be_bytes(), self.seat.0.to_be_bytes());
        let length = (self.sealed_name.len() as u16).to_be_bytes();
        [&id[..], &seat, &self.announce, &length, &self.sealed_name].concat()
    }

    fn handle(&mut self, now: u64, event: Event<'_>) {
        self.session.handle(at(now), event).unwrap();
    }
}

/// An entry of a batch, with its ends.
pub(super) struct Entry {
    pub(super) recipient: usize,
    pub(super) bytes: [u8; ENTRY_BYTES],
    /// Of both ends, by nacl.box.
    pub(super) plain: [u8; 64],
}

/// A key batch that a session emitted.
pub(super) struct Batch {
    pub(super) sender: usize,
    /// The devices in the call.
    pub(super) roster: Vec<usize>,
    pub(super) header: Header,
    pub(super) header_bytes: [u8; HEADER_BYTES],
    pub(super) entries: Vec<Entry>,
    pub(super) key: SessionKey,
}

/// A frame that a session sealed and all others have opened.
pub(super) struct Frame {
    pub(super) sender: usize,
    pub(super) codec: Codec,
    pub(super) kind: FrameKind,
    pub(super) plain: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

/// The same without an envelope, in RTP payloads.
pub(super) struct BareFrame {
    pub(super) sender: usize,
    pub(super) plain: Vec<u8>,
    pub(super) sframe: Vec<u8>,
    pub(super) max_payload: usize,
    pub(super) packetized: bool,
    pub(super) payloads: Vec<Vec<u8>>,
}

/// A chat message that a session sealed and all others have opened.
pub(super) struct Chat {
    pub(super) sender: usize,
    pub(super) id: ChatId,
    pub(super) content: ChatContent,
    pub(super) sealed: Vec<u8>,
}

/// What all devices of a roster show.
pub(super) struct Shown {
    pub(super) roster: Vec<usize>,
    pub(super) code: CallCode,
}

pub(super) struct Scene {
    now: u64,
    pub(super) devices: Vec<Device>,
    present: Vec<usize>,
    pub(super) batches: Vec<Batch>,
    pub(super) frames: Vec<Frame>,
    pub(super) bare_frames: Vec<BareFrame>,
    pub(super) chats: Vec<Chat>,
    pub(super) codes: Vec<Shown>,
}

pub(super) const ADA: usize = 0;
const BELA: usize = 1;
const CY: usize = 2;

impl Scene {
    pub(super) fn run() -> Self {
        let mut scene = Self {
            now: 0,
            devices: Vec::new(),
            present: Vec::new(),
            batches: Vec::new(),
            frames: Vec::new(),
            bare_frames: Vec::new(),
            chats: Vec::new(),
            codes: Vec::new(),
        };
        // With seat 0 and generation 0, the camera's KID ends in two zero bytes: H.264 must escape counters that begin
        // with 01 or 03.
        scene.join("Ada", 10, 0);
        scene.join("Béla", 11, 2_749);
        scene.open_stream(ADA, StreamId::MICROPHONE);
        scene.open_stream(ADA, StreamId::CAMERA);
        scene.open_stream(BELA, StreamId::MICROPHONE);
        scene.seal(ADA, Codec::Opus, FrameKind::Delta, 80);
        scene.seal(ADA, Codec::Opus, FrameKind::Delta, 0);
        for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
            scene.seal(ADA, codec, FrameKind::Key, 200);
            scene.seal(ADA, codec, FrameKind::Delta, 50);
        }
        scene.seal(ADA, Codec::Vp8, FrameKind::Delta, 20);
        scene.skip(ADA, Codec::H264, 247);
        scene.seal(ADA, Codec::H264, FrameKind::Key, 20);
        scene.skip(ADA, Codec::H264, 511);
        scene.seal(ADA, Codec::H264, FrameKind::Delta, 20);
        scene.seal(BELA, Codec::Opus, FrameKind::Delta, 40);

        scene.wait(2_000);
        scene.join("Cy", 12, 4_095);
        scene.wait(500);
        scene.seal(ADA, Codec::Vp8, FrameKind::Key, 30);
        scene.seal(BELA, Codec::Opus, FrameKind::Delta, 30);

        scene.wait(2_000);
        scene.leave(BELA);
        scene.wait(1_000);
        scene.seal(ADA, Codec::Opus, FrameKind::Delta, 30);

        scene.seal_bare(ADA, StreamId::MICROPHONE, 80, 1_200, false);
        scene.seal_bare(ADA, StreamId::MICROPHONE, 0, 1_200, true);
        scene.seal_bare(ADA, StreamId::CAMERA, 200, 100, false);
        scene.seal_bare(ADA, StreamId::CAMERA, 200, 120, true);

        scene.say(ADA, 1, ChatContent::Text(String::from("Hello, Cy")));
        scene.say(CY, 1, ChatContent::Reaction(String::from("👍")));
        scene.say(ADA, 2, ChatContent::Text("ä".repeat(40)));
        scene
    }

    fn join(&mut self, name: &'static str, id: u32, seat: u16) {
        let mut new = Device::new(name, id, seat, self.now);
        let announces = |devices: &[&Device]| {
            let entries = devices.iter().map(|device| device.announces_entry());
            entries.fold(vec![devices.len() as u8], |body, entry| [body, entry].concat())
        };
        let room: Vec<&Device> = self.present.iter().map(|present| &self.devices[*present]).collect();
        if !room.is_empty() {
            new.handle(self.now, Event::Announces(&announces(&room)));
        }
        for other in &self.present {
            self.devices[*other].handle(self.now, Event::Announces(&announces(&[&new])));
        }
        self.present.push(self.devices.len());
        self.devices.push(new);
        self.deliver();
        self.show_codes();
    }

    fn leave(&mut self, who: usize) {
        self.present.retain(|present| *present != who);
        let id = self.devices[who].id;
        for other in &self.present {
            self.devices[*other].handle(self.now, Event::Left(&[id]));
        }
        self.deliver();
        self.show_codes();
    }

    fn show_codes(&mut self) {
        let mut codes = self.present.iter().map(|present| self.devices[*present].session.call_code().unwrap());
        let code = codes.next().unwrap();
        assert!(codes.all(|other| other == code));
        self.codes.push(Shown { roster: self.present.clone(), code });
    }

    fn open_stream(&mut self, who: usize, stream: StreamId) {
        self.devices[who].handle(self.now, Event::StreamOpened(stream));
        self.deliver();
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        for present in &self.present {
            self.devices[*present].handle(self.now, Event::Tick);
        }
        self.deliver();
    }

    /// Carries key batches to their recipients and keeps them.
    fn deliver(&mut self) {
        for sender in self.present.clone() {
            while let Some(action) = self.devices[sender].session.poll() {
                match action {
                    Action::SendKeyBatch { number, body } => {
                        self.take_batch(sender, &body);
                        self.devices[sender].handle(self.now, Event::KeyBatchAccepted { number });
                    }
                    Action::SendChat { id, sealed } => {
                        self.take_chat(sender, id, sealed);
                        self.devices[sender].handle(self.now, Event::ChatAnswered { id });
                    }
                    Action::Problem { problem, .. } => panic!("{problem:?}"),
                    _ => {}
                }
            }
        }
    }

    fn take_batch(&mut self, sender: usize, body: &[u8]) {
        let (header_bytes, entries) = body.split_first_chunk::<HEADER_BYTES>().unwrap();
        let bound = batch::bound(header_bytes);
        let header = Header::read(bound).unwrap();
        let from = &self.devices[sender];
        let (sender_id, sender_announce) = (from.join_id(), from.announce_hash());
        let (mut opened, mut key) = (Vec::new(), None);
        for bytes in entries.as_chunks::<ENTRY_BYTES>().0 {
            let seat = Recipient::read(bytes).seat;
            let recipient = self.devices.iter().position(|device| device.seat == seat).unwrap();
            let to = &self.devices[recipient];
            let ends = Ends {
                sender: &sender_id,
                sender_announce: &sender_announce,
                recipient: &to.join_id(),
                recipient_announce: &to.announce_hash(),
            };
            let shared =
                StaticSecret::from(to.ephemeral).agree(&AgreementKey::public(&StaticSecret::from(from.ephemeral)));
            key = batch::open_entry::<Standard>(&header, bound, bytes, &ends, &shared).ok();
            let mut plain: [u8; 64] = bytes[22..].try_into().unwrap();
            shared.open(&header.nonce, &mut plain, bytes[6..22].try_into().unwrap()).unwrap();
            opened.push(Entry { recipient, bytes: *bytes, plain });
        }
        for Entry { recipient, bytes, .. } in &opened {
            let keys = [&[1], &header_bytes[..], bytes].concat();
            self.devices[*recipient].handle(self.now, Event::Keys(&keys));
        }
        let (header_bytes, key) = (*header_bytes, key.unwrap());
        let roster = self.present.clone();
        self.batches.push(Batch { sender, roster, header, header_bytes, entries: opened, key });
    }

    /// Seals a frame of ascending bytes, starting with its number, which all other devices open.
    fn seal(&mut self, sender: usize, codec: Codec, kind: FrameKind, length: usize) {
        let first = self.frames.len();
        let plain: Vec<u8> = (first..first + length).map(|byte| byte as u8).collect();
        let sealed = self.seal_bytes(sender, codec, kind, &plain);
        for other in self.present.iter().filter(|other| **other != sender) {
            let mut frame = sealed.clone();
            let opened = self.devices[*other].session.open(at(self.now), codec, &mut frame).unwrap();
            assert_eq!((opened.participant, opened.kind), (self.devices[sender].id, codec::shown(codec, kind)));
            assert_eq!(frame[opened.range], plain);
        }
        self.frames.push(Frame { sender, codec, kind, plain, sealed });
    }

    /// The same without an envelope; all other devices reassemble it from payloads in reverse order.
    fn seal_bare(&mut self, sender: usize, stream: StreamId, length: usize, max_payload: usize, packetized: bool) {
        let first = self.bare_frames.len();
        let plain: Vec<u8> = (first..first + length).map(|byte| byte as u8).collect();
        let mut sframe = vec![0; max_sealed_bytes(length)];
        let length = self.devices[sender].session.seal_bare(at(self.now), stream, &plain, &mut sframe).unwrap();
        sframe.truncate(length);
        let fragments = Fragments::new(&sframe, max_payload, packetized).unwrap();
        let payloads: Vec<Vec<u8>> = fragments.map(|fragment| fragment.to_vec()).collect();
        for other in self.present.iter().filter(|other| **other != sender) {
            let mut reassembly = Reassembly::new();
            let numbered = (0..).zip(&payloads).collect::<Vec<_>>().into_iter().rev();
            let complete = numbered.filter_map(|(sequence, payload)| reassembly.push(sequence, payload).unwrap());
            let mut complete = complete.collect::<Vec<_>>().pop().unwrap();
            assert_eq!((complete.packetized, &complete.bytes), (packetized, &sframe));
            let opened = self.devices[*other].session.open_bare(at(self.now), &mut complete.bytes).unwrap();
            assert_eq!((opened.participant, opened.stream), (self.devices[sender].id, stream));
            assert_eq!(complete.bytes[opened.range], plain);
        }
        self.bare_frames.push(BareFrame { sender, plain, sframe, max_payload, packetized, payloads });
    }

    /// Says something, which all other devices open.
    fn say(&mut self, sender: usize, number: u64, content: ChatContent) {
        let id = ChatId::new(content.kind(), number);
        self.devices[sender].handle(self.now, Event::SendChat { id, content: &content });
        self.deliver();
        assert!(
            self.chats.last().is_some_and(|chat| (chat.sender, chat.id) == (sender, id) && chat.content == content)
        );
    }

    fn take_chat(&mut self, sender: usize, id: ChatId, sealed: Vec<u8>) {
        let body = [&self.devices[sender].id.0.to_be_bytes()[..], &id.to_bytes(), &sealed].concat();
        let mut said = None;
        for other in self.present.iter().filter(|other| **other != sender) {
            self.devices[*other].handle(self.now, Event::Chat(&body));
            while let Some(action) = self.devices[*other].session.poll() {
                if let Action::ChatReceived { participant, content, .. } = action {
                    assert_eq!(participant, self.devices[sender].id);
                    said = Some(content);
                }
            }
        }
        self.chats.push(Chat { sender, id, content: said.unwrap(), sealed });
    }

    /// Uses up counters.
    fn skip(&mut self, sender: usize, codec: Codec, frames: u32) {
        (0..frames).for_each(|_| drop(self.seal_bytes(sender, codec, FrameKind::Delta, &[])));
    }

    fn seal_bytes(&mut self, sender: usize, codec: Codec, kind: FrameKind, frame: &[u8]) -> Vec<u8> {
        let stream = if codec == Codec::Opus { StreamId::MICROPHONE } else { StreamId::CAMERA };
        let mut out = vec![0; codec::max_sealed_bytes(codec, frame.len())];
        let length = self.devices[sender].session.seal(at(self.now), stream, codec, kind, frame, &mut out).unwrap();
        out.truncate(length);
        out
    }

    /// The key that a KID of this sender names.
    pub(super) fn key(&self, sender: usize, kid: Kid) -> SessionKey {
        let named = |batch: &&Batch| {
            let epoch = batch.key.epoch();
            batch.sender == sender && epoch.generation % 8 == u32::from(kid.generation) && epoch.step <= kid.step
        };
        let Batch { key, header, .. } = self.batches.iter().find(named).unwrap();
        let same =
            || SessionKey::new(SecretBytes::copy_of(key.secret()), header.epoch, self.devices[sender].join_id(), CALL);
        if key.epoch().step == kid.step { same() } else { key.at_step::<Standard>(kid.step).unwrap() }
    }
}

#[test]
fn scene_ends_in_expected_state() {
    let scene = Scene::run();
    assert_eq!(scene.present, [ADA, CY]);
    let batches = scene.batches.iter().map(|Batch { sender, header, entries, .. }| {
        (*sender, header.epoch.generation, header.epoch.step, entries.iter().map(|entry| entry.recipient).collect())
    });
    let batches: Vec<(usize, u32, u8, Vec<usize>)> = batches.collect();
    assert_eq!(
        batches,
        [
            (ADA, 0, 0, vec![BELA]),
            (BELA, 0, 0, vec![ADA]),
            (CY, 0, 0, vec![ADA, BELA]),
            (ADA, 0, 1, vec![CY]),
            (BELA, 0, 1, vec![CY]),
            (ADA, 1, 0, vec![CY]),
            (CY, 1, 0, vec![ADA]),
        ]
    );
}
