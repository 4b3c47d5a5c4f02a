//! A call over loopback sockets: one participant speaks, and all others receive every packet.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rtc_client::ClientState;
use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Sfu, SfuConfig, SocketIo, Ssrc, TrackId, command::Publication,
    event::TransportState, media::Codec, metrics::Counter,
};
use sfu_testing::{LoopbackClient, PATIENCE, run_until, subscribe, wait_until};
use std::{sync::mpsc, time::Duration};

const LISTENERS: u32 = 12;
const SPEAKER: ParticipantId = ParticipantId(0);
const BURSTS: u16 = 20;
const BURST: u16 = 8;

#[test]
fn every_listener_receives_every_packet() {
    call(SocketIo::Batched);
}

#[test]
fn every_listener_receives_every_packet_with_plain_io() {
    call(SocketIo::Plain);
}

fn call(io: SocketIo) {
    let (events, inbox) = mpsc::channel();
    let config = SfuConfig { io, ..SfuConfig::default() };
    let sfu = Sfu::start(&config, move |_, event| events.send(event).unwrap_or_default()).unwrap();
    let next = || inbox.recv_timeout(PATIENCE).unwrap();
    let slot_added = || while !matches!(next(), Event::SlotAdded { .. }) {};

    let mut clients = Vec::new();
    for participant in (0..=LISTENERS).map(ParticipantId) {
        sfu.command(0, Command::AddParticipant { room: RoomId(1), participant }).unwrap();
        let Event::Transport { local, .. } = next() else { panic!() };
        let client = LoopbackClient::new(&local);
        sfu.command(0, Command::Connect { participant, remote: client.transport.local().into() }).unwrap();
        clients.push(client);
    }
    run_until(&mut clients, |clients| clients.iter().all(|c| c.transport.state() == ClientState::Connected));
    for _ in &clients {
        let Event::TransportState { state: TransportState::Connected, .. } = next() else { panic!() };
    }

    let mid = Mid::new("a0").unwrap();
    let publication = Publication::single(Codec::Opus, mid, Ssrc(7), None);
    sfu.command(0, Command::Publish { participant: SPEAKER, track: TrackId(1), publication }).unwrap();
    let Event::Published { participant: SPEAKER, track: TrackId(1), .. } = next() else { panic!() };
    for participant in (1..=LISTENERS).map(ParticipantId) {
        for command in subscribe(participant, mid, Codec::Opus, TrackId(1)) {
            sfu.command(0, command).unwrap();
        }
        slot_added();
    }
    // Commands are executed in order: the answer to this one comes after all previous ones.
    sfu.command(0, Command::AddSlot { participant: SPEAKER, mid, codec: Codec::Opus }).unwrap();
    slot_added();

    for burst in 0..BURSTS {
        for seq in burst * BURST..(burst + 1) * BURST {
            clients[0].speak(7, seq, &[0xee; 1_000]);
        }
        let heard = usize::from((burst + 1) * BURST);
        run_until(&mut clients, |clients| clients[1..].iter().all(|client| client.rtp.len() == heard));
    }
    let forwarded = u64::from(LISTENERS) * u64::from(BURSTS * BURST);
    wait_until(|| {
        let metrics = sfu.metrics(0).unwrap();
        let measured = (metrics.forwarding.count(), metrics.first_media.count());
        (metrics.counters.get(Counter::RtpOut), measured) == (forwarded, (forwarded, u64::from(LISTENERS)))
    });
    let stats = sfu.stats();
    for counter in
        [Counter::DropSend, Counter::DropReceive, Counter::DropForged, Counter::DropUnsealed, Counter::Faults]
    {
        assert_eq!(stats.get(counter), 0, "{}", counter.name());
    }

    let metrics = sfu.metrics(0).unwrap();
    assert!(metrics.forwarding.sum() > Duration::ZERO && metrics.cpu.unwrap() > Duration::ZERO);
    assert!(metrics.receive_buffer > 0 && metrics.send_buffer > 0);
    assert_eq!(sfu.metrics(1), None, "there is one worker");

    // Stopping sends close_notify to all clients.
    drop(sfu);
    run_until(&mut clients, |clients| clients.iter().all(|c| c.transport.state() == ClientState::Closed));
}
