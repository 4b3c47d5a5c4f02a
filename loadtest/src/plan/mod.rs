//! How many participants a server carries, from what a packet and a participant cost it; `--plan`.
//!
//! ```text
//!   short runs ──► Point ──► least squares ──► UnitCosts ──► Prediction of a run that was held out
//!   or a file                                     │
//!   assumptions, workloads ───────────────────────┴──► participants per core and per link, machines for many at once
//! ```
//! The model: a server's CPU is a sum of packets in, packets out and participants, each at a fixed price. Whether
//! that holds is shown, not claimed: at least one run takes no part in finding the prices, and is predicted.

mod cost;
mod fit;
mod point;
mod size;
mod survey;
mod workload;

pub use cost::{Load, MemoryCosts, Prediction, UnitCosts};
pub use fit::FitError;
pub use point::{Point, StreamRate};
pub use size::{Assumptions, Bottleneck, KindSize, MachineSize, Total, WIRE_BYTES_PER_PACKET, WorkloadSize};
pub use survey::{SurveyRun, survey, workloads};
pub use workload::{Kind, Streams, Workload};

use crate::{
    report::figures::{Unit, grouped},
    report::notes::gathered,
    report::repeats::Spread,
};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// Parameters of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wishes {
    /// Concurrent participants.
    pub participants: f64,
    /// Share of a core that may be used in the mean.
    pub core_use: f64,
    /// Share of a link that may be used in the mean.
    pub link_use: f64,
    /// How long a participant stays, in minutes.
    pub stay_minutes: f64,
    /// The machine.
    pub machine: MachineSize,
}

impl Default for Wishes {
    /// A million at once, each for half an hour; mean use of cores and links is at most 70 %.
    fn default() -> Self {
        Self { participants: 1e6, core_use: 0.7, link_use: 0.7, stay_minutes: 30.0, machine: MachineSize::default() }
    }
}

/// Why a plan could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The measured points.
    #[error("{0}")]
    Fit(#[from] FitError),
    /// No stream of a kind was measured.
    #[error("no measured run had {0}")]
    NoStream(&'static str),
}

/// The plan. The names of the fields are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Cost of a packet and of a participant.
    pub costs: UnitCosts,
    /// Prediction and measurement of each point.
    pub predictions: Vec<Prediction>,
    /// Assumptions, in numbers.
    pub assumptions: Assumptions,
    /// Assumptions, as text.
    pub notes: Vec<String>,
    /// Reasons for doubt; empty when there are none.
    pub warnings: Vec<String>,
    /// Each workload, sized.
    pub workloads: Vec<WorkloadSize>,
    /// The measured points.
    pub points: Vec<Point>,
}

impl Plan {
    /// Error of a prediction from which a plan is doubtful.
    const DOUBTFUL: f64 = 0.25;

    /// Plans from measured points, of which at least one is held out.
    ///
    /// # Errors
    /// [`PlanError`] when the points do not determine what is needed.
    pub fn new(mut points: Vec<Point>, wishes: &Wishes, workloads: &[Workload]) -> Result<Self, PlanError> {
        if !points.iter().any(|point| point.held_out) {
            hold_out_the_middle(&mut points);
        }
        let costs = UnitCosts::of(&points)?;
        let memory = MemoryCosts::of(&points).ok();
        let rate = |of: fn(&Point) -> Option<StreamRate>, name| mean_rate(&points, of).ok_or(PlanError::NoStream(name));
        let joins: Vec<f64> = points.iter().filter_map(|point| point.join_cpu_ms).collect();
        let &Wishes { participants, core_use, link_use, stay_minutes, machine } = wishes;
        let assumptions = Assumptions {
            participants,
            core_use,
            link_use,
            stay_minutes,
            machine,
            audio: rate(|point| point.audio, "audio")?,
            video: rate(|point| point.video, "video")?,
            join_cpu_ms: Spread::of(&joins).map(|spread| spread.median),
            memory,
        };
        let predictions: Vec<_> = points.iter().map(|point| costs.predict(point)).collect();
        let workloads: Vec<_> = workloads.iter().map(|workload| assumptions.size(&costs, workload)).collect();
        let warnings = warnings(&points, &predictions, &assumptions);
        Ok(Self { costs, predictions, assumptions, notes: notes(), warnings, workloads, points })
    }

    /// Predictions of runs from which no costs were taken.
    pub fn held_out(&self) -> impl Iterator<Item = &Prediction> {
        self.predictions.iter().filter(|prediction| prediction.held_out)
    }
}

/// Holds out the point with the median CPU: it is inside the range of the others, where a plan is used.
fn hold_out_the_middle(points: &mut [Point]) {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&one, &other| points[one].cpu.total_cmp(&points[other].cpu));
    if let Some(point) = order.get(order.len() / 2).and_then(|&middle| points.get_mut(middle)) {
        point.held_out = true;
    }
}

