//! The short runs from which a plan learns its costs, and the calls that it sizes.
//!
//! Each run stresses one cost: packets in, audio out, video out, or participants with hardly any media. The last is a
//! meeting in which all send and receive; it is held out and predicted.

use super::workload::{Streams, Workload};
use crate::scenario::{Audio, Scenario, Video, builtins};

/// A run of a survey.
#[derive(Clone, Debug, PartialEq)]
pub struct SurveyRun {
    /// The cost that it stresses.
    pub scenario: Scenario,
    /// Whether it is predicted rather than learned from.
    pub held_out: bool,
}

/// Runs of `seconds` each, the last held out.
#[must_use]
pub fn survey(seconds: f64, seed: u64) -> Vec<SurveyRun> {
    let run = |name: &str, publishers, subscribers, audio: bool, video: bool| Scenario {
        name: name.to_owned(),
        about: String::new(),
        publishers,
        subscribers,
        light: true,
        canaries: 1,
        seconds,
        warmup: 1.0,
        seed,
        audio: audio.then(Audio::default),
        video: video.then(Video::default),
        ..Scenario::default()
    };
    let meeting = Scenario { participants: 6, ..run("meeting of six", 0, 0, true, true) };
    let learned = [
        run("10 voices to 12", 10, 12, true, false),
        run("10 voices to 40", 10, 40, true, false),
        run("1 voice to 100", 1, 100, true, false),
        run("1 video to 8", 1, 8, false, true),
        run("2 videos to 40", 2, 40, false, true),
        run("12 videos to 1", 12, 1, false, true),
    ];
    let runs = learned.into_iter().map(|scenario| SurveyRun { scenario, held_out: false });
    runs.chain([SurveyRun { scenario: meeting, held_out: true }]).collect()
}

/// The calls that a plan sizes: the built-in scenarios that send audio or video.
#[must_use]
pub fn workloads() -> Vec<Workload> {
    let real = builtins().filter(|(scenario, _)| scenario.audio.is_some() || scenario.video.is_some());
    real.map(|(scenario, _)| Workload::of(&scenario)).collect()
}

impl Workload {
    /// A room of a scenario.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let audio = f64::from(u8::from(scenario.audio.is_some()));
        // Encodings smaller than the largest count by their share of its rate.
        let sent = scenario.video.iter().flat_map(Video::sizes).map(|size| size.share).sum();
        let taken = f64::from(u8::from(scenario.video.is_some())) * scenario.taken_share();
        let counts = [scenario.publishers, scenario.subscribers, scenario.participants];
        Self::room(&scenario.name, counts, Streams { audio, video: sent }, Streams { audio, video: taken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survey_is_valid() {
        let runs = survey(2.0, 7);
        assert!(runs.iter().all(|run| run.scenario.check().is_ok() && run.scenario.seconds == 2.0));
        assert_eq!(runs.iter().filter(|run| run.held_out).count(), 1);
    }

    #[test]
    fn builtin_workloads() {
        let workloads = workloads();
        let rooms = workloads.iter().find(|workload| workload.name == "rooms");
        assert_eq!(rooms.map(Workload::participants), Some(4.0), "{workloads:?}");
        let webinar = workloads.iter().find(|workload| workload.name == "webinar").map(|w| w.kinds.clone());
        let webinar = webinar.unwrap_or_default();
        let listeners = webinar.iter().find(|kind| kind.per_room == 1_000.0).map(|kind| kind.receives.video);
        assert!(listeners.is_some_and(|video| (0.5..10.0).contains(&video)), "small tiles: {webinar:?}");
        assert!(webinar.iter().any(|kind| kind.sends.video > 1.0), "simulcast");
        assert!(workloads.iter().all(|workload| workload.name != "packets"));
    }
}
