//! What arrives: which slot it belongs to, whose it is, and where it goes.
//!
//! The server says which track it put into a slot. That is a hint for reports and nothing more: whose frame it is, its
//! key says, and it is shown under that name and no other, if that participant is on the roster.

use super::{
    event::{ClientEvent, VideoFrame},
    lasting::Lasting,
    options::kind_of_source,
    pictures::{Outcome, Picture, Pictures},
    sending::source_of_stream,
    snapshot::Received,
    sounds::HeldSound,
};
use crate::{keys::SharedKeys, media::IncomingPacket};
use e2ee_frames::{OpenError, Opened};
use std::{collections::BTreeMap, time::Instant};
use tacet_proto::{
    ParticipantId, TrackId,
    media::{Codec, Kind, Slot, SlotSource, Source},
};

/// The slots of a connection, by SSRC.
#[derive(Debug, Default)]
pub(super) struct Reception {
    slots: BTreeMap<u32, Receiving>,
    opened: u64,
    not_opened: u64,
}

#[derive(Debug)]
struct Receiving {
    mid: String,
    codec: Codec,
    /// Whose track it shows, as the server says.
    hinted: Option<(ParticipantId, TrackId)>,
    /// For pictures.
    pictures: Option<Pictures>,
    arrivals: Arrivals,
}

impl Reception {
    /// A new slot.
    pub(super) fn add(&mut self, slot: &Slot) {
        let pictures = (slot.kind == Kind::Video).then(|| Pictures::new(slot.codec));
        let receiving = Receiving {
            mid: slot.mid.clone(),
            codec: slot.codec,
            hinted: None,
            pictures,
            arrivals: Arrivals::default(),
        };
        self.slots.entry(slot.ssrc).or_insert(receiving);
    }

    /// The server has put a track into a slot, or emptied it.
    pub(super) fn set(&mut self, content: &SlotSource) {
        if let Some(slot) = self.slots.values_mut().find(|slot| slot.mid == content.mid) {
            slot.hinted = content.source.map(|source| (source.participant, source.track));
        }
    }

    /// Takes a packet.
    pub(super) fn packet(&mut self, packet: IncomingPacket, keys: &SharedKeys, lasting: &mut Lasting) {
        let Some(slot) = self.slots.get_mut(&packet.ssrc) else { return };
        slot.arrivals.count(packet.sequence);
        if let Some(pictures) = &mut slot.pictures {
            let IncomingPacket { sequence, timestamp, marker, payload, arrived, .. } = packet;
            pictures.packet(arrived, sequence, timestamp, marker, &payload);
            self.show(packet.ssrc, arrived, keys, lasting);
        } else {
            let sealed = packet.payload.to_vec();
            let IncomingPacket { ssrc: slot, sequence, timestamp, arrived, .. } = packet;
            self.hear(HeldSound { slot, sequence, timestamp, arrived, sealed }, keys, lasting);
        }
    }

    /// A key of this participant has come: what was held may open.
    pub(super) fn key_came(&mut self, of: ParticipantId, now: Instant, keys: &SharedKeys, lasting: &mut Lasting) {
        for held in lasting.sounds.release(now) {
            self.hear(held, keys, lasting);
        }
        for slot in self.slots.values_mut().filter(|slot| slot.hinted.is_some_and(|(hinted, _)| hinted == of)) {
            if let Some(pictures) = &mut slot.pictures {
                pictures.key_came();
            }
        }
        self.look(now, keys, lasting);
    }

    /// Gives up what was waited for too long.
    pub(super) fn look(&mut self, now: Instant, keys: &SharedKeys, lasting: &mut Lasting) {
        for ssrc in self.slots.keys().copied().collect::<Vec<_>>() {
            self.show(ssrc, now, keys, lasting);
        }
    }

    /// The slots in which a key frame is needed now.
    pub(super) fn wanted_key_frames(&mut self, now: Instant) -> Vec<u32> {
        let pictures = self.slots.iter_mut().filter_map(|(ssrc, slot)| Some((*ssrc, slot.pictures.as_mut()?)));
        pictures.filter_map(|(ssrc, pictures)| pictures.asks_for_key_frame(now).then_some(ssrc)).collect()
    }

    /// The slot in which the server shows this track.
    pub(super) fn slot_of(&self, track: TrackId) -> Option<u32> {
        let shows = |slot: &Receiving| slot.hinted.is_some_and(|(_, shown)| shown == track);
        self.slots.iter().find(|(_, slot)| shows(slot)).map(|(ssrc, _)| *ssrc)
    }

