//! The `webrtc` crate and the SFU, two implementations that share no code, over real loopback sockets: ICE, DTLS,
//! SRTP, slots, key frame requests. The test plays signaling.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod media_plane;

use bytes::Bytes;
use e2ee_frames::Codec;
use media_plane::{MediaPlane, TIMEOUT, camera, key_frame, publication, remote, server_transport, wait_for, welcome};
use sfu::{Command, Event, ParticipantId, RoomId, TrackId, metrics::Counter};
use std::time::Duration;
use tacet_native::{
    media::{Endpoint, MediaEvent, OutgoingPacket},
    video::{Assembler, vp8_payloads},
    webrtc::WebrtcEndpoint,
};
use tokio::time::timeout;

#[tokio::test]
async fn frames_and_key_frame_requests_are_forwarded() {
    let mut plane = MediaPlane::new();
    let mut alice = plane.join(1, &[camera()]).await;
    let track = TrackId(7);
    plane.command(Command::Publish { participant: ParticipantId(1), track, publication: publication() });
    let mut bob = plane.join(2, &[camera()]).await;
    let slot = plane.add_video_slot(2, "v0", &mut bob, track).await;

    // The SFU requests a key frame from the sender of a track that enters a slot.
    wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameRequested { mid } if mid == "sv")).await;

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

    // A receiver's own request takes the same way.
    timeout(TIMEOUT, async {
        loop {
            bob.request_key_frame(slot.ssrc).await.unwrap();
            tokio::select! {
                _ = wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameRequested { .. })) => return,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    })
    .await
    .expect("the request arrives");
    alice.close().await;
    bob.close().await;
}

/// Without an answer, no more than three times what the client sends would reach it, and its consent would end.
#[tokio::test]
async fn checks_of_the_server_are_answered() {
    let mut plane = MediaPlane::new();
    let _alice = plane.join(1, &[camera()]).await;
    let proven = async {
        while plane.counted(Counter::PathsProven) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, proven).await.expect("the path is proven");
}

#[tokio::test]
async fn wrong_certificate_prevents_media() {
    let mut plane = MediaPlane::new();
    let participant = ParticipantId(1);
    plane.command(Command::AddParticipant { room: RoomId(1), participant });
    let mut local = plane
        .event(|event| match event {
            Event::Transport { local, .. } => Some(local),
            _ => None,
        })
        .await;
    local.fingerprint = [0x11; 32];
    let mut endpoint = WebrtcEndpoint::start(&welcome(), server_transport(&local), &[camera()]).await.unwrap();
    plane.command(Command::Connect { participant, remote: remote(endpoint.local()) });
    // The client sees another certificate than signaling announced, and never sends media.
    let connected = async {
        while let Some(event) = endpoint.next().await {
            if event == MediaEvent::Connected {
                return true;
            }
        }
        false
    };
    let server_side = plane.event(|event| match event {
        Event::TransportState { state, .. } => Some(state),
        _ => None,
    });
    tokio::select! {
        connected = connected => assert!(!connected),
        state = server_side => assert_ne!(state, sfu::event::TransportState::Connected),
    }
}
