//! Frames whose cipher runs outside have the same bytes, pass the same checks, and fail closed.

use super::world::World;
use crate::{
    Clock, Codec, FrameKind, OpenError, ParticipantId, SealError, Session, StreamId, codec,
    external::{Job, KeyNumber, Opening, seal_finish},
    sframe::TAG_BYTES,
};
use alloc::{vec, vec::Vec};
use e2ee_core::aead::{Aead, RustCrypto};

const CAMERA: StreamId = StreamId::CAMERA;
const ALL: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264];

fn pair() -> (World, ParticipantId, ParticipantId) {
    let mut world = World::new(1);
    let (ada, bob) = (world.join("Ada"), world.join("Bob"));
    world.open_stream(ada, CAMERA);
    world.run(1_000);
    (world, ada, bob)
}

/// The external cipher, in place of WebCrypto.
fn cipher(session: &mut Session, key: KeyNumber) -> RustCrypto {
    assert!(session.has_cipher_key(key));
    RustCrypto::new(&*session.cipher_key(key).unwrap()).unwrap()
}

fn additional(job: &Job) -> &[u8] {
    &job.additional[..job.additional_len]
}

fn seal(session: &mut Session, clock: Clock, codec: Codec, kind: FrameKind, frame: &[u8]) -> Vec<u8> {
    let mut out = vec![0; codec::max_sealed_bytes(codec, frame.len())];
    let sealing = session.seal_begin(clock, CAMERA, codec, kind, frame.len(), &mut out).unwrap();
    let body = sealing.written..sealing.written + frame.len();
    out[body.clone()].copy_from_slice(frame);
    let key = cipher(session, sealing.job.key);
    let tag = key.seal(&sealing.job.nonce, additional(&sealing.job), &mut out[body.clone()]).unwrap();
    out[body.end..body.end + TAG_BYTES].copy_from_slice(&tag);
    let length = seal_finish(codec, sealing.envelope, body.end + TAG_BYTES, &mut out).unwrap();
    out.truncate(length);
    out
}

fn begin(session: &mut Session, clock: Clock, codec: Codec, frame: &mut [u8]) -> Opening {
    session.open_begin(clock, codec, frame).unwrap().expect("established")
}

fn open(session: &mut Session, opening: &Opening, frame: &mut [u8]) -> Option<Vec<u8>> {
    let key = cipher(session, opening.job.key);
    let (data, tag) = frame[opening.range.clone()].split_last_chunk_mut::<TAG_BYTES>().unwrap();
    key.open(&opening.job.nonce, additional(&opening.job), data, tag).ok().map(|()| data.to_vec())
}

#[test]
fn external_frame_opens_inside_and_outside() {
    let (mut world, ada, bob) = pair();
    let clock = world.clock();
    // Many zeros, so that H.264 has to escape.
    let frame: Vec<u8> = (0..3_000u32).map(|index| (index % 5) as u8 / 4).collect();
    for codec in ALL {
        for kind in [FrameKind::Key, FrameKind::Delta] {
            let mut first = seal(&mut world.device(ada).session, clock, codec, kind, &frame);
            let opened = world.device(bob).session.open(clock, codec, &mut first).unwrap();
            assert_eq!((first[opened.range].to_vec(), opened.participant), (frame.clone(), ada));

            let mut second = seal(&mut world.device(ada).session, clock, codec, kind, &frame);
            let receiver = &mut world.device(bob).session;
            let opening = begin(receiver, clock, codec, &mut second);
            assert_eq!((opening.participant, opening.stream, opening.kind), (ada, CAMERA, codec::shown(codec, kind)));
            assert_eq!(open(receiver, &opening, &mut second).unwrap(), frame);
            receiver.open_finish(clock, opening.job.key, opening.ctr).unwrap();
        }
    }
}

