//! The `webrtc` crate and the SFU, two implementations that share no code, over real loopback sockets: ICE, DTLS,
//! SRTP, slots, key frame requests. Signaling is played by the test.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use bytes::Bytes;
use e2ee_frames::Codec;
use sfu::{Command, Event, ParticipantId, RoomId, TrackId};
use std::time::Duration;
use tacet_native::{
    media::{Endpoint, MediaEvent, OutgoingPacket},
    video::{Assembler, vp8_payloads},
    webrtc::WebrtcEndpoint,
};
use tokio::time::timeout;
use world::{TOO_LONG, World, camera, key_frame, publication, remote, server_transport, wait_for, welcome};

#[tokio::test]
async fn frames_and_key_frame_requests_cross_two_implementations() {
    let mut world = World::new();
    let mut alice = world.join(1, &[camera()]).await;
    let track = TrackId(7);
    world.command(Command::Publish { participant: ParticipantId(1), track, publication: publication() });
    let mut bob = world.join(2, &[camera()]).await;
    let slot = world.add_video_slot(2, "v0", &mut bob, track).await;

    // Whoever is put into a slot is asked for a key frame.
    wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameWanted { mid } if mid == "sv")).await;

    let frames: Vec<_> = (0..5).map(key_frame).collect();
    let mut sequence = 65_530u16;
    for (n, frame) in frames.iter().enumerate() {
        for (marker, payload) in vp8_payloads(frame, n as u16, 1_100) {
            let packet = OutgoingPacket {
                sequence,
                timestamp: 3_000 * n as u32,
                marker,
                level: None,
                payload: Bytes::from(payload),
            };
            alice.send("sv", packet).await.unwrap();
            sequence = sequence.wrapping_add(1);
        }
    }
    let (mut assembler, mut received) = (Assembler::new(Codec::Vp8), Vec::new());
    while received.len() < frames.len() {
        let event = wait_for(&mut bob, |event| matches!(event, MediaEvent::Packet(_))).await;
        let MediaEvent::Packet(packet) = event else { unreachable!() };
        assert_eq!(packet.ssrc, slot.ssrc, "a slot keeps its SSRC");
        received.extend(assembler.push(packet.sequence, packet.marker, &packet.payload).map(|frame| frame.bytes));
    }
    assert_eq!(received, frames, "byte for byte");

    // And a receiver's own request travels the same way.
    timeout(TOO_LONG, async {
        loop {
            bob.want_key_frame(slot.ssrc).await.unwrap();
            tokio::select! {
                _ = wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameWanted { .. })) => return,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    })
    .await
    .expect("the request arrives");
    alice.close().await;
    bob.close().await;
}

#[tokio::test]
async fn a_server_with_another_certificate_gets_no_media_path() {
    let mut world = World::new();
    let participant = ParticipantId(1);
    world.command(Command::AddParticipant { room: RoomId(1), participant });
    let mut local = world
        .event(|event| match event {
            Event::Transport { local, .. } => Some(local),
            _ => None,
        })
        .await;
    local.fingerprint = [0x11; 32];
    let mut endpoint = WebrtcEndpoint::start(&welcome(), server_transport(&local), &[camera()]).await.unwrap();
    world.command(Command::Connect { participant, remote: remote(endpoint.local()) });
    // The client sees another certificate than signaling promised, and never sends media.
    let connected = async {
        while let Some(event) = endpoint.next().await {
            if event == MediaEvent::Connected {
                return true;
            }
        }
        false
    };
    let server_side = world.event(|event| match event {
        Event::TransportState { state, .. } => Some(state),
        _ => None,
    });
    tokio::select! {
        connected = connected => assert!(!connected),
        state = server_side => assert_ne!(state, sfu::event::TransportState::Connected),
    }
}