    pub(super) fn received(&self) -> Received {
        let counts = || self.slots.values().map(|slot| &slot.arrivals);
        Received {
            packets: counts().map(|arrivals| arrivals.received).sum(),
            lost: counts().map(Arrivals::lost).sum(),
            opened: self.opened,
            not_opened: self.not_opened,
        }
    }

    fn hear(&mut self, mut frame: HeldSound, keys: &SharedKeys, lasting: &mut Lasting) {
        match keys.open(e2ee_frames::Codec::Opus, &mut frame.sealed) {
            Err(OpenError::MissingKey) => lasting.sounds.hold(frame),
            Err(error) => self.refused(frame.slot, error, lasting),
            Ok(opened) => {
                let Some(key) = self.belongs(&opened, Kind::Audio, lasting) else { return };
                let Some(sound) = frame.sealed.get(opened.range) else { return };
                match lasting.sounds.frame(key, &frame, sound) {
                    Ok(true) => {
                        let (participant, source) = key;
                        lasting.outlet.event(ClientEvent::AudioReady { participant, source });
                    }
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "no decoder for a participant's sound"),
                }
            }
        }
    }

    fn show(&mut self, ssrc: u32, now: Instant, keys: &SharedKeys, lasting: &mut Lasting) {
        loop {
            let Some(slot) = self.slots.get_mut(&ssrc) else { return };
            let (Some(pictures), codec) = (&mut slot.pictures, slot.codec) else { return };
            let open = &mut |frame: &mut [u8]| keys.open(crate::video::frame_codec(codec), frame);
            match pictures.next(now, open) {
                None => return,
                Some(Outcome::NotOpened(error)) => self.refused(ssrc, error, lasting),
                Some(Outcome::Picture(Picture { opened, key, timestamp, data })) => {
                    let Some((participant, source)) = self.belongs(&opened, Kind::Video, lasting) else { continue };
                    let frame = VideoFrame { participant, source, codec, key, timestamp, data };
                    if !lasting.outlet.picture(frame)
                        && let Some(pictures) = self.slots.get_mut(&ssrc).and_then(|slot| slot.pictures.as_mut())
                    {
                        pictures.break_off();
                    }
                }
            }
        }
    }

    /// Whose frame was opened, if it may be shown.
    fn belongs(&mut self, opened: &Opened, kind: Kind, lasting: &mut Lasting) -> Option<(ParticipantId, Source)> {
        self.opened += 1;
        let participant = ParticipantId(opened.participant.0);
        let source = source_of_stream(opened.stream).filter(|source| kind_of_source(*source) == kind)?;
        let outlet = &lasting.outlet;
        lasting.roster.opens(participant, &mut |event| outlet.event(event));
        lasting.roster.contains(participant).then_some((participant, source))
    }

    fn refused(&mut self, ssrc: u32, error: OpenError, lasting: &mut Lasting) {
        self.not_opened += 1;
        // A late copy, or a late frame of somebody who has gone, says nothing about those who are here.
        if !matches!(error, OpenError::NotAuthentic | OpenError::Malformed) {
            return;
        }
        if let Some((hinted, _)) = self.slots.get(&ssrc).and_then(|slot| slot.hinted) {
            let outlet = &lasting.outlet;
            lasting.roster.does_not_open(hinted, &mut |event| outlet.event(event));
        }
    }
}

/// Packets of a slot by their sequence numbers (RFC 3550 appendix A.3).
#[derive(Debug, Default)]
struct Arrivals {
    received: u64,
    /// First number, and the newest as its distance from it.
    range: Option<(u16, u64)>,
}

impl Arrivals {
    fn count(&mut self, sequence: u16) {
        self.received += 1;
        let (first, distance) = self.range.get_or_insert((sequence, 0));
        let ahead = sequence.wrapping_sub(first.wrapping_add(*distance as u16)) as i16;
        *distance += u64::try_from(ahead).unwrap_or(0);
    }

    fn lost(&self) -> u64 {
        self.range.map_or(0, |(_, distance)| (distance + 1).saturating_sub(self.received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_packets_are_counted_across_the_wrap() {
        let mut arrivals = Arrivals::default();
        for sequence in [65_534u16, 65_535, 2, 1, 5] {
            arrivals.count(sequence);
        }
        assert_eq!((arrivals.received, arrivals.lost()), (5, 3), "0, 3 and 4");
    }
}
