//! Commands: each changes a room or a transport, and is answered or refused by an event.

use super::{SWEEP, Worker, egress::Sealing, rooms::RoomKey};
use crate::{
    command::{Command, CommandError},
    egress::TransportKey,
    event::{Event, LocalTransport},
    ids::{CommandId, ParticipantId, RoomId},
    room::Room,
    transport::ServerTransport,
};
use std::time::Instant;
use tracing::Span;

impl Worker {
    pub(super) fn execute(&mut self, now: Instant, id: CommandId, command: Command) -> Result<(), CommandError> {
        match command {
            Command::AddParticipant { room, participant } => self.add_participant(now, id, room, participant),
            Command::Connect { participant, remote } => {
                let key = self.transports.key_of(participant)?;
                self.transport_step(key, |transport, outbox| transport.connect(now, remote, outbox))
                    .unwrap_or(Err(CommandError::NoParticipant))
            }
            Command::RestartIce { participant } => self.restart_ice(now, id, participant),
            Command::Publish { participant, track, publication } => {
                self.room_command(now, participant, |room, _| room.publish(now, participant, track, publication))?;
                self.events.push_back(Event::Published { command: id, participant, track });
                Ok(())
            }
            Command::Unpublish { participant, track } => {
                self.room_command(now, participant, |room, _| room.unpublish(participant, track))
            }
            Command::SetMuted { participant, track, muted } => {
                self.room_command(now, participant, |room, _| room.set_muted(now, participant, track, muted))
            }
            Command::SetSpeaking { participant, track, speaking } => {
                self.room_command(now, participant, |room, _| room.set_speaking(now, participant, track, speaking))
            }
            Command::AddSlot { participant, mid, codec } => {
                let (ssrc, rtx) =
                    self.room_command(now, participant, |room, _| room.add_slot(participant, mid, codec))?;
                self.events.push_back(Event::SlotAdded { command: id, participant, mid, ssrc, rtx });
                Ok(())
            }
            Command::ActivateSlot { participant, mid } => {
                self.room_command(now, participant, |room, egress| room.activate_slot(now, participant, mid, egress))
            }
            Command::SetSlot { participant, mid, source } => {
                self.room_command(now, participant, |room, egress| room.set_slot(now, participant, mid, source, egress))
            }
            Command::SetWishes { participant, wishes } => {
                self.room_command(now, participant, |room, egress| room.set_wishes(now, participant, &wishes, egress))
            }
            Command::RemoveParticipant { participant } => self.remove_participant(now, participant),
            _ => Err(CommandError::Unsupported),
        }
    }

    fn add_participant(
        &mut self,
        now: Instant,
        id: CommandId,
        room: RoomId,
        participant: ParticipantId,
    ) -> Result<(), CommandError> {
        self.transports.check_new(participant)?;
        let room = self.rooms.enter(room);
        let added = self.add_transport(now, room, participant).and_then(|(transport, local)| {
            self.room_command(now, participant, |room, _| room.add_participant(participant, transport)).map(|()| local)
        });
        match added {
            Ok(local) => {
                self.rooms.joined(room);
                self.next_sweep.get_or_insert(now + SWEEP);
                self.events.push_back(Event::Transport { command: id, participant, local });
                Ok(())
            }
            Err(error) => {
                self.discard(participant);
                self.rooms.remove_if_empty(room);
                Err(error)
            }
        }
    }

    fn add_transport(
        &mut self,
        now: Instant,
        room: RoomKey,
        participant: ParticipantId,
    ) -> Result<(TransportKey, LocalTransport), CommandError> {
        let span = self.rooms.span(room).and_then(Span::id);
        let span = tracing::debug_span!(parent: span, "transport", participant = participant.0);
        let (key, local) = self.transports.add(now, participant, room, span)?;
        self.demux.add(key, &local.ufrag);
        Ok((key, local))
    }

    fn restart_ice(&mut self, now: Instant, id: CommandId, participant: ParticipantId) -> Result<(), CommandError> {
        let key = self.transports.key_of(participant)?;
        let (credentials, local) = self.transports.new_credentials()?;
        let unused = self
            .transport_step(key, |transport, _| transport.restart_ice(now, credentials))
            .unwrap_or(Err(CommandError::NoParticipant))?;
        if let Some(unused) = unused {
            self.demux.remove_ufrag(key, &unused.ufrag);
        }
        self.demux.add(key, &local.ufrag);
        self.events.push_back(Event::Transport { command: id, participant, local });
        Ok(())
    }

    fn remove_participant(&mut self, now: Instant, participant: ParticipantId) -> Result<(), CommandError> {
        let room = self.transports.room_of(participant)?;
        if let Some(mut transport) = self.discard(participant) {
            transport.close(now, &mut self.outbox);
        }
        self.room_step(now, room, None, |room, _| room.remove_participant(participant));
        self.rooms.left(room);
        Ok(())
    }

    /// Removes a transport without sending anything to the client.
    pub(super) fn discard(&mut self, participant: ParticipantId) -> Option<ServerTransport> {
        let (key, transport) = self.transports.remove(participant)?;
        self.demux.remove(key, &transport);
        Some(transport)
    }

    /// Runs a command in the participant's room.
    fn room_command<T>(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        step: impl FnOnce(&mut Room, &mut Sealing<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let key = self.transports.room_of(participant)?;
        self.room_step(now, key, None, step).unwrap_or(Err(CommandError::NoParticipant))
    }
}
