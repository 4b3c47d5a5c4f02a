//! Subscribers that vanish without close_notify, or stop reading, neither delay nor lose packets of the others.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rtc_client::ClientState;
use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Sfu, SfuConfig, SocketIo, Ssrc, TrackId, command::Publication,
    media::Codec, metrics::Counter,
};
use sfu_testing::{LoopbackClient, PATIENCE, run_until, subscribe, wait_until};
use std::sync::mpsc;

const LISTENERS: u32 = 12;
const BURSTS: u16 = 100;
const BURST: u16 = 8;

#[test]
fn dead_subscribers_do_not_affect_others() {
    call(SocketIo::Batched);
}

#[test]
fn dead_subscribers_do_not_affect_others_with_plain_io() {
    call(SocketIo::Plain);
}

fn call(io: SocketIo) {
    let (events, inbox) = mpsc::channel();
    let config = SfuConfig { io, ..SfuConfig::default() };
    let sfu = Sfu::start(&config, move |_, event| events.send(event).unwrap_or_default()).unwrap();
    let mid = Mid::new("a0").unwrap();
    let mut clients = Vec::new();
    let command = |command| sfu.command(0, command).unwrap();
    for participant in (0..=LISTENERS).map(ParticipantId) {
        command(Command::AddParticipant { room: RoomId(1), participant });
        let Event::Transport { local, .. } = inbox.recv_timeout(PATIENCE).unwrap() else { panic!() };
        let client = LoopbackClient::new(&local);
        command(Command::Connect { participant, remote: client.transport.local().into() });
        clients.push(client);
    }
    run_until(&mut clients, |clients| clients.iter().all(|c| c.transport.state() == ClientState::Connected));
    let publication = Publication::single(Codec::Opus, mid, Ssrc(7), None);
    command(Command::Publish { participant: ParticipantId(0), track: TrackId(1), publication });
    for participant in (1..=LISTENERS).map(ParticipantId) {
        subscribe(participant, mid, Codec::Opus, TrackId(1)).into_iter().for_each(command);
    }
    let slot_added = || while !matches!(inbox.recv_timeout(PATIENCE).unwrap(), Event::SlotAdded { .. }) {};
    (0..LISTENERS).for_each(|_| slot_added());
    // Commands are executed in order: the answer to this one comes after all previous ones.
    command(Command::AddSlot { participant: ParticipantId(0), mid, codec: Codec::Opus });
    slot_added();

    // One third has closed its socket, to which the kernel answers by ICMP; one third stops reading.
    let (mut alive, mut asleep) = (Vec::new(), Vec::new());
    for (number, client) in clients.into_iter().enumerate() {
        match number % 3 {
            1 => drop(client),
            2 => asleep.push(client),
            _ => alive.push(client),
        }
    }
    for burst in 0..BURSTS {
        for seq in burst * BURST..(burst + 1) * BURST {
            alive[0].speak(7, seq, &[0xee; 1_000]);
        }
        let heard = usize::from((burst + 1) * BURST);
        run_until(&mut alive, |clients| clients[1..].iter().all(|client| client.rtp.len() == heard));
    }
    wait_until(|| sfu.stats().get(Counter::RtpOut) == u64::from(LISTENERS) * u64::from(BURSTS * BURST));
    let stats = sfu.stats();
    assert_eq!((stats.get(Counter::DropSend), stats.get(Counter::Faults)), (0, 0));
}
