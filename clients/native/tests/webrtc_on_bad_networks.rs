//! The `webrtc` crate and the SFU over a bad network: loss repair, and an address change during a call.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod media_plane;

use bytes::Bytes;
use e2ee_frames::Codec;
use media_plane::{MediaPlane, camera, key_frame, publication, wait_for};
use sfu::{Command, Event, ParticipantId, TrackId};
use std::{collections::BTreeSet, time::Duration};
use tacet_native::{
    media::{Endpoint, MediaEvent, OutgoingPacket},
    video::{Assembler, vp8_payloads},
    webrtc::WebrtcEndpoint,
};
use tokio::time::{interval, timeout};

/// Upper limit of any step: only a failing test waits this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A frame that contains its number.
fn numbered_frame(number: u16) -> Vec<u8> {
    [&key_frame(number as u8)[..], &number.to_be_bytes()].concat()
}

/// Alice sends frames, Bob receives them.
struct Call {
    plane: MediaPlane,
    alice: WebrtcEndpoint,
    bob: WebrtcEndpoint,
    assembler: Assembler,
    sequence: u16,
    /// Number of the next frame.
    sent: u16,
    /// Numbers of the frames that arrived complete and unchanged.
    received: BTreeSet<u16>,
}

impl Call {
    async fn start(network: &str, seed: u64) -> Self {
        let mut plane = MediaPlane::behind(network.parse().unwrap(), seed);
        let mut alice = plane.join(1, &[camera()]).await;
        let track = TrackId(7);
        plane.command(Command::Publish { participant: ParticipantId(1), track, publication: publication() });
        let mut bob = plane.join(2, &[camera()]).await;
        plane.add_video_slot(2, "v0", &mut bob, track).await;
        wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameRequested { .. })).await;
        let (assembler, received) = (Assembler::new(Codec::Vp8), BTreeSet::new());
        Self { plane, alice, bob, assembler, sequence: 65_500, sent: 0, received }
    }

    async fn send_frame(&mut self) {
        for (marker, payload) in vp8_payloads(&numbered_frame(self.sent), self.sent, 1_100) {
            let (sequence, timestamp, payload) = (self.sequence, 900 * u32::from(self.sent), Bytes::from(payload));
            let packet = OutgoingPacket { sequence, timestamp, marker, level: None, payload };
            self.alice.send("sv", packet).await.unwrap();
            self.sequence = self.sequence.wrapping_add(1);
        }
        self.sent += 1;
    }

    fn receive(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Packet(packet) => {
                let Some(frame) = self.assembler.push(packet.sequence, packet.marker, &packet.payload) else { return };
                let frame = frame.bytes;
                let number = u16::from_be_bytes(*frame.last_chunk().unwrap());
                assert!(number < self.sent && frame == numbered_frame(number), "byte for byte");
                self.received.insert(number);
            }
            MediaEvent::Connected | MediaEvent::Failed => panic!("{event:?} in the middle of a call"),
            _ => {}
        }
    }

    /// Sends 100 frames a second until this many of them have arrived.
    async fn go_on_until(&mut self, frames: usize) {
        let from = self.sent;
        let mut pace = interval(Duration::from_millis(10));
        let call = async {
            while self.received.range(from..).count() < frames {
                tokio::select! {
                    _ = pace.tick() => self.send_frame().await,
                    event = self.bob.next() => self.receive(event.expect("Bob's path is open")),
                    event = self.alice.next() => assert!(!matches!(event, None | Some(MediaEvent::Failed))),
                }
            }
        };
        timeout(TIMEOUT, call).await.expect("frames go on coming");
    }

    /// Number of missing frames, not counting the `newest` ones.
    fn missing(&self, newest: u16) -> usize {
        (0..self.sent.saturating_sub(newest)).filter(|number| !self.received.contains(number)).count()
    }

    /// Asserts that nothing was renegotiated or rekeyed.
    fn assert_one_handshake(&mut self) {
        for event in self.plane.events_so_far() {
            let again = matches!(event, Event::TransportState { .. });
            assert!(!again, "{event:?}");
        }
    }

    async fn end(self) {
        self.alice.close().await;
        self.bob.close().await;
    }
}

#[tokio::test]
async fn burst_losses_on_both_legs_are_repaired() {
    let mut call = Call::start("loss=5%,burst=3,delay=10ms,jitter=5ms,duplicate=1%", 1).await;
    call.go_on_until(250).await;
    let stats = call.plane.relay.as_ref().unwrap().stats();
    assert!(stats.up.lost > 20 && stats.down.lost > 20, "{stats:?}");
    // Without repair, every seventh frame of three packets would lack one.
    let missing = call.missing(100);
    assert!(missing * 50 <= call.sent.into(), "{missing} of {} frames never came; {stats:?}", call.sent);
    call.assert_one_handshake();
    call.end().await;
}

#[tokio::test]
async fn media_survives_address_change() {
    let mut call = Call::start("delay=5ms", 2).await;
    call.go_on_until(50).await;
    assert_eq!(call.plane.relay.as_ref().unwrap().change_addresses().unwrap(), 2);
    call.go_on_until(50).await;
    call.assert_one_handshake();
    call.end().await;
}
