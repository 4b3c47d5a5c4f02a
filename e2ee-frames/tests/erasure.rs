//! Secrets are erased from the heap before it is freed: every block is searched as it is freed.
//!
//! The stack is not searched; long-lived secrets are on the heap.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2ee_frames::key_exchange::{BATCH_ENTRY_BYTES, BATCH_HEADER_BYTES};
use e2ee_frames::{
    Action, Clock, Codec, Event, FrameKind, MonotonicTime, ParticipantId, Seat, Session, SessionConfig, StreamId,
    WallTime,
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256, Sha512};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

const WALL: u64 = 1_800_000_000_000;

/// The clocks of a device, `now` milliseconds after the start.
fn at(now: u64) -> Clock {
    Clock { now: MonotonicTime::from_millis(now), wall: WallTime::from_millis(WALL + now) }
}
const ROOM: [u8; 16] = [1; 16];
const CALL: [u8; 16] = [2; 16];
const INVITE: [u8; 32] = [0x1e; 32];
const MIC: StreamId = StreamId::MICROPHONE;

/// The first eight bytes of each secret, and how often it was found.
static WANTED: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];
static FOUND: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];
/// A bit for each pair of bytes that something wanted begins with: most places in a block need no closer look.
static STARTS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// The system's allocator, which searches blocks before it frees them.
struct Searching;

#[global_allocator]
static ALLOCATOR: Searching = Searching;

// SAFETY: the system's allocator; blocks are only read, while they are still allocated. `realloc` is the trait's own,
// which frees the old block here.
unsafe impl GlobalAlloc for Searching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by the caller's contract. Zeroed, so that reading all of a block is defined.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract the block has this many bytes, all initialised by `alloc`.
        search(unsafe { std::slice::from_raw_parts(pointer, layout.size()) });
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn search(block: &[u8]) {
    for window in block.windows(8) {
        let (word, bit) = start(window);
        if STARTS[word].load(Relaxed) & bit == 0 {
            continue;
        }
        let window = u64::from_le_bytes(window.try_into().unwrap());
        for (wanted, found) in WANTED.iter().zip(&FOUND) {
            if wanted.load(Relaxed) == window {
                found.fetch_add(1, Relaxed);
            }
        }
    }
}

/// Where [`STARTS`] has the bit of the first two bytes.
fn start(bytes: &[u8]) -> (usize, u64) {
    let pair = u16::from_le_bytes([bytes[0], bytes[1]]);
    (usize::from(pair >> 6), 1 << (pair & 63))
}

/// Begins to look for some bytes, wherever in a block their beginning is. Returns where [`FOUND`] counts them.
fn watch(secret: &[u8]) -> usize {
    let index = WANTED.iter().position(|wanted| wanted.load(Relaxed) == 0).unwrap();
    WANTED[index].store(u64::from_le_bytes(secret[..8].try_into().unwrap()), Relaxed);
    let (word, bit) = start(secret);
    STARTS[word].fetch_or(bit, Relaxed);
    index
}

/// The draws of 32 bytes, which are secrets: signing seed, X25519 seeds, session keys.
type Drawn = Arc<Mutex<Vec<[u8; 32]>>>;

