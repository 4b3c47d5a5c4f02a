//! What a load should send and deliver.

use super::{Scenario, Tiles, Video};
use crate::bots::frame::MAX_PAYLOAD_BYTES;

impl Scenario {
    /// Share of the largest encoding's rate that a receiver takes of one camera, on average.
    pub(crate) fn taken_share(&self) -> f64 {
        let Some((video, tiles)) = self.video.filter(|video| video.layers.is_some()).zip(self.tiles.as_ref()) else {
            return 1.0;
        };
        let senders = self.publishers + self.participants;
        let shown = if tiles.page == 0 { senders } else { senders.min(tiles.page) };
        let of_height = |height: u16| {
            let fits = video.sizes().find(|size| size.height.is_none_or(|of| of >= height));
            fits.map_or(1.0, |size| size.share)
        };
        let of_layout = |layout: &[u16]| (0..shown).map(|tile| of_height(Tiles::height(layout, tile))).sum::<f64>();
        let sum: f64 = tiles.layouts.iter().map(|layout| of_layout(layout)).sum();
        sum / (tiles.layouts.len() * senders).max(1) as f64
    }

    /// Packets a second of one sending bot, and mean bytes of RTP payload of a packet, as planned.
    #[must_use]
    pub fn planned_rate(&self) -> (f64, f64) {
        let (mut packets, mut bytes) = (0.0, 0.0);
        let mut add = |per_second: f64, size: f64| {
            packets += per_second;
            bytes += per_second * size;
        };
        if let Some(single) = self.packets {
            add(f64::from(single.per_second), single.bytes as f64);
        }
        if let Some(audio) = self.audio {
            let share = audio.speaking_share(self.publishers + self.participants);
            let silent = if audio.dtx { 2.5 } else { 50.0 };
            add(50.0 * share, audio.bytes as f64 + 25.0);
            add(silent * (1.0 - share), audio.silent_bytes as f64 + 25.0);
        }
        for (video, size) in self.video.iter().flat_map(|video| video.sizes().map(move |of| (video, of))) {
            let frames = f64::from(video.frames_per_second);
            let frame = f64::from(video.kilobits_per_second) * 125.0 * size.share / frames;
            // On average half of the last packet is empty.
            let of_frame = (frame / MAX_PAYLOAD_BYTES as f64 + 0.5).max(1.0);
            add(frames * of_frame, frame / of_frame);
        }
        (packets, if packets > 0.0 { bytes / packets } else { 0.0 })
    }

    /// Packets that the receiving bots of all rooms should get in the measured time, as planned: those of canaries are not
    /// counted. Of layers, each receiver takes as many as its tiles need.
    #[must_use]
    pub fn planned_deliveries(&self) -> f64 {
        let video = self.video.map(|video| Video {
            layers: None,
            kilobits_per_second: (f64::from(video.kilobits_per_second) * self.taken_share()).round() as u32,
            ..video
        });
        let (taken, _) = Self { video, ..self.clone() }.planned_rate();
        let Self { publishers, subscribers, participants, .. } = *self;
        let of_publishers = publishers.saturating_mul(subscribers.saturating_add(participants));
        let of_participants = participants.saturating_mul(subscribers.saturating_add(participants.saturating_sub(1)));
        let pairs = self.rooms.saturating_mul(of_publishers.saturating_add(of_participants));
        taken * self.seconds * pairs as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Audio, Layers, good},
        *,
    };

    #[test]
    fn planned_deliveries_count_each_receiver() {
        let deliveries = |publishers, subscribers, participants| {
            let scenario = Scenario { publishers, subscribers, participants, rooms: 2, seconds: 4.0, ..good() };
            scenario.planned_deliveries()
        };
        assert_eq!(deliveries(1, 2, 0), 2.0 * 4.0 * 500.0 * 2.0);
        assert_eq!(deliveries(0, 0, 3), 2.0 * 4.0 * 500.0 * 6.0);
        assert_eq!(deliveries(1, 1, 2), 2.0 * 4.0 * 500.0 * (3.0 + 4.0));
    }

    #[test]
    fn planned_rate_sums_streams() {
        assert_eq!(good().planned_rate(), (500.0, 1_100.0));
        let video = Video { kilobits_per_second: 1_056, layers: Some(Layers::Simulcast), ..Video::default() };
        let call = Scenario { packets: None, audio: Some(Audio::default()), video: Some(video), ..good() };
        let (packets, bytes) = call.planned_rate();
        assert!((240.0..300.0).contains(&packets), "{packets}");
        assert!((600.0..1_000.0).contains(&bytes), "{bytes}");
        assert_eq!((call.streams(), call.slots(3), call.slots(50)), (4, 6, 56));
        let paged = Scenario { tiles: Some(Tiles { page: 4, ..Tiles::default() }), ..call };
        assert_eq!(paged.slots(50), 10);
    }

    #[test]
    fn receivers_take_what_their_tiles_need() {
        let video = Video { layers: Some(Layers::Simulcast), kilobits_per_second: 1_700, ..Video::default() };
        let tiles = |layouts| Some(Tiles { layouts, ..Tiles::default() });
        let call = Scenario { packets: None, video: Some(video), publishers: 2, ..good() };
        assert_eq!(call.taken_share(), 1.0);
        let large_and_small = Scenario { tiles: tiles(vec![vec![1_080, 100]]), ..call.clone() };
        assert!((large_and_small.taken_share() - (1_700.0 + 150.0) / 2.0 / 1_700.0).abs() < 1e-9);
        let two_kinds = Scenario { tiles: tiles(vec![vec![720], vec![181]]), ..call };
        assert!((two_kinds.taken_share() - (1_700.0 + 500.0) / 2.0 / 1_700.0).abs() < 1e-9);
    }
}