#[test]
fn external_cipher_shares_counter_and_window() {
    let (mut world, ada, bob) = pair();
    let clock = world.clock();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    for outside in [false, true, false, true] {
        let session = &mut world.device(ada).session;
        if outside {
            frames.push(seal(session, clock, Codec::Vp9, FrameKind::Delta, b"frame"));
        } else {
            let mut out = vec![0; 100];
            let length = session.seal(clock, CAMERA, Codec::Vp9, FrameKind::Delta, b"frame", &mut out).unwrap();
            frames.push(out[..length].to_vec());
        }
    }
    let counters: Vec<u64> = frames.iter().map(|frame| crate::sframe::header::parse(frame).unwrap().0.ctr).collect();
    assert_eq!(counters, [0, 1, 2, 3]);
    let receiver = &mut world.device(bob).session;
    receiver.open(clock, Codec::Vp9, &mut frames[0].clone()).unwrap();
    // The same frame on two slots at once: the second to finish is a replay.
    let (mut once, mut twice) = (frames[1].clone(), frames[1].clone());
    let first = begin(receiver, clock, Codec::Vp9, &mut once);
    let second = begin(receiver, clock, Codec::Vp9, &mut twice);
    receiver.open_finish(clock, first.job.key, first.ctr).unwrap();
    assert_eq!(receiver.open_finish(clock, second.job.key, second.ctr), Err(OpenError::Replay));
    assert_eq!(receiver.open(clock, Codec::Vp9, &mut frames[1].clone()), Err(OpenError::Replay));
    assert_eq!(receiver.open_begin(clock, Codec::Vp9, &mut frames[0].clone()), Err(OpenError::Replay));
}

#[test]
fn first_frame_of_key_opens_inside() {
    let (mut world, ada, bob) = pair();
    let clock = world.clock();
    let frame = seal(&mut world.device(ada).session, clock, Codec::Vp8, FrameKind::Key, b"first");
    let receiver = &mut world.device(bob).session;
    let mut buffer = frame.clone();
    assert_eq!(receiver.open_begin(clock, Codec::Vp8, &mut buffer), Ok(None));
    assert_eq!(buffer, frame, "unchanged");
    receiver.open(clock, Codec::Vp8, &mut buffer).unwrap();
}

#[test]
fn forged_frame_and_erased_key_fail() {
    let (mut world, ada, bob) = pair();
    let carol = world.join("Carol");
    world.run(2_000);
    let clock = world.clock();
    for _ in 0..2 {
        let mut frame = seal(&mut world.device(ada).session, clock, Codec::Vp9, FrameKind::Delta, b"frame");
        world.device(bob).session.open(clock, Codec::Vp9, &mut frame).unwrap();
    }
    let mut frame = seal(&mut world.device(ada).session, clock, Codec::Vp9, FrameKind::Delta, b"frame");
    let mut forged = frame.clone();
    *forged.last_mut().unwrap() ^= 1;
    let receiver = &mut world.device(bob).session;
    let opening = begin(receiver, clock, Codec::Vp9, &mut forged);
    assert_eq!(open(receiver, &opening, &mut forged), None);
    let opening = begin(receiver, clock, Codec::Vp9, &mut frame);
    assert!(open(receiver, &opening, &mut frame).is_some());

    // Carol leaves, and Ada's old key expires.
    world.leave(carol);
    world.run(12_000);
    let clock = world.clock();
    let receiver = &mut world.device(bob).session;
    assert!(receiver.cipher_key(opening.job.key).is_none() && !receiver.has_cipher_key(opening.job.key));
    assert_eq!(receiver.open_finish(clock, opening.job.key, opening.ctr), Err(OpenError::MissingKey));
}

#[test]
fn short_external_output_uses_no_counter() {
    let (mut world, ada, _) = pair();
    let clock = world.clock();
    let session = &mut world.device(ada).session;
    let refused = session.seal_begin(clock, CAMERA, Codec::Vp8, FrameKind::Key, 1_000, &mut [0; 11]);
    assert_eq!(refused, Err(SealError::Buffer));
    let frame = seal(session, clock, Codec::Vp9, FrameKind::Key, b"x");
    assert_eq!(crate::sframe::header::parse(&frame).unwrap().0.ctr, 0);
}