/// Mean over the points that had such streams.
fn mean_rate(points: &[Point], of: fn(&Point) -> Option<StreamRate>) -> Option<StreamRate> {
    let rates: Vec<StreamRate> = points.iter().filter_map(of).collect();
    let mean = |of: fn(&StreamRate) -> f64| rates.iter().map(of).sum::<f64>() / rates.len() as f64;
    (!rates.is_empty()).then(|| StreamRate { pps: mean(|rate| rate.pps), bytes_per_s: mean(|rate| rate.bytes_per_s) })
}

fn notes() -> Vec<String> {
    [
        "costs were measured on this machine over loopback, with one worker: other CPUs, real network cards and their \
         interrupts cost otherwise"
            .to_owned(),
        "workers share nothing, so cores add up; a room has one worker, and one that needs more does not fit"
            .to_owned(),
        "everyone receives every stream of the room, one encoding each; silent and small streams are forwarded, too"
            .to_owned(),
        format!(
            "{WIRE_BYTES_PER_PACKET} bytes a packet around its payload on the wire; reports and feedback not counted"
        ),
        "signaling messages are counted from the protocol, each change in its own message: an upper bound".to_owned(),
        "links count out and in apart, and the larger of the two".to_owned(),
    ]
    .into()
}

fn warnings(points: &[Point], predictions: &[Prediction], assumptions: &Assumptions) -> Vec<String> {
    let mut warnings = Vec::new();
    for prediction in predictions.iter().filter(|p| p.held_out && p.error.abs() > Plan::DOUBTFUL) {
        let percent = prediction.error * 100.0;
        warnings.push(format!("the prediction of {} is {percent:+.0} % beside what was measured", prediction.name));
    }
    let limits = points.iter().flat_map(|point| point.limits.iter().map(|limit| (point.name.clone(), limit.as_str())));
    warnings.extend(gathered(limits));
    if assumptions.memory.is_none() {
        warnings.push("memory is not planned: the runs do not tell what a participant and a stream take".to_owned());
    }
    warnings
}

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let UnitCosts { received_packet_us, audio_packet_us, video_packet_us, participant_second_us } = self.costs;
        writeln!(f, "COSTS OF THE SERVER")?;
        writeln!(f, "  packet received              {received_packet_us:>8.2} µs")?;
        writeln!(f, "  audio packet forwarded       {audio_packet_us:>8.2} µs")?;
        writeln!(f, "  video packet forwarded       {video_packet_us:>8.2} µs")?;
        writeln!(f, "  participant, each second     {participant_second_us:>8.2} µs")?;
        let assumed = &self.assumptions;
        if let Some(ms) = assumed.join_cpu_ms {
            writeln!(f, "  join                         {ms:>8.2} ms")?;
        }
        if let Some(memory) = assumed.memory {
            let [participant, stream] =
                [memory.participant_bytes, memory.stream_bytes].map(|bytes| Unit::Bytes.show(bytes));
            writeln!(f, "  memory                       {participant} a participant, {stream} a stream sent")?;
        }
        writeln!(f, "\nPREDICTED AND MEASURED                                   predicted  measured    error")?;
        for Prediction { name, held_out, predicted_cpu, measured_cpu, error } in &self.predictions {
            let (predicted, measured, error) = (predicted_cpu * 100.0, measured_cpu * 100.0, error * 100.0);
            let mark = if *held_out { "held out" } else { "" };
            writeln!(f, "  {name:<44} {mark:<8} {predicted:>9.2} %{measured:>9.2} %{error:>+7.0} %")?;
        }
        writeln!(f, "\nASSUMED")?;
        let rate = |rate: StreamRate| format!("{:.0} packets/s, {:.0} kbit/s", rate.pps, rate.bytes_per_s * 8.0 / 1e3);
        writeln!(f, "  an audio stream: {} · a video stream: {}", rate(assumed.audio), rate(assumed.video))?;
        let MachineSize { cores, gbits, memory_gb } = assumed.machine;
        writeln!(f, "  machine: {cores} cores, {gbits} Gbit/s each way, {memory_gb} GB")?;
        writeln!(
            f,
            "  used in the mean: {:.0} % of a core, {:.0} % of a link · a stay of {} minutes",
            assumed.core_use * 100.0,
            assumed.link_use * 100.0,
            assumed.stay_minutes
        )?;
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        writeln!(f, "\nPARTICIPANTS                                        per core  per 10 Gbit/s    out Mbit/s")?;
        for size in &self.workloads {
            writeln!(f, "  {} ({} in a room)", size.workload, size.room)?;
            for kind in &size.kinds {
                writeln!(
                    f,
                    "    {:<44} {:>9} {:>14} {:>13.2}",
                    format!("{} × {}", kind.per_room, kind.kind),
                    grouped(kind.per_core),
                    grouped(kind.per_10_gbits),
                    kind.out_bits_per_s / 1e6
                )?;
            }
            if size.kinds.len() > 1 {
                let [core, link] = [size.per_core, size.per_10_gbits].map(grouped);
                writeln!(f, "    {:<44} {core:>9} {link:>14}", "all, as mixed")?;
            }
            if !size.room_fits {
                writeln!(f, "    a room takes {:.1} cores: more than its one worker has", size.room_cpu)?;
            }
        }
        writeln!(f, "\n{} AT ONCE", grouped(assumed.participants))?;
        for size in &self.workloads {
            let total = &size.total;
            let memory = total.memory_bytes.map(|bytes| format!(" · {} of memory", Unit::Bytes.show(bytes)));
            let joins = total.join_cores.map(|cores| format!(", {cores:.1} cores for them"));
            writeln!(
                f,
                "  {}: {} cores · {} Gbit/s out, {} in: {} links of 10 Gbit/s{} · {} machines, filled by {}",
                size.workload,
                grouped(total.cores.ceil()),
                grouped(total.out_gbits),
                grouped(total.in_gbits),
                grouped(total.links_10_gbits),
                memory.unwrap_or_default(),
                grouped(total.machines),
                total.bottleneck.name()
            )?;
            writeln!(
                f,
                "    {} joins a second{} · at most {} signaling messages a second",
                grouped(total.joins_per_s),
                joins.unwrap_or_default(),
                grouped(total.signaling_messages_per_s)
            )?;
        }
        for warning in &self.warnings {
            writeln!(f, "note        {warning}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TRUTH: UnitCosts =
        UnitCosts { received_packet_us: 2.0, audio_packet_us: 1.0, video_packet_us: 0.8, participant_second_us: 50.0 };

    /// A run of a server with these costs, on a machine whose CPU time is off by `noise`.
    fn point(name: &str, [received, audio, video, participants, streams]: [f64; 5], noise: f64) -> Point {
        let load = Load { received_pps: received, audio_pps: audio, video_pps: video, participants };
        let stream = |pps: f64| (pps > 0.0).then_some(StreamRate { pps: 50.0, bytes_per_s: 4_000.0 });
        Point {
            name: name.to_owned(),
            received_pps: received,
            audio_pps: audio,
            video_pps: video,
            participants,
            streams,
            cpu: TRUTH.cpu(load) * (1.0 + noise),
            rss_bytes_per_participant: Some(60_000.0 + 1e6 * streams / participants),
            join_cpu_ms: Some(1.5),
            audio: stream(audio),
            video: stream(video),
            ..Point::default()
        }
    }

    fn points(noise: f64) -> Vec<Point> {
        vec![
            point("few hear ten", [500.0, 8_000.0, 0.0, 26.0, 10.0], noise),
            point("many hear ten", [500.0, 30_000.0, 0.0, 70.0, 10.0], -noise),
            point("few see one", [120.0, 0.0, 1_200.0, 11.0, 1.0], noise),
            point("many see one", [120.0, 0.0, 7_200.0, 61.0, 1.0], -noise),
            point("many, little audio", [50.0, 5_000.0, 0.0, 101.0, 1.0], noise),
            point("a call", [1_360.0, 2_800.0, 6_720.0, 8.0, 16.0], 0.0),
        ]
    }

    fn plan(points: Vec<Point>) -> Result<Plan, PlanError> {
        let both = Streams { audio: 1.0, video: 1.0 };
        Plan::new(points, &Wishes::default(), &[Workload::room("call of four", [0, 0, 4], both, both)])
    }

    #[test]
    fn held_out_run_is_predicted() {
        let mut measured = points(0.05);
        measured[5].held_out = true;
        let plan = plan(measured).unwrap();
        let held_out: Vec<_> = plan.held_out().collect();
        assert_eq!(held_out.len(), 1);
        assert!(held_out[0].name == "a call" && held_out[0].error.abs() < 0.2, "{held_out:?}");
        assert_eq!(plan.warnings, Vec::<String>::new());
        let text = plan.to_string();
        for words in ["held out", "1\u{2009}000\u{2009}000 AT ONCE", "call of four", "ASSUMED", "a stream sent"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn one_run_is_held_out() {
        let plan = plan(points(0.0)).unwrap();
        assert_eq!(plan.held_out().count(), 1);
        assert!(plan.held_out().all(|prediction| prediction.error.abs() < 0.01), "{:?}", plan.predictions);
    }

    #[test]
    fn failed_prediction_is_a_warning() {
        let mut measured = points(0.0);
        measured[5].held_out = true;
        measured[5].cpu *= 3.0;
        measured[0].limits.push("the generator sent late".into());
        let warnings = plan(measured).unwrap().warnings;
        assert!(warnings[0].contains("a call") && warnings[1].starts_with("few hear ten: "), "{warnings:?}");
    }

    #[test]
    fn no_plan_without_video() {
        let audio = points(0.0).into_iter().filter(|point| point.video_pps == 0.0).collect();
        assert!(plan(audio).is_err());
        assert!(plan(Vec::new()).is_err());
    }

    #[test]
    fn json_round_trip() {
        let plan = plan(points(0.0)).unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        let read: Plan = serde_json::from_str(&text).unwrap();
        assert_eq!((read.points, read.workloads.len()), (plan.points, 1));
    }
}
