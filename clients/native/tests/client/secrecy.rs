//! The client never sends plaintext: everything that it passes to its media path is recorded and taken apart.
//!
//! Each audio and video frame must be exactly envelope, SFrame header, ciphertext and tag, contain no eight
//! consecutive bytes of the plaintext, and open with the keys that its receivers were given; before, during and after
//! a restart of the server, which the keys outlive. No key may meet a counter twice.

use crate::{
    TIMEOUT,
    recorder::{Path, Recorder},
    server::Server,
    tcp_proxy::TcpProxy,
    tone::tone,
};
use bytes::Bytes;
use e2ee_frames::{Codec, FrameKind, OpenError, codec, sframe::header};
use std::{collections::HashSet, time::Duration};
use tacet_native::{
    call::{Call, JoinOptions},
    client::{AudioOptions, ClientOptions, VideoOptions},
    keys::SharedKeys,
    video::Assembler,
};
use tacet_proto::media;
use tokio::time::{interval, timeout};

const TAG_BYTES: usize = 16;
const VIDEO_FRAME_BYTES: usize = 3_000;
/// Size of every encoded audio frame: the encoder's bit rate is constant.
const AUDIO_FRAME_BYTES: usize = 80;

/// A video frame of random bytes.
fn video_frame(n: u64, key: bool) -> Bytes {
    let mut state = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    let mut bytes: Vec<u8> = (0..VIDEO_FRAME_BYTES).map(|_| next()).collect();
    bytes[0] = bytes[0] & !1 | u8::from(!key);
    bytes.into()
}

/// All whole frames of a recorded path, in order.
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

/// Panics unless a frame is exactly envelope, SFrame header, ciphertext and tag. Returns its KID and counter.
fn assert_sealed(codec: Codec, frame: &[u8]) -> (u64, u64) {
    let located = codec::locate(codec, frame).expect("the envelope of its codec");
    let envelope: &[u8] = match (codec, located.kind) {
        (Codec::Vp8, FrameKind::Key) => &[0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0],
        (Codec::Vp8, FrameKind::Delta) => &[0x11],
        _ => &[],
    };
    assert!(frame.starts_with(envelope) && located.range == (envelope.len()..frame.len()));
    let (header, header_bytes) = header::parse(&frame[envelope.len()..]).expect("an SFrame header");
    let plain = if codec == Codec::Opus { AUDIO_FRAME_BYTES } else { VIDEO_FRAME_BYTES };
    assert_eq!(frame.len(), envelope.len() + header_bytes + plain + TAG_BYTES);
    (header.kid, header.ctr)
}

/// Opens the frames whose key has arrived.
fn open(keys: &SharedKeys, pending: &mut Vec<(Codec, Vec<u8>)>, opened: &mut usize) {
    pending.retain(|(codec, frame)| {
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
async fn everything_sent_is_sealed_across_a_restart_of_the_server() {
    let mut server = Server::start();
    let proxy = TcpProxy::to(server.address).await;
    let recorder = Recorder::default();
    let (client, mut events) = recorder.join(&server.link_through(proxy.address), ClientOptions::new("Ada")).await;
    let microphone = client.publish_audio(AudioOptions::default()).await.unwrap();
    let camera = client.publish_video(VideoOptions::camera(media::Codec::Vp8)).await.unwrap();
    // A participant that receives keys, and nothing more after the restart.
    let mut bob = timeout(TIMEOUT, Call::join(&server.link(), &JoinOptions::new("Bob"))).await.unwrap().unwrap();
    let bobs = bob.keys();

    let mut written: HashSet<[u8; 8]> = HashSet::new();
    let (mut pace, mut blocks, mut n) = (interval(Duration::from_millis(20)), tone(440.0), 0);
    let (mut looked, mut pending, mut opened) = ([0, 0], [Vec::new(), Vec::new()], [0, 0]);
    let mut restarted = false;
    let story = async {
        while opened[1] < 40 {
            tokio::select! {
                _ = pace.tick() => {
                    let frame = video_frame(n, n % 25 == 0 || camera.key_frame_requested());
                    written.extend(frame.windows(8).map(|run| <[u8; 8]>::try_from(run).unwrap()));
                    camera.write(n as u32 * 1_800, frame);
                    microphone.write(&blocks.next().unwrap());
                    n += 1;
                    for (number, path) in recorder.paths().iter().enumerate().take(2) {
                        let all = frames(path);
                        pending[number].extend_from_slice(&all[looked[number]..]);
                        looked[number] = all.len();
                        open(&bobs, &mut pending[number], &mut opened[number]);
                    }
                    if !restarted && opened[0] >= 40 {
                        restarted = true;
                        proxy.redirect(None);
                        server = server.restart().await;
                        proxy.redirect(Some(server.address));
                    }
                }
                event = bob.next(), if !restarted => drop(event.unwrap()),
                event = events.next() => assert!(event.is_some()),
            }
        }
    };
    timeout(TIMEOUT, story).await.expect("forty frames on either path");

    let paths = recorder.paths();
    assert_eq!(paths.len(), 2);
    let mut numbers = HashSet::new();
    for path in &paths {
        let frames = frames(path);
        assert!(
            frames.iter().any(|(codec, _)| *codec == Codec::Opus)
                && frames.iter().any(|(codec, _)| *codec == Codec::Vp8)
        );
        for (codec, frame) in &frames {
            let number = assert_sealed(*codec, frame);
            assert!(numbers.insert(number), "a key has met a counter twice: {number:?}");
        }
        for (_, packet) in &path.sent {
            assert!(packet.payload.windows(8).all(|run| !written.contains(run)), "eight bytes of what was written");
        }
    }
}

#[test]
fn checks_detect_unsealed_frames() {
    let sealed_shape = |frame: &'static [u8]| std::panic::catch_unwind(|| assert_sealed(Codec::Vp8, frame)).is_ok();
    assert!(!sealed_shape(&[0x11, 1, 2, 3]));
    assert!(!sealed_shape(&[0x30; VIDEO_FRAME_BYTES]));
}
