//! Receives media: assigns packets to slots, opens frames, and passes them on by their authenticated sender.
//!
//! The server says which track it put into a slot. That is a hint for key frame requests and error reports. The sender
//! of a frame is the participant whose key opened it, and the frame is delivered under that name alone, and only if that
//! participant is on the roster.

use super::{
    audio_receiver::HeldAudioFrame,
    event::{ClientEvent, VideoFrame},
    options::kind_of_source,
    packet_loss::PacketLoss,
    session_state::SessionState,
    snapshot::ReceiverStatistics,
    track_sender::source_of_stream,
    video_receiver::{OpenedFrame, Outcome, VideoReceiver},
};
use crate::{keys::SharedKeys, media::IncomingPacket};
use e2ee_frames::{OpenError, Opened};
use std::{collections::BTreeMap, time::Instant};
use tacet_proto::{
    ParticipantId, TrackId,
    media::{Codec, Kind, Slot, SlotContent, SlotSource, Source},
};

/// The slots of a connection, by SSRC.
#[derive(Debug, Default)]
pub(super) struct MediaReceiver {
    slots: BTreeMap<u32, SlotReceiver>,
    opened: u64,
    not_opened: u64,
}

#[derive(Debug)]
struct SlotReceiver {
    mid: String,
    codec: Codec,
    /// The track in the slot, as the server says.
    hint: Option<(ParticipantId, TrackId)>,
    /// `None` for audio, which the session's [`super::audio_receiver::AudioReceiver`] assembles by participant.
    video: Option<VideoReceiver>,
    loss: PacketLoss,
}

impl MediaReceiver {
    /// Adds a slot.
    pub(super) fn add_slot(&mut self, slot: &Slot) {
        let video = (slot.kind == Kind::Video).then(|| VideoReceiver::new(slot.codec));
        let receiver =
            SlotReceiver { mid: slot.mid.clone(), codec: slot.codec, hint: None, video, loss: PacketLoss::default() };
        self.slots.entry(slot.ssrc).or_insert(receiver);
    }

    /// Records which track the server has put into a slot. In the slot of a speaker position the sender changes without notice:
    /// there is no hint.
    pub(super) fn set_slot(&mut self, content: &SlotSource) {
        if let Some(slot) = self.slots.values_mut().find(|slot| slot.mid == content.mid) {
            slot.hint = content.source.and_then(SlotContent::track).map(|source| (source.participant, source.track));
        }
    }

    pub(super) fn on_packet(&mut self, packet: IncomingPacket, keys: &SharedKeys, session: &mut SessionState) {
        let Some(slot) = self.slots.get_mut(&packet.ssrc) else { return };
        slot.loss.on_packet(packet.sequence);
        if let Some(video) = &mut slot.video {
            let IncomingPacket { sequence, timestamp, marker, payload, arrived, .. } = packet;
            video.on_packet(arrived, sequence, timestamp, marker, &payload);
            self.deliver_video(packet.ssrc, arrived, keys, session);
        } else {
            let sealed = packet.payload.to_vec();
            let IncomingPacket { ssrc: slot, sequence, timestamp, arrived, .. } = packet;
            self.deliver_audio(HeldAudioFrame { slot, sequence, timestamp, arrived, sealed }, keys, session);
        }
    }

    /// Tries held frames again after a key of `sender` was installed.
    pub(super) fn key_installed(
        &mut self,
        sender: ParticipantId,
        now: Instant,
        keys: &SharedKeys,
        session: &mut SessionState,
    ) {
        for held in session.audio_mut().take_held(now) {
            self.deliver_audio(held, keys, session);
        }
        for slot in self.slots.values_mut().filter(|slot| slot.hint.is_some_and(|(hinted, _)| hinted == sender)) {
            if let Some(video) = &mut slot.video {
                video.key_installed();
            }
        }
        self.on_tick(now, keys, session);
    }

    /// Stops waiting for packets and keys that are overdue.
    pub(super) fn on_tick(&mut self, now: Instant, keys: &SharedKeys, session: &mut SessionState) {
        for ssrc in self.slots.keys().copied().collect::<Vec<_>>() {
            self.deliver_video(ssrc, now, keys, session);
        }
    }

