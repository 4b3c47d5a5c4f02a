//! Figures of a run.

use crate::{
    recording::{Delivery, MediaRecording, Recording},
    scenario::{Scenario, SourceKind, Window},
};

/// A figure of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// What: `utilisation`, or with a place, `up_s_at_40`.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// What never happened within the run, in seconds.
const NEVER: f64 = 99.0;
/// A queue is down when it stays at or below this for [`QUIET`].
const LOW_QUEUE_MS: f64 = 100.0;
const QUIET: f64 = 1.0;
/// The rate is up at this share of what can be had, over [`RATE_WINDOW`].
const UP: f64 = 0.8;
const RATE_WINDOW: f64 = 0.5;
const STEP: f64 = 0.1;
/// An estimate is near the capacity within these shares of it.
const NEAR: (f64, f64) = (0.8, 1.1);

/// The figures of a run, the same names in the same order for each seed.
pub fn scores(scenario: &Scenario, recording: &Recording) -> Vec<Score> {
    let mut scores = Scores::default();
    scores.of_use(scenario, recording);
    scores.of_queue(scenario, recording);
    scores.of_fairness(scenario, recording);
    scores.of_changes(scenario, recording);
    scores.of_starvation(scenario, recording);
    scores.of_windows(scenario, recording);
    scores.of_estimate(scenario, recording);
    scores.of_packets(scenario, recording);
    if scenario.source == SourceKind::Layered {
        scores.of_layers(scenario, recording);
    }
    scores.0
}

/// Bits per second.
fn rate(deliveries: &[Delivery], window: Window) -> f64 {
    let from = deliveries.partition_point(|delivery| delivery.at < window.from);
    let to = deliveries.partition_point(|delivery| delivery.at < window.to);
    let bytes: usize = deliveries.iter().take(to).skip(from).map(|delivery| delivery.bytes).sum();
    bytes as f64 * 8.0 / window.length()
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or_default()
}

#[derive(Default)]
struct Scores(Vec<Score>);

impl Scores {
    fn push(&mut self, name: impl Into<String>, value: f64) {
        self.0.push(Score { name: name.into(), value });
    }

    /// What the calls could use, of the first bottleneck.
    fn of_use(&mut self, scenario: &Scenario, recording: &Recording) {
        let (mut used, mut could, mut downloaded, mut carried) = (0.0, 0.0, 0.0, 0.0);
        for window in &scenario.windows {
            used += recording.media.iter().map(|media| rate(&media.deliveries, *window)).sum::<f64>() * window.length();
            downloaded += recording.tcp.iter().map(|tcp| rate(tcp, *window)).sum::<f64>() * window.length();
            could += scenario.attainable(*window) * window.length();
            carried += scenario.capacity(0, *window) * window.length();
        }
        self.push("utilisation", used / could.max(1.0));
        if !recording.tcp.is_empty() {
            self.push("tcp_share", downloaded / carried.max(1.0));
        }
    }

    fn of_queue(&mut self, scenario: &Scenario, recording: &Recording) {
        let of_window = |window: &Window| {
            let within = recording.queue.iter().filter(|sample| window.covers(sample.at));
            quantile(&mut within.map(|sample| sample.ms).collect::<Vec<_>>(), 0.95)
        };
        self.push("queue_p95_ms", scenario.windows.iter().map(of_window).fold(0.0, f64::max));
    }

    /// Greatest beside least rate, of the calls that send all the time.
    fn of_fairness(&mut self, scenario: &Scenario, recording: &Recording) {
        if scenario.media.len() < 2 {
            return;
        }
        let ratio = |window: &Window| {
            let sends = |at: f64| scenario.media.iter().all(|flow| flow.sends_video(at));
            if !(sends(window.from) && sends(window.to - STEP)) {
                return 1.0;
            }
            let rates: Vec<f64> = recording.media.iter().map(|media| rate(&media.deliveries, *window)).collect();
            rates.iter().copied().fold(0.0, f64::max) / rates.iter().copied().fold(f64::INFINITY, f64::min).max(1.0)
        };
        self.push("ratio", scenario.windows.iter().map(ratio).fold(1.0, f64::max));
    }

