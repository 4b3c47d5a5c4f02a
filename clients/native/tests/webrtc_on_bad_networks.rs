//! The `webrtc` crate and the SFU with a bad network between them: what they repair, and an address that changes in
//! the middle of a call.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use bytes::Bytes;
use e2ee_frames::Codec;
use sfu::{Command, Event, ParticipantId, TrackId};
use std::{collections::BTreeSet, time::Duration};
use tacet_native::{
    media::{Endpoint, MediaEvent, OutgoingPacket},
    video::{Assembler, vp8_payloads},
    webrtc::WebrtcEndpoint,
};
use tokio::time::{interval, timeout};
use world::{World, camera, key_frame, publication, wait_for};

/// Far more than is needed: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A frame that says which it is.
fn numbered_frame(number: u16) -> Vec<u8> {
    [&key_frame(number as u8)[..], &number.to_be_bytes()].concat()
}

/// Alice sends frames, Bob receives them.
struct Call {
    world: World,
    alice: WebrtcEndpoint,
    bob: WebrtcEndpoint,
    assembler: Assembler,
    sequence: u16,
    /// Number of the next frame.
    sent: u16,
    /// Numbers of frames that came whole, byte for byte.
    received: BTreeSet<u16>,
}

impl Call {
    async fn start(network: &str, seed: u64) -> Self {
        let mut world = World::behind(network.parse().unwrap(), seed);
        let mut alice = world.join(1, &[camera()]).await;
        let track = TrackId(7);
        world.command(Command::Publish { participant: ParticipantId(1), track, publication: publication() });
        let mut bob = world.join(2, &[camera()]).await;
        world.add_video_slot(2, "v0", &mut bob, track).await;
        wait_for(&mut alice, |event| matches!(event, MediaEvent::KeyFrameWanted { .. })).await;
        let (assembler, received) = (Assembler::new(Codec::Vp8), BTreeSet::new());
        Self { world, alice, bob, assembler, sequence: 65_500, sent: 0, received }
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

    /// Goes on, 100 frames a second, until so many of the frames from now on have come.
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
        timeout(PATIENCE, call).await.expect("frames go on coming");
    }

    /// Frames that never came, of all but the newest.
    fn missing(&self, newest: u16) -> usize {
        (0..self.sent.saturating_sub(newest)).filter(|number| !self.received.contains(number)).count()
    }

    /// That nothing was negotiated or keyed again.
    fn assert_one_handshake(&mut self) {
        for event in self.world.events_so_far() {
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
async fn bursts_of_loss_on_both_legs_are_repaired() {
    let mut call = Call::start("loss=5%,burst=3,delay=10ms,jitter=5ms,duplicate=1%", 1).await;
    call.go_on_until(250).await;
    let stats = call.world.relay.as_ref().unwrap().stats();
    assert!(stats.up.lost > 20 && stats.down.lost > 20, "{stats:?}");
    // Without repair, every seventh frame of three packets would lack one.
    let missing = call.missing(100);
    assert!(missing * 50 <= call.sent.into(), "{missing} of {} frames never came; {stats:?}", call.sent);
    call.assert_one_handshake();
    call.end().await;
}

#[tokio::test]
async fn media_goes_on_when_every_client_gets_another_address() {
    let mut call = Call::start("delay=5ms", 2).await;
    call.go_on_until(50).await;
    assert_eq!(call.world.relay.as_ref().unwrap().change_addresses().unwrap(), 2);
    call.go_on_until(50).await;
    call.assert_one_handshake();
    call.end().await;
}
