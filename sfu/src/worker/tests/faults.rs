//! A panic in a room ends that room alone.

use super::*;

#[test]
fn fault_in_room_spares_other_rooms() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.call(2, 3, 4);
    network.worker.fault().in_room(RoomId(1));
    network.send(1, 1);
    network.worker.fault().mend();
    let failed = network.events.iter().find_map(|event| match event {
        Event::RoomFailed { room, participants } => Some((*room, participants.clone())),
        _ => None,
    });
    assert_eq!(failed, Some((RoomId(1), vec![ParticipantId(1), ParticipantId(2)])));
    assert_eq!(network.worker.counters().get(Counter::Faults), 1);
    network.send(3, 1);
    assert_eq!(network.heard(4), 1);
    // Its transports are gone, and the room can be created again.
    network.send(1, 2);
    assert!(network.worker.counters().get(Counter::DropUnknownSource) > 0);
    network.clients.retain(|client| client.participant.0 > 2);
    network.call(1, 5, 6);
    network.send(5, 1);
    assert_eq!(network.heard(6), 1);
}

#[test]
fn fault_in_room_command_spares_other_rooms() {
    let mut network = Network::new();
    network.call(1, 1, 2);
    network.call(2, 3, 4);
    network.worker.fault().in_room(RoomId(2));
    network.command(Command::SetMuted { participant: ParticipantId(3), track: TrackId(3), muted: true });
    network.worker.fault().mend();
    assert!(network.events.iter().any(|event| matches!(event, Event::RoomFailed { room: RoomId(2), .. })));
    network.send(1, 1);
    assert_eq!(network.heard(2), 1);
}