    /// After each change of capacity: until 80 % is used, or until the queue is short.
    fn of_changes(&mut self, scenario: &Scenario, recording: &Recording) {
        let (mut up, mut down) = (0.0f64, 0.0f64);
        for (place, (at, capacity)) in scenario.changes.iter().enumerate() {
            let end = scenario.changes.get(place + 1).map_or(scenario.lasts, |(at, _)| *at);
            let before =
                place.checked_sub(1).and_then(|place| scenario.changes.get(place)).map_or(0.0, |(_, rate)| *rate);
            if *capacity > before {
                let most: f64 =
                    scenario.media.iter().filter(|flow| flow.active.from <= at + STEP).map(|flow| flow.most()).sum();
                let took = time_up(recording, *at, end, UP * capacity.min(most));
                self.push(format!("up_s_at_{at}"), took);
                up = up.max(took);
            } else {
                let took = time_down(recording, *at, end);
                self.push(format!("down_s_at_{at}"), took);
                down = down.max(took);
            }
        }
        if !scenario.changes.is_empty() {
            self.push("up_s", up);
            self.push("down_s", down);
        }
    }

    /// The longest time below 150 kbit/s while a call could send more, and the least rate of a window.
    fn of_starvation(&mut self, scenario: &Scenario, recording: &Recording) {
        const LITTLE: f64 = 150e3;
        let mut longest = 0.0f64;
        for (flow, media) in scenario.media.iter().zip(&recording.media) {
            let (mut at, mut since) = (flow.active.from + 10.0, None);
            while at + 1.0 < flow.active.to.min(scenario.lasts) {
                let starved =
                    flow.sends_video(at) && rate(&media.deliveries, Window { from: at, to: at + 1.0 }) < LITTLE;
                let begun = *since.get_or_insert(at);
                if starved {
                    longest = longest.max(at + 1.0 - begun);
                } else {
                    since = None;
                }
                at += STEP;
            }
        }
        self.push("starved_s", longest);
    }

    fn of_windows(&mut self, scenario: &Scenario, recording: &Recording) {
        for window in &scenario.windows {
            let label = format!("{}_{}", window.from, window.to);
            let sum: f64 = recording.media.iter().map(|media| rate(&media.deliveries, *window)).sum();
            self.push(format!("rate_kbps_{label}"), sum / 1e3);
            let least =
                recording.media.iter().map(|media| rate(&media.deliveries, *window)).fold(f64::INFINITY, f64::min);
            self.push(format!("least_kbps_{label}"), least / 1e3);
            self.push(format!("share_{label}"), sum / scenario.capacity(0, *window).max(1.0));
            let estimate = recording.media.first().and_then(|media| estimate_at(media, window.to)).unwrap_or_default();
            self.push(format!("estimate_kbps_{label}"), estimate / 1e3);
        }
        for (place, _) in scenario.forward.iter().enumerate().filter(|_| scenario.forward.len() > 1) {
            let through = |window: &Window| {
                let routes =
                    scenario.media.iter().zip(&recording.media).filter(|(flow, _)| flow.route.contains(&place));
                routes.map(|(_, media)| rate(&media.deliveries, *window)).sum::<f64>()
                    / scenario.capacity(place, *window).max(1.0)
            };
            self.push(format!("used_{place}"), scenario.windows.iter().map(through).fold(f64::INFINITY, f64::min));
        }
    }

    /// How much of the time the estimate of a single call is near the capacity.
    fn of_estimate(&mut self, scenario: &Scenario, recording: &Recording) {
        let [media] = recording.media.as_slice() else { return };
        let (mut near, mut all) = (0, 0);
        for window in &scenario.windows {
            let samples = 0..(window.length() / STEP) as u32;
            let capacity = scenario.capacity(0, *window);
            for at in samples.map(|number| window.from + f64::from(number) * STEP) {
                let estimate = estimate_at(media, at).unwrap_or_default();
                near += u32::from((NEAR.0 * capacity..=NEAR.1 * capacity).contains(&estimate));
                all += 1;
            }
        }
        self.push("estimate_near_percent", 100.0 * f64::from(near) / f64::from(all.max(1)));
    }

    fn of_packets(&mut self, scenario: &Scenario, recording: &Recording) {
        let (sent, arrived) =
            recording.media.iter().fold((0, 0), |sum, media| (sum.0 + media.sent, sum.1 + media.arrived));
        self.push("loss_percent", 100.0 * sent.saturating_sub(arrived) as f64 / sent.max(1) as f64);
        let audio = recording.media.iter().fold((0, 0), |sum, media| (sum.0 + media.audio.0, sum.1 + media.audio.1));
        let lost = 100.0 * audio.0.saturating_sub(audio.1) as f64 / audio.0.max(1) as f64;
        self.push("audio_excess_percent", (lost - 100.0 * scenario.path.loss.mean().value()).max(0.0));
        let bytes: u64 = recording.media.iter().map(|media| media.sent_bytes).sum();
        let padding: u64 = recording.media.iter().map(|media| media.padding).sum();
        let repeated: u64 = recording.media.iter().map(|media| media.repeated).sum();
        self.push("padding_percent", 100.0 * padding as f64 / bytes.max(1) as f64);
        self.push("probe_percent", 100.0 * (padding + repeated) as f64 / bytes.max(1) as f64);
    }

