//! The output of `tacet load --json`: one object that always contains the machine.
//!
//! | done | object |
//! |---|---|
//! | one run | the fields of [`Report`], and `machine` |
//! | several runs | [`Repeated`]: `figures`, `latency_cdf`, `warnings`, `runs` |
//! | several loads | [`Swept`]: `loads`, each as several runs |
//! | search for the limit | the fields of [`LimitReport`](crate::limit::LimitReport) |
//! | plan | the fields of [`Plan`](crate::plan::Plan) |

use crate::{
    plan::{Plan, Point},
    report::Report,
    report::machine::Machine,
    report::repeats::{Repeats, Spread},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A result and the machine of the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured<T> {
    /// The machine and the build.
    #[serde(default)]
    pub machine: Machine,
    /// The result; its fields are flattened.
    #[serde(flatten)]
    pub result: T,
}

/// Several runs of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// Each figure that every run measured, by its path in a report: median, smallest and largest of the runs.
    pub figures: BTreeMap<String, Spread>,
    /// The latencies of all runs together, as in a report.
    pub latency_cdf: Vec<(u64, f64)>,
    /// Reasons to doubt the numbers; empty if there are none.
    pub warnings: Vec<String>,
    /// The runs, in order.
    pub runs: Vec<Report>,
}

/// Several loads, each with its runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    /// In the order given.
    pub loads: Vec<Repeated>,
}

/// Why a file is not a result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not the output of `--json`.
    #[error("this is not what `tacet load --json` prints: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON of something else.
    #[error("there is no report in it, nor runs, loads or points")]
    Nothing,
    /// A result without the server's CPU.
    #[error("the server's CPU was not measured in it")]
    NoCpu,
}

impl From<&Repeats> for Repeated {
    fn from(repeats: &Repeats) -> Self {
        Self {
            figures: repeats.figures().map(|(figure, spread)| (figure.name.to_owned(), spread)).collect(),
            latency_cdf: repeats.latencies().cdf(crate::report::html::CDF_POINTS),
            warnings: repeats.warnings(),
            runs: repeats.runs().to_vec(),
        }
    }
}

/// The points that a printed result holds, for a plan: those of a plan, or one of each run.
///
/// # Errors
/// [`ReadError`] when the text is no result, or none with the server's CPU.
pub fn points(text: &str, name: &str) -> Result<Vec<Point>, ReadError> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    if value.get("points").is_some() {
        return Ok(serde_json::from_value::<Measured<Plan>>(value)?.result.points);
    }
    let runs = if value.get("loads").is_some() {
        let swept = serde_json::from_value::<Measured<Swept>>(value)?.result;
        swept.loads.into_iter().flat_map(|load| load.runs).collect()
    } else if value.get("runs").is_some() {
        serde_json::from_value::<Measured<Repeated>>(value)?.result.runs
    } else if value.get("forwarded_pps").is_some() {
        vec![serde_json::from_value::<Measured<Report>>(value)?.result]
    } else {
        return Err(ReadError::Nothing);
    };
    let points: Option<Vec<Point>> =
        runs.iter().enumerate().map(|(n, run)| Point::of(&format!("{name}, run {}", n + 1), run)).collect();
    points.filter(|points| !points.is_empty()).ok_or(ReadError::NoCpu)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn run(pps: f64) -> Report {
        Report {
            forwarded_pps: pps,
            server_cpu: Some(0.1),
            latency_cdf: vec![(10, 0.5), (20, 1.0)],
            ..Report::default()
        }
    }

    fn printed<T: Serialize>(result: T) -> String {
        serde_json::to_string(&Measured { machine: Machine::this(), result }).unwrap()
    }

    #[test]
    fn single_run_is_flat() {
        let text = printed(run(1_000.0));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["forwarded_pps"], 1_000.0);
        assert!(value["machine"]["cores"].is_number() && value.get("runs").is_none());
        let read: Measured<Report> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.result, run(1_000.0));
    }

    #[test]
    fn repeated_runs_have_spread() {
        let repeats = Repeats::new(vec![run(1_000.0), run(1_100.0), run(900.0)]);
        let text = printed(Repeated::from(&repeats));
        let read: Measured<Repeated> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.result.figures["forwarded_pps"].median, 1_000.0);
        assert_eq!(read.result.runs.len(), 3);
    }

    #[test]
    fn points_of_every_result_with_cpu() {
        let repeats = Repeats::new(vec![run(1.0), run(2.0)]);
        let swept = Swept { loads: vec![Repeated::from(&repeats), Repeated::from(&repeats)] };
        for (text, count) in [(printed(run(1.0)), 1), (printed(Repeated::from(&repeats)), 2), (printed(swept), 4)] {
            assert_eq!(points(&text, "a file").unwrap().len(), count, "{text}");
        }
        let remote = printed(Report { server_cpu: None, ..run(1.0) });
        assert!(matches!(points(&remote, "a file"), Err(ReadError::NoCpu)));
        for text in ["", "{\"runs\": 1}", "{\"points\": [{}]}"] {
            assert!(matches!(points(text, "a file"), Err(ReadError::Json(_))), "{text}");
        }
        assert!(matches!(points("[]", "a file"), Err(ReadError::Nothing)));
    }
}
