//! A client never sends plaintext: all that it hands to its media path is recorded and taken apart.
//!
//! Each sound and picture must be exactly envelope, SFrame header, ciphertext and tag, hold no run of eight bytes of
//! what was written, and open with the keys that its receivers were given. That holds before, while and after the
//! connection is lost and made anew.

use crate::{
    PATIENCE,
    proxy::Proxy,
    recorder::{Path, Recorder},
    server::Server,
    sound::tone,
};
use bytes::Bytes;
use e2ee_frames::{Codec, FrameKind, OpenError, codec, sframe::header};
use std::{collections::HashSet, time::Duration};
use tacet_native::{
    call::{Call, CallEvent, JoinOptions},
    client::{AudioOptions, ClientOptions, VideoOptions},
    keys::SharedKeys,
    video::Assembler,
};
use tacet_proto::media;
use tokio::time::{interval, timeout};

const TAG_BYTES: usize = 16;
const PICTURE_BYTES: usize = 3_000;
/// Bytes of every sound that the encoder makes, as it hides what is said.
const SOUND_BYTES: usize = 80;

/// A picture of bytes without structure.
fn picture(n: u64, key: bool) -> Bytes {
    let mut state = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    let mut bytes: Vec<u8> = (0..PICTURE_BYTES).map(|_| next()).collect();
    bytes[0] = bytes[0] & !1 | u8::from(!key);
    bytes.into()
}

/// Every whole frame of a recorded path, in order.
fn frames(path: &Path) -> Vec<(Codec, Vec<u8>)> {
    let mut assembler = Assembler::new(Codec::Vp8);
    let mut frames = Vec::new();
    for (mid, packet) in &path.sent {
        if mid == "sa" {
            frames.push((Codec::Opus, packet.payload.to_vec()));
        } else {
            let whole = assembler.push(packet.sequence, packet.marker, &packet.payload);
            frames.extend(whole.map(|frame| (Codec::Vp8, frame.bytes)));
        }
    }
    frames
}

/// Panics unless a frame is envelope, SFrame header, ciphertext and tag, and nothing else.
fn assert_sealed(codec: Codec, frame: &[u8]) {
    let located = codec::locate(codec, frame).expect("the envelope of its codec");
    let envelope: &[u8] = match (codec, located.kind) {
        (Codec::Vp8, FrameKind::Key) => &[0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0],
        (Codec::Vp8, FrameKind::Delta) => &[0x11],
        _ => &[],
    };
    assert!(frame.starts_with(envelope) && located.range == (envelope.len()..frame.len()));
    let (_, header_bytes) = header::parse(&frame[envelope.len()..]).expect("an SFrame header");
    let plain = if codec == Codec::Opus { SOUND_BYTES } else { PICTURE_BYTES };
    assert_eq!(frame.len(), envelope.len() + header_bytes + plain + TAG_BYTES);
}

/// Opens the frames that wait and whose key is here.
fn open(keys: &SharedKeys, waiting: &mut Vec<(Codec, Vec<u8>)>, opened: &mut usize) {
    waiting.retain(|(codec, frame)| {
        let mut frame = frame.clone();
        match keys.open(*codec, &mut frame) {
            Ok(_) => {
                *opened += 1;
                false
            }
            Err(OpenError::NotAuthentic | OpenError::Malformed) => panic!("a frame that is not sealed"),
            Err(_) => true,
        }
    });
}

#[tokio::test]
async fn all_that_leaves_is_sealed_also_while_the_connection_is_made_anew() {
    let server = Server::start();
    let proxy = Proxy::to(server.address).await;
    let recorder = Recorder::default();
    let (client, mut events) = recorder.join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let camera = client.publish_video(VideoOptions::camera(media::Codec::Vp8)).await.unwrap();
    // Two who were given keys: one goes on, one hears nothing more of the server.
    let mut bob = timeout(PATIENCE, Call::join(&server.link(), &JoinOptions::new("Bob"))).await.unwrap().unwrap();
    let mut frozen = timeout(PATIENCE, Call::join(&server.link(), &JoinOptions::new("Frozen"))).await.unwrap().unwrap();
    let (bobs, frozens) = (bob.keys(), frozen.keys());

    let mut written: HashSet<[u8; 8]> = HashSet::new();
    let (mut pace, mut blocks, mut n) = (interval(Duration::from_millis(20)), tone(440.0), 0);
    let (mut looked, mut waiting, mut opened) = ([0, 0], [Vec::new(), Vec::new()], [0, 0]);
    let (mut keys_of_frozen, mut cut) = (0, false);
    let story = async {
        while opened[1] < 40 {
            tokio::select! {
                _ = pace.tick() => {
                    let frame = picture(n, n % 25 == 0 || camera.key_frame_wanted());
                    written.extend(frame.windows(8).map(|run| <[u8; 8]>::try_from(run).unwrap()));
                    camera.write(n as u32 * 1_800, frame);
                    microphone.write(&blocks.next().unwrap());
                    n += 1;
                    for (number, path) in recorder.paths().iter().enumerate().take(2) {
                        let all = frames(path);
                        waiting[number].extend_from_slice(&all[looked[number]..]);
                        looked[number] = all.len();
                        open(&bobs, &mut waiting[number], &mut opened[number]);
                    }
                    if !cut && opened[0] >= 40 && keys_of_frozen > 0 {
                        cut = true;
                        proxy.cut();
                    }
                }
                event = bob.next() => drop(event.unwrap()),
                event = frozen.next(), if !cut => {
                    keys_of_frozen += usize::from(matches!(event.unwrap(), CallEvent::KeyInstalled(_)));
                }
                event = events.next() => assert!(event.is_some()),
            }
        }
    };
    timeout(PATIENCE, story).await.expect("forty frames by either connection");

    let paths = recorder.paths();
    assert_eq!(paths.len(), 2);
    for path in &paths {
        let frames = frames(path);
        assert!(
            frames.iter().any(|(codec, _)| *codec == Codec::Opus)
                && frames.iter().any(|(codec, _)| *codec == Codec::Vp8)
        );
        for (codec, frame) in &frames {
            assert_sealed(*codec, frame);
        }
        for (_, packet) in &path.sent {
            assert!(packet.payload.windows(8).all(|run| !written.contains(run)), "eight bytes of what was written");
        }
    }
    // Who has the keys of the first connection only opens nothing of the second.
    let opens = |(codec, frame): &(Codec, Vec<u8>)| frozens.open(*codec, &mut frame.clone()).is_ok();
    assert!(frames(&paths[0]).iter().any(opens), "these were good keys");
    assert!(!frames(&paths[1]).iter().any(opens), "keys of the first connection were used again");
}

#[test]
fn the_checks_see_what_is_not_sealed() {
    let sealed_shape = |frame: &'static [u8]| std::panic::catch_unwind(|| assert_sealed(Codec::Vp8, frame)).is_ok();
    assert!(!sealed_shape(&[0x11, 1, 2, 3]));
    assert!(!sealed_shape(&[0x30; PICTURE_BYTES]));
}