    /// Switches of the layer, how many steps up are undone within 20 s, in any 20 s, and how long after the last rise of
    /// capacity the next layer comes.
    fn of_layers(&mut self, scenario: &Scenario, recording: &Recording) {
        let most = recording.media.iter().map(|media| media.switches.len()).max().unwrap_or_default();
        self.push("switches", most as f64);
        let less = scenario.times_with_less();
        let undone = recording.media.iter().map(|media| most_undone(&media.switches, &less)).max().unwrap_or_default();
        self.push("undone_ups_in_20_s", undone as f64);
        let rises = scenario.changes.array_windows().filter(|[before, after]| after.1 > before.1);
        let Some(rise) = rises.map(|[_, after]| after.0).next_back() else { return };
        let next = |media: &MediaRecording| {
            let ups = media.switches.array_windows().filter(|[before, after]| after.1 > before.1 && after.0 > rise);
            ups.map(|[_, after]| after.0 - rise).next().unwrap_or(NEVER)
        };
        self.push("next_layer_s", recording.media.iter().map(next).fold(0.0, f64::max));
    }
}

/// The most steps up within 20 s of each other that a step down follows within the same 20 s, without cause in the network.
fn most_undone(switches: &[(f64, f64)], less: &[f64]) -> usize {
    const TIME: f64 = 20.0;
    let undone = switches.array_windows().filter(|[before, up, down]| {
        let caused = less.iter().any(|at| (up.0..=down.0).contains(at));
        up.1 > before.1 && down.1 < up.1 && down.0 - up.0 < TIME && !caused
    });
    let times: Vec<f64> = undone.map(|[_, up, _]| up.0).collect();
    let of = |from: &f64| times.iter().filter(|at| (*from..*from + TIME).contains(*at)).count();
    times.iter().map(of).max().unwrap_or_default()
}

fn estimate_at(media: &MediaRecording, at: f64) -> Option<f64> {
    let next = media.estimates.partition_point(|(second, _)| *second <= at);
    media.estimates.get(next.checked_sub(1)?).map(|(_, estimate)| *estimate)
}

fn time_up(recording: &Recording, from: f64, end: f64, wanted: f64) -> f64 {
    let mut at = from;
    while at + RATE_WINDOW <= end {
        let window = Window { from: at, to: at + RATE_WINDOW };
        if recording.media.iter().map(|media| rate(&media.deliveries, window)).sum::<f64>() >= wanted {
            return window.to - from;
        }
        at += STEP;
    }
    NEVER
}

fn time_down(recording: &Recording, from: f64, end: f64) -> f64 {
    let mut late = from;
    for sample in recording.queue.iter().filter(|sample| sample.at >= from && sample.at < end) {
        if sample.ms > LOW_QUEUE_MS {
            late = sample.at;
        } else if sample.at - late >= QUIET {
            return late - from;
        }
    }
    if end - late >= QUIET { late - from } else { end - from }
}

impl Scenario {
    /// Mean capacity of a bottleneck, in bits per second.
    fn capacity(&self, place: usize, window: Window) -> f64 {
        let time = |seconds: f64| std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let bytes =
            self.forward.get(place).map_or(0, |line| line.rate.bytes_between(time(window.from), time(window.to)));
        bytes as f64 * 8.0 / window.length()
    }

    /// When there is less for a call: capacity falls, or another call begins or resumes.
    fn times_with_less(&self) -> Vec<f64> {
        let falls = self.changes.array_windows().filter(|[before, after]| after.1 < before.1).map(|[_, after]| after.0);
        let begin = self.media.iter().map(|flow| flow.active.from);
        let resume = self.media.iter().filter_map(|flow| flow.pause).map(|pause| pause.to);
        falls.chain(begin).chain(resume).collect()
    }

    /// What the calls could use at most: the capacity, or all that they want.
    fn attainable(&self, window: Window) -> f64 {
        let wanted = self.media.iter().filter(|flow| flow.sends_video(window.from)).map(|flow| flow.most()).sum();
        self.capacity(0, window).min(wanted)
    }
}
