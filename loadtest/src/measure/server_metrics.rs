//! CPU and memory of a server that is not our child, from its metrics in the Prometheus text format. Values that
//! they lack stay unknown.

use crate::measure::{server_load::ServerLoad, server_process::Usage};
use tacet_native::{
    http::{self, HttpError, Request},
    link::{LinkError, Origin},
    tls::Trust,
};

/// URL of a server's metrics: `http://HOST[:PORT]/PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsUrl {
    origin: Origin,
    path: String,
}

impl std::str::FromStr for MetricsUrl {
    type Err = LinkError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let host = url.find("://").ok_or(LinkError::Scheme)? + 3;
        let slash = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| host + at);
        let (origin, path) = url.split_at_checked(slash).ok_or(LinkError::Host)?;
        let path = if path.is_empty() { "/metrics" } else { path };
        Ok(Self { origin: origin.parse()?, path: path.to_owned() })
    }
}

/// Why metrics could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The request.
    #[error("metrics: {0}")]
    Http(#[from] HttpError),
    /// The answer.
    #[error("metrics: HTTP status {0}")]
    Status(u16),
}

/// Metrics of a server's process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProcessMetrics {
    /// `process_cpu_seconds_total`.
    pub(crate) cpu_s: Option<f64>,
    /// `process_resident_memory_bytes`.
    pub(crate) rss_bytes: Option<f64>,
}

impl MetricsUrl {
    /// Requests the metrics. Blocks until the response arrives.
    pub(crate) fn read(&self, trust: Trust) -> Result<ProcessMetrics, MetricsError> {
        Ok(ProcessMetrics::parse(&self.text(trust)?))
    }

    /// The same, of the server's load; `None` if it says nothing of it.
    pub(crate) fn read_load(&self, trust: Trust) -> Result<Option<ServerLoad>, MetricsError> {
        Ok(ServerLoad::parse(&self.text(trust)?))
    }

    fn text(&self, trust: Trust) -> Result<String, MetricsError> {
        let request = Request { method: "GET", path: &self.path, bearer: None, body: "" };
        let (status, text) = http::request(&self.origin, trust, &request)?;
        if status == 200 { Ok(text) } else { Err(MetricsError::Status(status)) }
    }
}

impl ProcessMetrics {
    /// Reads the two metrics; series with labels are summed up.
    fn parse(text: &str) -> Self {
        let sum = |name: &str| {
            let values = text.lines().filter_map(|line| {
                let rest = line.strip_prefix(name)?;
                // The name ends here, and labels hold no closing brace of their own behind the last one.
                let value = match rest.strip_prefix('{') {
                    Some(labels) => labels.rsplit_once('}')?.1,
                    None => rest.strip_prefix([' ', '\t'])?,
                };
                value.split_whitespace().next()?.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)
            });
            values.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
        };
        Self { cpu_s: sum("process_cpu_seconds_total"), rss_bytes: sum("process_resident_memory_bytes") }
    }
}

/// Usage of a server's process: complete for a child, as far as its metrics go for another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ServerUsage {
    pub(crate) cpu_ns: Option<f64>,
    pub(crate) rss_bytes: Option<u64>,
    /// Time that its threads waited for a core.
    pub(crate) waited_ns: Option<u64>,
}

impl From<Usage> for ServerUsage {
    fn from(usage: Usage) -> Self {
        Self { cpu_ns: Some(usage.cpu_ns as f64), rss_bytes: Some(usage.rss_bytes), waited_ns: Some(usage.waited_ns) }
    }
}

impl From<ProcessMetrics> for ServerUsage {
    fn from(said: ProcessMetrics) -> Self {
        Self {
            cpu_ns: said.cpu_s.map(|seconds| seconds * 1e9),
            rss_bytes: said.rss_bytes.map(|bytes| bytes as u64),
            waited_ns: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parse_sums_labelled_series() {
        let text = "# HELP process_cpu_seconds_total Total\n# TYPE process_cpu_seconds_total counter\n\
                    process_cpu_seconds_total 12.5\nprocess_cpu_seconds_total_other 9\n\
                    process_resident_memory_bytes{node=\"a}\"} 1.5e+06 1700000000\n\
                    process_resident_memory_bytes{node=\"b\"} 500000\n";
        assert_eq!(ProcessMetrics::parse(text), ProcessMetrics { cpu_s: Some(12.5), rss_bytes: Some(2_000_000.0) });
    }

    #[test]
    fn missing_metrics_are_unknown() {
        for text in ["", "process_cpu_seconds_total", "process_cpu_seconds_total NaN", "process_cpu_seconds_total{x 1"]
        {
            assert_eq!(ProcessMetrics::parse(text), ProcessMetrics::default(), "{text:?}");
        }
    }

    #[test]
    fn url_path_defaults_to_metrics() {
        let path = |url: &str| url.parse::<MetricsUrl>().map(|url| url.path);
        assert_eq!(path("http://127.0.0.1:9100"), Ok("/metrics".to_owned()));
        assert_eq!(path("http://127.0.0.1:9100/m?x=1"), Ok("/m?x=1".to_owned()));
        assert!(path("127.0.0.1:9100").is_err() && path("http:///x").is_err());
    }
}
