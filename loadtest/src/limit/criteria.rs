//! Criteria for whether a server carries a load.

use serde::{Deserialize, Serialize};

/// A load is carried when loss and latency both stay below these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criteria {
    /// Share of the packets that may be lost.
    pub loss: f64,
    /// 99th percentile of the one-way latency, in microseconds.
    pub p99_us: u64,
}

impl Default for Criteria {
    /// Loss below 0.01 %, p99 below 5 ms.
    fn default() -> Self {
        Self { loss: 0.000_1, p99_us: 5_000 }
    }
}

impl Criteria {
    /// Whether a run met the criteria.
    #[must_use]
    pub fn met_by(&self, loss: f64, p99_us: u64) -> bool {
        loss < self.loss && p99_us < self.p99_us
    }

    /// The criteria that a run did not meet, as text.
    #[must_use]
    pub fn broken_by(&self, loss: f64, p99_us: u64) -> Vec<String> {
        let mut broken = Vec::new();
        // Not `>=`: a loss of NaN is not below the limit either.
        if loss.partial_cmp(&self.loss).is_none_or(|order| order.is_ge()) {
            broken.push(format!("loss {:.4} %, not below {:.4} %", loss * 100.0, self.loss * 100.0));
        }
        if p99_us >= self.p99_us {
            broken.push(format!("p99 {:.2} ms, not below {:.2} ms", p99_us as f64 / 1e3, self.p99_us as f64 / 1e3));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_latency_must_pass() {
        let criteria = Criteria::default();
        assert!(criteria.met_by(0.000_099, 4_999) && criteria.broken_by(0.000_099, 4_999).is_empty());
        for (loss, p99_us, broken) in [(0.000_1, 0, 1), (0.0, 5_000, 1), (0.5, 9_000, 2), (f64::NAN, 0, 1)] {
            assert!(!criteria.met_by(loss, p99_us), "{loss} {p99_us}");
            assert_eq!(criteria.broken_by(loss, p99_us).len(), broken, "{loss} {p99_us}");
        }
    }
}
