//! A room: commands, clear RTP and RTCP, and time, in any order.
//!
//! Asserts that receivers get only packets of the tracks in their active slots, and of speakers other than themselves,
//! under the SSRCs and payload types of these; that every packet can be sealed, so that no sequence number repeats; that
//! one packet causes a bounded number of packets; and that nothing is due after a tick.

use crate::{
    commands::{self, CODECS},
    packets,
};
use rtc_client::srtp::{Profile, SrtpSealer};
use rtp_wire::{rtcp, rtp::RtpPacket, vp8::Vp8Descriptor};
use sfu::{
    Command, CommandError, Mid, ParticipantId, Room, RoomId, Ssrc, TrackId,
    command::SlotSource,
    congestion::PathState,
    egress::{Egress, TransportKey},
    limits::SENDER_REPORTS,
    media::Codec,
};
use slotmap::SlotMap;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tacet_fuzz::Script;

/// Input: steps, each a command, a packet of a participant, or a pause.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(scene) = script.byte() else { return };
    let mut stage = Stage::new();
    stage.set(scene);
    while let Some(step) = script.byte() {
        if stage.step(step, &mut script).is_none() {
            break;
        }
    }
}

struct Stage {
    now: Instant,
    room: Room,
    out: Outbox,
    receivers: HashMap<ParticipantId, Receiver>,
    tracks: HashMap<TrackId, Track>,
    payloads: Payloads,
}

/// Payloads that participants have sent, as media or RTX, in [`normal`] form.
type Payloads = HashSet<(ParticipantId, Vec<u8>)>;

struct Track {
    owner: ParticipantId,
    codec: Codec,
}

/// A receiver with its SRTP context.
struct Receiver {
    sealer: SrtpSealer,
    slots: Vec<Slot>,
}

struct Slot {
    mid: Mid,
    codec: Codec,
    ssrc: Ssrc,
    rtx: Option<Ssrc>,
    active: bool,
    source: Option<SlotSource>,
    /// Sequence numbers sent in the slot.
    sent: HashSet<u16>,
}

#[derive(Default)]
struct Outbox {
    transports: SlotMap<TransportKey, (ParticipantId, PathState)>,
    sent: Vec<(ParticipantId, Clear)>,
}

enum Clear {
    Rtp(Vec<u8>, Vec<u8>),
    Rtcp(Vec<u8>),
}

impl Outbox {
    fn connect(&mut self, participant: ParticipantId) -> TransportKey {
        self.transports.insert((participant, PathState::default()))
    }

    fn disconnect(&mut self, participant: ParticipantId) {
        self.transports.retain(|_, (owner, _)| *owner != participant);
    }

    fn send(&mut self, to: TransportKey, packet: Clear) {
        let (participant, _) = self.transports.get(to).expect("a transport of a participant in the room");
        self.sent.push((*participant, packet));
    }
}

impl Egress for Outbox {
    fn path(&mut self, of: TransportKey) -> Option<&mut PathState> {
        self.transports.get_mut(of).map(|(_, path)| path)
    }

    fn rtp(&mut self, to: TransportKey, header: &[u8], payload: &[u8]) {
        self.send(to, Clear::Rtp(header.to_vec(), payload.to_vec()));
    }

    fn rtcp(&mut self, to: TransportKey, packet: &[u8]) {
        self.send(to, Clear::Rtcp(packet.to_vec()));
    }
}

impl Stage {
    fn new() -> Self {
        Self {
            now: Instant::now(),
            room: Room::new(RoomId(1)),
            out: Outbox::default(),
            receivers: HashMap::new(),
            tracks: HashMap::new(),
            payloads: Payloads::new(),
        }
    }

