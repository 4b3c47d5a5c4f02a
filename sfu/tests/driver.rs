//! The driver on loopback sockets: commands become events, and datagrams come back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sfu::{
    Command, CommandError, CommandId, Event, Mid, ParticipantId, Request, RoomId, Sfu, SfuConfig, SocketIo, StartError,
    TrackId, metrics::Counter,
};
use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::mpsc,
    time::Duration,
};

/// Far more than is needed: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn command_is_answered_by_its_worker() {
    answers_commands(SocketIo::Batched);
}

#[test]
fn command_is_answered_with_plain_io() {
    answers_commands(SocketIo::Plain);
}

fn answers_commands(io: SocketIo) {
    let (events, inbox) = mpsc::channel();
    let config = SfuConfig { workers: 2, io, ..SfuConfig::default() };
    let sfu = Sfu::start(&config, move |worker, event| events.send((worker, event)).unwrap_or_default()).unwrap();
    assert_eq!(sfu.workers(), 2);
    let command = Command::AddParticipant { room: RoomId(1), participant: ParticipantId(7) };
    sfu.command(1, Request { id: CommandId(5), command }).unwrap();
    let (worker, event) = inbox.recv_timeout(PATIENCE).unwrap();
    let Event::Transport { command, participant, local } = event else { panic!("{event:?}") };
    assert_eq!((worker, command, participant), (1, CommandId(5), ParticipantId(7)));
    assert_eq!(local.candidates, [(Ipv4Addr::LOCALHOST, sfu.local_ports()[1]).into()]);
}

#[test]
fn command_to_a_missing_worker_is_refused() {
    let sfu = Sfu::start(&SfuConfig::default(), |_, _| ()).unwrap();
    let (participant, mid) = (ParticipantId(7), Mid::new("v0").unwrap());
    let command = Command::SetSlot { participant, mid, source: Some(TrackId(3).into()) };
    let request = Request { id: CommandId(5), command };
    let error = sfu.command(1, request.clone()).unwrap_err();
    assert_eq!(error, CommandError::Unavailable);
    // The embedder may handle it like a refusal by the worker.
    let refused = Event::Refused { command: CommandId(5), participant, error };
    assert_eq!(sfu::net::refusal(&request, error), refused);
}

#[test]
fn datagrams_of_strangers_are_counted_and_not_answered() {
    counts_strangers(SocketIo::Batched);
}

#[test]
fn datagrams_of_strangers_are_counted_with_plain_io() {
    counts_strangers(SocketIo::Plain);
}

fn counts_strangers(io: SocketIo) {
    let sfu = Sfu::start(&SfuConfig { io, ..SfuConfig::default() }, |_, _| ()).unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, sfu.local_ports()[0])).unwrap();
    for datagram in [&[0x80, 96, 0, 0][..], &[0xff; 40], &[22, 254, 253], &[0, 1, 0, 0]] {
        socket.send(datagram).unwrap();
    }
    let sum = |counters: &[Counter]| counters.iter().map(|c| sfu.stats().get(*c)).sum::<u64>();
    while sum(&[Counter::DropMalformed, Counter::DropUnknownSource]) < 4 {
        std::thread::yield_now();
    }
    assert_eq!(sum(&[Counter::DatagramsIn]), 4);
    assert_eq!(sum(&[Counter::DatagramsOut]), 0);
}

#[test]
fn unspecified_address_cannot_be_advertised() {
    let config = SfuConfig { bind: Ipv4Addr::UNSPECIFIED.into(), ..SfuConfig::default() };
    let error = Sfu::start(&config, |_, _| ()).unwrap_err();
    assert!(matches!(error, StartError::NoAdvertisedAddress));
}
