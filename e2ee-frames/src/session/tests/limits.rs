//! Key traffic in large rooms: the size and number of messages, and when the last of them is sent.

use super::world::{CALL, Dice, INVITE, ROOM, announces, at};
use crate::{
    Action, Event, ParticipantId, Seat, Session, SessionConfig, StreamId,
    keys::batch::{ENTRY_BYTES, HEADER_BYTES},
    session::distribution::switch_window,
};
use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;
use e2ee_core::{Primitives, Standard, primitives::ideal::Ideal};

/// Bytes of a binary message in front of its body: type and request number.
const MESSAGE_HEAD_BYTES: usize = 5;
/// Maximum size of a message that a server accepts.
const MAX_MESSAGE_BYTES: usize = 16_384;
/// A client's outbox sends 25 messages per second, one every 40 ms; a server accepts 30.
const OUTBOX_GAP: Duration = Duration::from_millis(40);

const NOW: u64 = 1_000;

fn device<P: Primitives>(seed: u64) -> Session<P> {
    Session::with_primitives(SessionConfig::new(ROOM, CALL, INVITE, "x"), Dice::source(seed), at(NOW)).unwrap()
}

/// The key batches of a sender in a room of this many devices, when one of them leaves.
fn batches_of_a_rotation<P: Primitives>(devices: u16) -> Vec<Vec<u8>> {
    let mut sender = device::<P>(1);
    sender.handle(at(NOW), Event::Joined { seat: Seat(0) }).unwrap();
    for other in 1..devices {
        let Some(Action::SendAnnounce { announce, display, .. }) = device::<P>(u64::from(other) << 20).poll() else {
            panic!("no announce")
        };
        let body = announces(ParticipantId(u32::from(other)), Seat(other), &announce, &display);
        sender.handle(at(NOW), Event::Announces(&body)).unwrap();
    }
    sender.handle(at(NOW), Event::StreamOpened(StreamId::MICROPHONE)).unwrap();
    while sender.poll().is_some() {}
    let later = NOW + 10_000;
    sender.handle(at(later), Event::Left(&[ParticipantId(1)])).unwrap();
    let batch = |action| match action {
        Action::SendKeyBatch { body, .. } => Some(body),
        _ => None,
    };
    core::iter::from_fn(|| sender.poll()).filter_map(batch).collect()
}

fn check(devices: u16, most: usize, batches: &[Vec<u8>]) {
    assert!(!batches.is_empty() && batches.len() <= most, "{devices} devices: {} messages", batches.len());
    let mut served = BTreeSet::new();
    for batch in batches {
        assert!(MESSAGE_HEAD_BYTES + batch.len() <= MAX_MESSAGE_BYTES, "{devices} devices: {} bytes", batch.len());
        for entry in batch[HEADER_BYTES..].chunks(ENTRY_BYTES) {
            assert!(served.insert(u16::from_be_bytes([entry[0], entry[1]])), "one box for each");
        }
    }
    assert!(served.into_iter().eq(2..devices), "all who remain");
    let last_leaves_after = OUTBOX_GAP * (batches.len() as u32 - 1);
    assert!(last_leaves_after <= Duration::from_millis(300), "{devices} devices: {last_leaves_after:?}");
    assert!(last_leaves_after < switch_window(devices.into()), "sent long before the key is used");
}

#[test]
fn limits_16k_30ps() {
    check(100, 1, &batches_of_a_rotation::<Standard>(100));
    check(1_000, 6, &batches_of_a_rotation::<Ideal>(1_000));
    // The last seat and the first that needs one more message.
    check(190, 1, &batches_of_a_rotation::<Ideal>(190));
    assert_eq!(batches_of_a_rotation::<Ideal>(191).len(), 2);
}
