//! Secrets are erased from the heap before it is freed: every block is searched as it is freed.
//!
//! The stack is not searched; long-lived secrets are on the heap.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2ee_identity::{AccountId, AccountName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, IdentityKey};
use e2ee_messages::{
    Bundle, Contact, Fetched, FileKey, FileSealer, Member, Message, MessageId, Messenger, Room, RoomId, RoomList,
    StateKey, Stock, Time,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

const NOW: Time = Time(1_800_000_000_000);
const CHECKPOINT: [u8; 40] = [0xc4; 40];
/// Words that are watched for, by their own hash: a search of one probe for each word that is freed.
const SLOTS: usize = 1 << 16;
static WANTED: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
static WATCHED: AtomicUsize = AtomicUsize::new(0);
static FOUND: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether what this thread frees is searched.
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
}

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
        if SEARCHING.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: by the caller's contract the block has this many bytes, all initialised by `alloc`.
            search(unsafe { std::slice::from_raw_parts(pointer, layout.size()) });
        }
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn slot(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize % SLOTS
}

fn search(block: &[u8]) {
    for window in block.windows(8) {
        let word = u64::from_le_bytes(window.try_into().unwrap());
        if word != 0 && WANTED[slot(word)].load(Relaxed) == word {
            FOUND.fetch_add(1, Relaxed);
        }
    }
}

/// Begins to look for some bytes, wherever in a block their beginning is.
fn watch(secret: &[u8]) {
    let word = u64::from_le_bytes(secret[..8].try_into().unwrap());
    WANTED[slot(word)].store(word, Relaxed);
    WATCHED.fetch_add(1, Relaxed);
}

/// Random bytes. All that are as long as keys are watched; salts, ids and nonces are public.
fn random() -> impl FnMut(&mut [u8]) + Send {
    let mut state = 0x5eed_u64;
    move |bytes: &mut [u8]| {
        for byte in &mut *bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
        if bytes.len() >= 32 {
            watch(bytes);
        }
    }
}

fn account(n: u8, name: &str, random: &mut (impl FnMut(&mut [u8]) + Send)) -> (DeviceKeys, IdentityKey, Contact) {
    let (id, name) = (AccountId([n; 16]), AccountName::new("https://call.example", name).unwrap());
    let (identity, keys) = (IdentityKey::draw(random), DeviceKeys::draw(random));
    let cert = keys.certify(&id, &identity.public(), NOW.day(), DeviceKind::NATIVE, &[0; 32]);
    let certs = vec![DeviceCert::parse(&cert).unwrap()];
    let list = identity.sign_devices(&id, &name, None, &certs).unwrap();
    let contact = Contact::new(&name, DeviceList::parse(&list, &name).unwrap(), certs).unwrap();
    (keys, identity, contact)
}

/// Two devices exchange messages, restart, write to a room and seal a file; then all is dropped.
#[test]
fn key_bytes_absent_after_drop() {
    SEARCHING.set(true);
    // The search finds what is there.
    watch(b"a probe of the search");
    drop(std::hint::black_box(b"a probe of the search".to_vec()));
    assert_eq!(FOUND.swap(0, Relaxed), 1);

    let mut random = random();
    let ((ada_keys, identity, ada), (ben_keys, _, ben)) =
        (account(1, "ada", &mut random), account(2, "ben", &mut random));
    let again = DeviceKeys::from_seeds(ben_keys.signing_seed(), ben_keys.agreement_seed());
    let (mut on_ada, mut on_ben) =
        (Messenger::new(ada_keys, ada.clone()).unwrap(), Messenger::new(ben_keys, ben.clone()).unwrap());
    on_ada.update(ben.clone(), &[]).unwrap();
    on_ben.update(ada.clone(), &[]).unwrap();
    on_ada.renew_prekeys(Stock::default(), NOW, &mut random);
    let mut shelf = on_ben.renew_prekeys(Stock::default(), NOW, &mut random).prekeys;
    shelf.sort_by_key(|prekey| prekey[1]);
    shelf.dedup_by_key(|prekey| prekey[1]);
    shelf.retain(|prekey| prekey[1] != 4);

    let texts = ["a text that is watched", "its answer, watched as well", "the last of them, watched"];
    texts.iter().for_each(|text| watch(text.as_bytes()));
    let message = |n: usize| Message {
        id: MessageId([n as u8; 16]),
        body: texts[n].as_bytes(),
        checkpoint: &CHECKPOINT,
        durable: true,
    };
    let bundle = Bundle::parse(&shelf.concat(), on_ben.device(), NOW.day()).unwrap();
    let fetched = [(*on_ben.device(), Fetched::Bundle(bundle))];
    let first = on_ada.seal(&ben.account(), &message(0), &fetched, NOW, &mut random).unwrap();
    drop(on_ben.open(&first.outers[0].1, &first.blob, NOW).unwrap());
    let answer = on_ben.seal(&ada.account(), &message(1), &[], NOW, &mut random).unwrap();
    drop(on_ada.open(&answer.outers[0].1, &answer.blob, NOW).unwrap());

    // Ben's device stores and starts again.
    let key = StateKey::draw(&mut random);
    let mut restarted = Messenger::new(again, ben.clone()).unwrap();
    restarted.update(ada.clone(), &[]).unwrap();
    for (row, bytes) in on_ben.take_changes() {
        let sealed = key.seal(row, &bytes.unwrap(), &mut random).unwrap();
        restarted.restore(row, &key.open(row, &sealed).unwrap()).unwrap();
    }
    let last = on_ada.seal(&ben.account(), &message(2), &[], NOW, &mut random).unwrap();
    drop(restarted.open(&last.outers[0].1, &last.blob, NOW).unwrap());

    let member = |contact: &Contact| Member { account: contact.account(), identity: contact.mark().identity };
    let list = RoomList::sign(&identity, RoomId([7; 16]), None, &[member(&ada), member(&ben)]).unwrap();
    let list = RoomList::parse(&list).unwrap();
    let devices = [&ada, &ben].map(|contact| contact.devices()[0].clone());
    let (mut room, mut reader) =
        (Room::new(devices[0].device, list.clone()), Room::new(devices[1].device, list.clone()));
    room.start_chain(NOW, &mut random);
    let sender_key = room.sender_key(devices[1].device).unwrap();
    reader.take_sender_key(devices[0].account, devices[0].device, &*sender_key).unwrap();
    let sealed = room.seal(texts[0].as_bytes(), &devices, NOW, &mut random).unwrap();
    drop(reader.open(&sealed).unwrap());
    drop(Room::from_bytes(devices[1].device, list, &reader.to_bytes()).unwrap());

    let mut sealer = FileSealer::new(texts[1].len() as u64, &mut random).unwrap();
    let chunk = sealer.seal(texts[1].as_bytes()).unwrap();
    let mut opener = FileKey::from_bytes(&*sealer.finish().unwrap().to_bytes()).unwrap().opener();
    drop(opener.open(&chunk).unwrap());
    opener.finish().unwrap();

    drop((on_ada, on_ben, restarted, key, identity, room, reader));
    SEARCHING.set(false);
    assert!(WATCHED.load(Relaxed) > 150);
    assert_eq!(FOUND.load(Relaxed), 0, "of {} secrets", WATCHED.load(Relaxed));
}
