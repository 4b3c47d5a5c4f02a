//! CPU cost of a packet and of a participant, fitted to measured points, and predictions from it.

use super::{
    fit::{FitError, fit},
    point::Point,
};
use serde::{Deserialize, Serialize};

/// Unit costs of a server, in microseconds of CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitCosts {
    /// One packet received: read, authenticated, decrypted, stored.
    pub received_packet_us: f64,
    /// One audio packet forwarded to one receiver.
    pub audio_packet_us: f64,
    /// One video packet forwarded to one receiver: larger, and sent in batches.
    pub video_packet_us: f64,
    /// One participant for a second, whatever is sent: checks, reports, feedback.
    pub participant_second_us: f64,
}

/// Memory of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryCosts {
    /// For each participant, in bytes.
    pub participant_bytes: f64,
    /// For each stream that is sent to it, whose last packets it keeps, in bytes.
    pub stream_bytes: f64,
}

/// Packets a second, and participants: what costs CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Packets a second in.
    pub received_pps: f64,
    /// Audio packets a second out.
    pub audio_pps: f64,
    /// Video packets a second out.
    pub video_pps: f64,
    /// Participants.
    pub participants: f64,
}

/// A prediction and the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The point.
    pub name: String,
    /// Whether the costs were found without it.
    pub held_out: bool,
    /// CPU of a core, predicted.
    pub predicted_cpu: f64,
    /// CPU of a core, measured.
    pub measured_cpu: f64,
    /// Predicted less measured, as a share of measured.
    pub error: f64,
}

impl UnitCosts {
    /// Finds costs from all points that are not held out.
    ///
    /// # Errors
    /// [`FitError`] when they do not determine the costs.
    pub fn of(points: &[Point]) -> Result<Self, FitError> {
        let rows: Vec<_> =
            points.iter().filter(|point| !point.held_out).map(|point| (Load::of(point).row(), point.cpu)).collect();
        let [received, audio, video, participant] = fit(&rows)?;
        Ok(Self {
            received_packet_us: received * 1e6,
            audio_packet_us: audio * 1e6,
            video_packet_us: video * 1e6,
            participant_second_us: participant * 1e6,
        })
    }

    /// CPU seconds a second that a load takes.
    #[must_use]
    pub fn cpu(&self, load: Load) -> f64 {
        let Load { received_pps, audio_pps, video_pps, participants } = load;
        (received_pps * self.received_packet_us
            + audio_pps * self.audio_packet_us
            + video_pps * self.video_packet_us
            + participants * self.participant_second_us)
            / 1e6
    }

    /// Predicts a point.
    #[must_use]
    pub fn predict(&self, point: &Point) -> Prediction {
        let predicted_cpu = self.cpu(Load::of(point));
        let error = if point.cpu > 0.0 { predicted_cpu / point.cpu - 1.0 } else { f64::INFINITY };
        let (name, held_out) = (point.name.clone(), point.held_out);
        Prediction { name, held_out, predicted_cpu, measured_cpu: point.cpu, error }
    }
}

impl MemoryCosts {
    /// Fits the memory of a participant and of a stream to the points that measured memory.
    ///
    /// # Errors
    /// [`FitError`] when they do not determine it.
    pub fn of(points: &[Point]) -> Result<Self, FitError> {
        let row = |point: &Point| {
            let bytes = point.rss_bytes_per_participant.filter(|bytes| *bytes > 0.0)?;
            Some(([point.participants, point.streams], bytes * point.participants))
        };
        let rows: Vec<_> = points.iter().filter_map(row).collect();
        let [participant_bytes, stream_bytes] = fit(&rows)?;
        Ok(Self { participant_bytes, stream_bytes })
    }
}

impl Load {
    /// The load of a point.
    #[must_use]
    pub fn of(point: &Point) -> Self {
        let &Point { received_pps, audio_pps, video_pps, participants, .. } = point;
        Self { received_pps, audio_pps, video_pps, participants }
    }

    fn row(self) -> [f64; 4] {
        [self.received_pps, self.audio_pps, self.video_pps, self.participants]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn point(load: [f64; 4], costs: &UnitCosts, held_out: bool) -> Point {
        let [received_pps, audio_pps, video_pps, participants] = load;
        let cpu = costs.cpu(Load { received_pps, audio_pps, video_pps, participants });
        Point { received_pps, audio_pps, video_pps, participants, cpu, held_out, ..Point::default() }
    }

    #[test]
    fn costs_predict_held_out_point() {
        let truth = UnitCosts {
            received_packet_us: 2.5,
            audio_packet_us: 1.2,
            video_packet_us: 0.7,
            participant_second_us: 40.0,
        };
        let loads = [
            [500.0, 16_000.0, 0.0, 42.0],
            [500.0, 4_000.0, 0.0, 18.0],
            [1_000.0, 0.0, 8_000.0, 9.0],
            [1_000.0, 0.0, 32_000.0, 33.0],
            [50.0, 5_000.0, 0.0, 101.0],
        ];
        let mut points: Vec<_> = loads.iter().map(|load| point(*load, &truth, false)).collect();
        // Far from the others, and not shown to the fit.
        points.push(point([3_000.0, 9_000.0, 12_000.0, 20.0], &truth, true));
        let costs = UnitCosts::of(&points).unwrap();
        let prediction = costs.predict(&points[5]);
        assert!(prediction.held_out && prediction.error.abs() < 1e-6, "{prediction:?}");
        assert!((costs.video_packet_us - 0.7).abs() < 1e-6, "{costs:?}");

        let memory = |participants: f64, streams: f64| Point {
            participants,
            streams,
            rss_bytes_per_participant: Some((participants * 50e3 + streams * 1e6) / participants),
            ..Point::default()
        };
        let memory = MemoryCosts::of(&[memory(20.0, 1.0), memory(80.0, 1.0), memory(10.0, 20.0), Point::default()]);
        assert_eq!(
            memory.map(|memory| (memory.participant_bytes.round(), memory.stream_bytes.round())),
            Ok((50e3, 1e6))
        );

        points.retain(|point| point.audio_pps == 0.0);
        assert!(UnitCosts::of(&points).is_err(), "no audio says nothing about audio");
    }
}
