//! What makes a load impossible.

use super::{Join, Scenario};

/// Why a load cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {must}")]
pub struct ScenarioError {
    /// The field, as in a file.
    pub field: &'static str,
    /// The valid values.
    pub must: String,
}

/// Passes if `holds`.
pub(super) fn check(holds: bool, field: &'static str, must: impl Into<String>) -> Result<(), ScenarioError> {
    if holds { Ok(()) } else { Err(ScenarioError { field, must: must.into() }) }
}

/// Checks a standard deviation of the logarithm of sizes.
pub(super) fn spread(value: f64, field: &'static str) -> Result<(), ScenarioError> {
    check((0.0..=2.0).contains(&value), field, "must be 0 to 2")
}

impl Scenario {
    /// Checks that the values make sense, alone and together.
    ///
    /// # Errors
    /// [`ScenarioError`] names the field.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let time = |value: f64| value.is_finite() && (0.0..=86_400.0).contains(&value);
        check(!self.name.trim().is_empty(), "name", "must not be empty")?;
        check(self.rooms >= 1, "rooms", "must be at least 1")?;
        check(
            self.publishers + self.participants >= 1,
            "publishers",
            "must be at least 1 unless there are participants",
        )?;
        // Canaries are reported apart: with them alone, every other figure would be zero.
        let receives =
            self.subscribers >= 1 || self.participants >= 2 || self.participants == 1 && self.publishers >= 1;
        if self.participants > 0 {
            check(receives, "participants", "must be at least 2 unless others send or receive")?;
        }
        check(receives, "subscribers", "must be at least 1 unless there are participants, which receive as well")?;
        let room = self.room_size() <= Self::MAX_ROOM;
        check(room, "subscribers", format!("and the others of a room must be at most {}", Self::MAX_ROOM))?;
        check(self.bots() <= Self::MAX_BOTS, "rooms", format!("must make at most {} bots", Self::MAX_BOTS))?;
        check(time(self.seconds) && self.seconds > 0.0, "seconds", "must be more than 0 and at most 86400")?;
        check(time(self.warmup), "warmup", "must be 0 to 86400")?;
        let traffic = (self.packets.is_some(), self.audio.is_some() || self.video.is_some());
        check(traffic != (false, false), "packets", "or audio or video must be there: nothing would be sent")?;
        check(traffic != (true, true), "packets", "are for exact comparisons, without audio and video")?;
        let senders = self.publishers + self.participants;
        let slots = self.slots(senders).saturating_add(self.canaries);
        check(
            slots <= Self::SLOTS,
            "participants",
            format!("would need {slots} slots each, servers give {}", Self::SLOTS),
        )?;
        if let Join::Storm { over_s } = self.join {
            check(time(over_s) && over_s <= self.seconds, "join.over_s", "must be 0 to the measured seconds")?;
            check(self.subscribers + self.participants >= 1, "join.when", "has no bots that join: add subscribers")?;
        }
        if let Some(churn) = self.churn {
            check(time(churn.mean_stay_s) && churn.mean_stay_s >= 0.5, "churn.mean_stay_s", "must be 0.5 to 86400")?;
            check(self.join != Join::BeforeMedia, "join.when", "cannot be before-media where people come and go")?;
        }
        self.packets.map_or(Ok(()), |packets| packets.check())?;
        self.audio.map_or(Ok(()), |audio| audio.check())?;
        self.video.map_or(Ok(()), |video| video.check())?;
        let Some(tiles) = &self.tiles else { return Ok(()) };
        check(self.video.is_some_and(|video| video.layers.is_some()), "tiles", "need video.layers")?;
        tiles.check()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Audio, Churn, Layers, Packets, Tiles, Video, good},
        *,
    };

    #[test]
    fn check_names_the_field() {
        assert_eq!(good().check(), Ok(()));
        type Change = fn(&mut Scenario);
        let changes: [(&str, Change); 21] = [
            ("name", |s| s.name.clear()),
            ("rooms", |s| s.rooms = 0),
            ("rooms", |s| s.rooms = 20_000),
            ("publishers", |s| s.publishers = 0),
            ("subscribers", |s| s.subscribers = 0),
            ("participants", |s| (s.publishers, s.subscribers, s.participants) = (0, 0, 1)),
            ("subscribers", |s| s.subscribers = 4_001),
            ("seconds", |s| s.seconds = 0.0),
            ("seconds", |s| s.seconds = f64::NAN),
            ("warmup", |s| s.warmup = -1.0),
            ("packets", |s| s.packets = None),
            ("packets", |s| s.audio = Some(Audio::default())),
            ("participants", |s| s.participants = 300),
            ("tiles", |s| s.tiles = Some(Tiles::default())),
            ("tiles.layouts", |s| {
                s.packets = None;
                s.video = Some(Video { layers: Some(Layers::Simulcast), ..Video::default() });
                s.tiles = Some(Tiles { layouts: vec![vec![]], ..Tiles::default() });
            }),
            ("tiles.page", |s| {
                s.packets = None;
                s.video = Some(Video { layers: Some(Layers::Simulcast), ..Video::default() });
                s.tiles = Some(Tiles { page: 51, ..Tiles::default() });
            }),
            ("join.over_s", |s| s.join = Join::Storm { over_s: 11.0 }),
            ("churn.mean_stay_s", |s| s.churn = Some(Churn { mean_stay_s: 0.0 })),
            ("packets.bytes", |s| s.packets = Some(Packets { bytes: 79, ..Packets::default() })),
            ("packets.burst", |s| s.packets = Some(Packets { burst: 501, ..Packets::default() })),
            ("video.frames_per_second", |s| {
                s.packets = None;
                s.video = Some(Video { frames_per_second: 0, ..Video::default() });
            }),
        ];
        for (field, change) in changes {
            let mut scenario = good();
            change(&mut scenario);
            assert_eq!(scenario.check().map_err(|error| error.field), Err(field));
        }
    }
}
