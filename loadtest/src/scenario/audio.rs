//! Audio of one microphone.

use super::check::{ScenarioError, check, spread};
use serde::{Deserialize, Serialize};

/// Opus-like audio: 50 packets a second, of which fewer in silence with `dtx`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Mean bytes of a frame while one speaks.
    pub bytes: usize,
    /// Mean bytes of a frame in pauses.
    pub silent_bytes: usize,
    /// Standard deviation of the logarithm of sizes.
    pub size_spread: f64,
    /// How many have the floor at the same time.
    pub talkers: usize,
    /// Whether a silent microphone sends comfort noise at a low rate, as browsers do, instead of 50 packets a second.
    pub dtx: bool,
}

impl Default for Audio {
    fn default() -> Self {
        Self { bytes: 80, silent_bytes: 30, size_spread: 0.2, talkers: 1, dtx: false }
    }
}

impl Audio {
    /// Share of the time for which one of the microphones sends speech: while it has the floor, in spurts.
    pub(super) fn speaking_share(&self, microphones: usize) -> f64 {
        const SPURTS: f64 = 1.0 / 1.6;
        SPURTS * (self.talkers as f64 / microphones.max(1) as f64).min(1.0)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`ScenarioError`] names the field.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        check((24..=1_000).contains(&self.bytes), "audio.bytes", "must be 24 to 1000")?;
        check((24..=1_000).contains(&self.silent_bytes), "audio.silent_bytes", "must be 24 to 1000")?;
        check(self.talkers >= 1, "audio.talkers", "must be at least 1")?;
        spread(self.size_spread, "audio.size_spread")
    }
}