    /// Sets up a call: participant 0 publishes a track, and two others have it in a slot.
    fn set(&mut self, scene: u8) {
        let Some(codec) = CODECS.get(usize::from(scene % 8)).copied() else { return };
        let mid = commands::mid(0);
        let (publisher, track) = (ParticipantId(0), TrackId(0));
        for participant in (0..3).map(ParticipantId) {
            self.command(Command::AddParticipant { room: RoomId(1), participant });
        }
        let publication = commands::publication(0, codec, mid, scene >> 3 & 0b11);
        self.command(Command::Publish { participant: publisher, track, publication });
        for participant in (1..3).map(ParticipantId) {
            self.command(Command::AddSlot { participant, mid, codec });
            self.command(Command::ActivateSlot { participant, mid });
            self.command(Command::SetSlot { participant, mid, source: Some(track.into()) });
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        let from = commands::participant(step >> 4);
        match step % 8 {
            0 | 1 => {
                let command = commands::command(script)?;
                self.command(command);
            }
            2..=4 => {
                let (header, payload) = packets::rtp(script)?;
                let packet = [header, payload].concat();
                let packet = if step % 8 == 4 { script.edit(&[&packet]) } else { packet };
                self.note(from, &packet);
                self.room.receive_rtp(self.now, from, &packet, &mut self.out);
                // Otherwise the packet stays queued.
                if step & 8 == 0 {
                    self.room.forward(self.now, &mut self.out);
                }
            }
            5 | 6 => {
                let streams: Vec<Ssrc> = self.receivers.get(&from)?.slots.iter().map(|slot| slot.ssrc).collect();
                let packet = packets::rtcp(script, &streams)?;
                let packet = if step % 8 == 6 { script.edit(&[&packet]) } else { packet };
                self.room.receive_rtcp(self.now, from, &packet, &mut self.out);
                self.assert_bounded();
            }
            _ => {
                self.now += Duration::from_millis(u64::from(script.byte()?) * 8);
                self.room.tick(self.now, &mut self.out);
                assert!(self.room.next_deadline().is_none_or(|at| at > self.now), "a deadline is still due");
            }
        }
        self.deliver();
        Some(())
    }

    fn note(&mut self, from: ParticipantId, packet: &[u8]) {
        let Ok(packet) = RtpPacket::parse(packet) else { return };
        for payload in [packet.payload, packet.payload.get(2..).unwrap_or_default()] {
            self.payloads.extend([false, true].map(|vp8| (from, normal(vp8, payload))));
        }
    }

    fn command(&mut self, command: Command) {
        // A refused command changes nothing, so only success changes the expected output.
        let _ = self.execute(command);
        self.deliver();
        assert!(self.room.is_empty() == self.receivers.is_empty());
    }

    fn execute(&mut self, command: Command) -> Result<(), CommandError> {
        let Self { now, room, out, receivers, tracks, .. } = self;
        match command {
            Command::AddParticipant { participant, .. } => {
                let transport = out.connect(participant);
                room.add_participant(participant, transport).inspect_err(|_| {
                    out.transports.remove(transport);
                })?;
                let sealer = SrtpSealer::new(Profile::Aes128Gcm, &[1; 16], &[2; 12]).expect("a key");
                receivers.insert(participant, Receiver { sealer, slots: Vec::new() });
            }
            Command::Connect { .. } => {}
            Command::Publish { participant, track, publication } => {
                let codec = publication.codec;
                room.publish(*now, participant, track, publication)?;
                tracks.insert(track, Track { owner: participant, codec });
            }
            Command::Unpublish { participant, track } => {
                room.unpublish(participant, track)?;
                tracks.remove(&track);
                empty(receivers, |source| source == track);
            }
            Command::SetMuted { participant, track, muted } => room.set_muted(*now, participant, track, muted)?,
            Command::SetSpeaking { participant, track, speaking } => {
                room.set_speaking(*now, participant, track, speaking)?;
            }
            Command::AddSlot { participant, mid, codec } => {
                let (ssrc, rtx) = room.add_slot(participant, mid, codec)?;
                assert_eq!(rtx.is_some(), codec.entry().rtx_pt.is_some());
                let slot = Slot { mid, codec, ssrc, rtx, active: false, source: None, sent: HashSet::new() };
                receivers.get_mut(&participant).expect("is in the room").slots.push(slot);
            }
            Command::ActivateSlot { participant, mid } => {
                room.activate_slot(*now, participant, mid, out)?;
                slot(receivers, participant, mid).active = true;
            }
            Command::SetSlot { participant, mid, source } => {
                room.set_slot(*now, participant, mid, source, out)?;
                slot(receivers, participant, mid).source = source;
            }
            Command::SetWishes { participant, wishes } => room.set_wishes(*now, participant, &wishes, out)?,
            Command::RemoveParticipant { participant } => {
                room.remove_participant(participant);
                receivers.remove(&participant);
                out.disconnect(participant);
                let of = |track: &Track| track.owner == participant;
                let gone: Vec<_> = tracks.iter().filter(|(_, track)| of(track)).map(|(id, _)| *id).collect();
                tracks.retain(|_, track| !of(track));
                empty(receivers, |source| gone.contains(&source));
            }
            _ => return Err(CommandError::Unsupported),
        }
        Ok(())
    }

    /// Asserts the bounds for one RTCP packet: per participant a few reports per slot, one request per track, and what the
    /// participant requested itself.
    fn assert_bounded(&self) {
        for (to, receiver) in &self.receivers {
            let tracks = self.tracks.values().filter(|track| track.owner == *to).count();
            let is_report = |clear: &Clear| matches!(clear, Clear::Rtcp(_));
            let reports = self.out.sent.iter().filter(|(receiver, clear)| receiver == to && is_report(clear)).count();
            let most = receiver.slots.len() * SENDER_REPORTS as usize + tracks;
            assert!(reports <= most, "one packet causes {reports} reports");
        }
        let bytes: usize = self
            .out
            .sent
            .iter()
            .map(|(_, clear)| match clear {
                Clear::Rtp(header, payload) => header.len() + payload.len(),
                Clear::Rtcp(packet) => packet.len(),
            })
            .sum();
        assert!(bytes < 500_000, "{bytes} bytes for one packet");
    }

    fn deliver(&mut self) {
        while self.room.poll_event().is_some() {}
        for (to, clear) in std::mem::take(&mut self.out.sent) {
            let receiver = self.receivers.get_mut(&to).expect("packets go to participants of the room");
            match clear {
                Clear::Rtp(header, payload) => {
                    receiver.take(to, &self.tracks, &self.payloads, (&header, &payload));
                }
                Clear::Rtcp(packet) => {
                    assert!(rtcp::parse(&packet).count() > 0);
                    receiver.sealer.seal_rtcp(&packet, &mut Vec::new()).expect("RTCP that can be sealed");
                }
            }
        }
    }
}

fn slot(receivers: &mut HashMap<ParticipantId, Receiver>, participant: ParticipantId, mid: Mid) -> &mut Slot {
    let slots = &mut receivers.get_mut(&participant).expect("is in the room").slots;
    slots.iter_mut().find(|slot| slot.mid == mid).expect("was added")
}

/// Removes tracks from all slots.
fn empty(receivers: &mut HashMap<ParticipantId, Receiver>, gone: impl Fn(TrackId) -> bool) {
    for slot in receivers.values_mut().flat_map(|receiver| &mut receiver.slots) {
        slot.source = slot.source.filter(|source| !matches!(source, SlotSource::Track(track) if gone(*track)));
    }
}

/// The publishers whose packets may be in the slot of a participant.
fn publishers(tracks: &HashMap<TrackId, Track>, slot: &Slot, receiver: ParticipantId) -> Vec<ParticipantId> {
    let is_possible = |id: &TrackId, track: &Track| match slot.source {
        Some(SlotSource::Track(source)) => *id == source,
        Some(SlotSource::Speaker(_)) => track.codec == Codec::Opus && track.owner != receiver,
        _ => false,
    };
    let possible = tracks.iter().filter(|(id, track)| is_possible(id, track));
    possible.inspect(|(_, track)| assert_eq!(track.codec, slot.codec)).map(|(_, track)| track.owner).collect()
}

/// Returns the payload with the fields zeroed that forwarding rewrites.
fn normal(vp8: bool, payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    if let Some(descriptor) = Vp8Descriptor::parse(&payload).filter(|_| vp8) {
        descriptor.rewrite(&mut payload, 0, 0);
    }
    payload
}

impl Receiver {
    fn take(
        &mut self,
        receiver: ParticipantId,
        tracks: &HashMap<TrackId, Track>,
        payloads: &Payloads,
        (header, payload): (&[u8], &[u8]),
    ) {
        let whole = [header, payload].concat();
        let packet = RtpPacket::parse(&whole).expect("RTP");
        let is_it = |slot: &&mut Slot| slot.ssrc == packet.ssrc || slot.rtx == Some(packet.ssrc);
        let slot = self.slots.iter_mut().find(is_it).expect("an SSRC of a slot");
        assert!(slot.active, "packets go to active slots");
        let publishers = publishers(tracks, slot, receiver);
        assert!(!publishers.is_empty(), "packets go to slots with a track");
        let codec = slot.codec.entry();
        if packet.ssrc == slot.ssrc {
            assert_eq!(packet.payload_type, codec.pt);
            slot.sent.insert(packet.seq.0);
        } else {
            assert_eq!(Some(packet.payload_type), codec.rtx_pt);
            let original = u16::from_be_bytes(*payload.first_chunk().expect("the original number"));
            assert!(slot.sent.contains(&original), "only sent packets are retransmitted");
        }
        let repeated = if packet.ssrc == slot.ssrc { 0 } else { 2 };
        let payload_of_owner = normal(slot.codec == Codec::Vp8, &packet.payload[repeated..]);
        let is_filler = payload_of_owner.is_empty();
        let is_sent = is_filler
            || publishers.into_iter().any(|publisher| payloads.contains(&(publisher, payload_of_owner.clone())));
        assert!(is_sent, "a payload that the publisher did not send");
        self.sealer.seal_rtp(header, payload, &mut Vec::new()).expect("a packet that can be sealed");
    }
}