    /// SSRCs of the slots for which a key frame should be requested now.
    pub(super) fn slots_needing_key_frame(&mut self, now: Instant) -> Vec<u32> {
        let video = self.slots.iter_mut().filter_map(|(ssrc, slot)| Some((*ssrc, slot.video.as_mut()?)));
        video.filter_map(|(ssrc, video)| video.take_key_frame_request(now).then_some(ssrc)).collect()
    }

    /// SSRC of the slot that shows a track, as the server says.
    pub(super) fn slot_of(&self, track: TrackId) -> Option<u32> {
        let shows = |slot: &SlotReceiver| slot.hint.is_some_and(|(_, shown)| shown == track);
        self.slots.iter().find(|(_, slot)| shows(slot)).map(|(ssrc, _)| *ssrc)
    }

    /// The track in a slot, as the server says.
    pub(super) fn track_in(&self, mid: &str) -> Option<TrackId> {
        let slot = self.slots.values().find(|slot| slot.mid == mid)?;
        slot.hint.map(|(_, track)| track)
    }

    pub(super) fn statistics(&self) -> ReceiverStatistics {
        let losses = || self.slots.values().map(|slot| &slot.loss);
        ReceiverStatistics {
            packets: losses().map(PacketLoss::received).sum(),
            lost: losses().map(PacketLoss::lost).sum(),
            opened: self.opened,
            not_opened: self.not_opened,
        }
    }

    fn deliver_audio(&mut self, mut frame: HeldAudioFrame, keys: &SharedKeys, session: &mut SessionState) {
        match keys.open(e2ee_frames::Codec::Opus, &mut frame.sealed) {
            Err(OpenError::MissingKey) => session.audio_mut().hold(frame),
            Err(error) => self.on_open_error(frame.slot, error, session),
            Ok(opened) => {
                let Some(stream) = self.authenticated_source(&opened, Kind::Audio, session) else { return };
                let Some(audio) = frame.sealed.get(opened.range) else { return };
                match session.audio_mut().on_frame(stream, &frame, audio) {
                    Ok(true) => {
                        let (participant, source) = stream;
                        session.events().emit(ClientEvent::AudioReady { participant, source });
                    }
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "cannot make an audio decoder for a participant"),
                }
            }
        }
    }

    fn deliver_video(&mut self, ssrc: u32, now: Instant, keys: &SharedKeys, session: &mut SessionState) {
        loop {
            let Some(slot) = self.slots.get_mut(&ssrc) else { return };
            let (Some(video), codec) = (&mut slot.video, slot.codec) else { return };
            let open = &mut |frame: &mut [u8]| keys.open(codec, frame);
            match video.next(now, open) {
                None => return,
                Some(Outcome::NotOpened(error)) => self.on_open_error(ssrc, error, session),
                Some(Outcome::Frame(OpenedFrame { opened, key, timestamp, data })) => {
                    let Some((participant, source)) = self.authenticated_source(&opened, Kind::Video, session) else {
                        continue;
                    };
                    let frame = VideoFrame { participant, source, codec, key, timestamp, data };
                    if !session.events().push_video(frame)
                        && let Some(video) = self.slots.get_mut(&ssrc).and_then(|slot| slot.video.as_mut())
                    {
                        video.require_key_frame();
                    }
                }
            }
        }
    }

    /// Sender and source of an opened frame; `None` if the sender is not on the roster, or the stream is none of a track or
    /// of another kind. Such a frame is dropped as one that did not open.
    fn authenticated_source(
        &mut self,
        opened: &Opened,
        kind: Kind,
        session: &mut SessionState,
    ) -> Option<(ParticipantId, Source)> {
        let participant = opened.participant;
        let source = source_of_stream(opened.stream).filter(|source| kind_of_source(*source) == kind);
        let Some(source) = source.filter(|_| session.roster().contains(participant)) else {
            self.not_opened += 1;
            return None;
        };
        self.opened += 1;
        session.frame_opened(participant);
        Some((participant, source))
    }

    fn on_open_error(&mut self, ssrc: u32, error: OpenError, session: &mut SessionState) {
        self.not_opened += 1;
        // A late duplicate, or a late frame of a participant who left, says nothing about those who are here.
        if !matches!(error, OpenError::NotAuthentic | OpenError::Malformed) {
            return;
        }
        if let Some((hinted, _)) = self.slots.get(&ssrc).and_then(|slot| slot.hint) {
            session.frame_rejected(hinted);
        }
    }
}