fn random(seed: u8, drawn: &Drawn) -> impl FnMut(&mut [u8]) + Send + use<> {
    let (drawn, mut count) = (drawn.clone(), 0u64);
    move |bytes: &mut [u8]| {
        for chunk in bytes.chunks_mut(32) {
            count += 1;
            let block = Sha256::new().chain_update([seed]).chain_update(count.to_be_bytes()).finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        if let Ok(secret) = <[u8; 32]>::try_from(&*bytes) {
            watch(&secret);
            drawn.lock().unwrap().push(secret);
        }
    }
}

/// HKDF-SHA-512 with the salt of the key schedule.
fn expand(secret: &[u8; 32], info: &[&[u8]]) -> [u8; 64] {
    let mut out = [0; 64];
    Hkdf::<Sha512>::new(Some(b"e2ee-frames/1"), secret).expand_multi_info(info, &mut out).unwrap();
    out
}

/// The base key and the frame key of a session key at generation 0, step 0, as the published formulas say.
fn derived(secret: &[u8; 32], announce: &[u8], seat: u16) -> [[u8; 32]; 2] {
    let (device, incarnation) = (&announce[34..66], &announce[66..82]);
    let join_id = Sha256::digest([b"e2ee-frames/1 join", &ROOM[..], &CALL, device, incarnation].concat());
    let context = Sha256::digest(
        [b"e2ee-frames/1 ctx", &[0, 5, 0][..], &ROOM, &CALL, &join_id, &0u32.to_be_bytes(), &[0]].concat(),
    );
    let base_key = expand(secret, &[b"sframe base key", &context, &join_id]);
    let kid = u64::from(seat) << 6;
    let mut frame_key = [0; 32];
    Hkdf::<Sha512>::new(None, &base_key)
        .expand_multi_info(&[b"SFrame 1.0 Secret key ", &kid.to_be_bytes(), &[0, 5]], &mut frame_key)
        .unwrap();
    [*base_key.first_chunk().unwrap(), frame_key]
}

struct Device {
    session: Box<Session>,
    announce: Vec<u8>,
    display: Vec<u8>,
    seat: u16,
}

impl Device {
    fn new(seat: u16, drawn: &Drawn) -> Self {
        let config = SessionConfig::new(ROOM, CALL, INVITE, "someone");
        let mut session = Box::new(Session::new(config, random(seat as u8, drawn), at(0)).unwrap());
        let Some(Action::SendAnnounce { announce, display, .. }) = session.poll() else { panic!("announce") };
        session.handle(at(0), Event::Joined { seat: Seat(seat) }).unwrap();
        Self { session, announce, display, seat }
    }

    fn event(&mut self, now: u64, event: Event<'_>) -> Vec<Vec<u8>> {
        self.session.handle(at(now), event).unwrap();
        let mut batches = Vec::new();
        while let Some(action) = self.session.poll() {
            if let Action::SendKeyBatch { number, body } = action {
                self.session.handle(at(now), Event::KeyBatchAccepted { number }).unwrap();
                batches.push(body);
            }
        }
        batches
    }

    fn announces(&self) -> Vec<u8> {
        let mut body = vec![1];
        body.extend_from_slice(&u32::from(self.seat).to_be_bytes());
        body.extend_from_slice(&self.seat.to_be_bytes());
        body.extend_from_slice(&self.announce);
        body.extend_from_slice(&(self.display.len() as u16).to_be_bytes());
        body.extend_from_slice(&self.display);
        body
    }
}

/// Delivers a sender's batches to a receiver that is the recipient of all their entries.
fn give(now: u64, batches: &[Vec<u8>], to: &mut Device) {
    let seat = to.seat.to_be_bytes();
    for batch in batches {
        let (header, entries) = batch.split_at(BATCH_HEADER_BYTES);
        for entry in entries.chunks(BATCH_ENTRY_BYTES).filter(|entry| entry.starts_with(&seat)) {
            to.event(now, Event::Keys(&[&[1], header, entry].concat()));
        }
    }
}

/// How many secrets that are watched a session has in its own memory. They do not count as found.
fn secrets_in(session: &Session) -> usize {
    let before: Vec<usize> = FOUND.iter().map(|found| found.load(Relaxed)).collect();
    // SAFETY: a live value in a block that was zeroed when it was allocated, so that its padding can be read too.
    search(unsafe { std::slice::from_raw_parts(std::ptr::from_ref(session).cast(), size_of::<Session>()) });
    FOUND.iter().zip(before).filter(|(found, before)| found.swap(*before, Relaxed) != *before).count()
}

/// Ada sends to Bob through joins, leaves, rotations and a renewal. Her session ends, and then both are dropped.
#[test]
fn key_bytes_absent_after_end_and_drop() {
    // Never grows, so that nothing of it is freed before the end.
    let drawn = Drawn::new(Mutex::new(Vec::with_capacity(256)));
    // The search finds what is there.
    let probe = watch(b"a probe of the search");
    drop(std::hint::black_box(b"a probe of the search".to_vec()));
    assert_eq!(FOUND[probe].load(Relaxed), 1);

    for purpose in [&b"announce"[..], b"display"] {
        let mut key = [0; 32];
        Hkdf::<Sha512>::new(Some(b"e2ee-frames/1 invite"), &INVITE).expand(purpose, &mut key).unwrap();
        watch(&key);
    }

    let (mut ada, mut bob) = (Device::new(1, &drawn), Device::new(2, &drawn));
    let mut known = drawn.lock().unwrap().len();
    let first = known;
    // To be called as soon as keys may have been drawn: watches what is derived from them.
    let mut watch_derived = |announce: &[u8]| {
        for secret in drawn.lock().unwrap().iter().skip(known) {
            for key in derived(secret, announce, 1) {
                watch(&key);
            }
            known += 1;
        }
    };
    bob.event(0, Event::Announces(&ada.announces()));
    let mut batches = ada.event(0, Event::Announces(&bob.announces()));
    batches.extend(ada.event(0, Event::StreamOpened(MIC)));
    watch_derived(&ada.announce);
    give(0, &batches, &mut bob);
    let mut now = 0;
    for round in 0..6u16 {
        let mut frame = [0; 100];
        let length = ada.session.seal(at(now), MIC, Codec::Opus, FrameKind::Delta, b"audio", &mut frame).unwrap();
        bob.session.open(at(now), Codec::Opus, &mut frame[..length]).unwrap();
        // A participant joins: a ratchet step. It leaves: a new generation.
        let guest = Device::new(10 + round, &drawn);
        for (event, later) in
            [(Event::Announces(&guest.announces()), 600), (Event::Left(&[ParticipantId(u32::from(10 + round))]), 1_500)]
        {
            for event in [event, Event::Tick] {
                let batches = ada.event(now, event);
                watch_derived(&ada.announce);
                give(now, &batches, &mut bob);
                now += later;
            }
        }
    }
    assert!(drawn.lock().unwrap().len() > first + 2 * 6 + 6, "a key for every generation");
    let only_probe_found = || {
        let found: Vec<usize> = FOUND.iter().map(|found| found.load(Relaxed)).collect();
        assert_eq!(found.iter().sum::<usize>(), 1, "only the probe: {found:?}");
    };
    // Ada's session ends, and is still there: in it is the signing key, which proves that she returns, and in what it has
    // freed is nothing.
    let jumped = Clock { wall: WallTime::from_millis(1), ..at(now) };
    assert!(secrets_in(&ada.session) > 3);
    ada.session.handle(jumped, Event::Tick).unwrap_err();
    assert_eq!(secrets_in(&ada.session), 1);
    only_probe_found();
    drop((ada, bob));
    only_probe_found();
}
