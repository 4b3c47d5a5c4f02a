//! Single-packet frames.

use super::{
    Scenario,
    check::{ScenarioError, check},
};
use crate::bots::frame::MAX_PAYLOAD_BYTES;
use serde::{Deserialize, Serialize};

/// Single-packet frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Packets {
    /// Packets a second of each publisher.
    pub per_second: u32,
    /// Bytes of RTP payload, about: the SFrame header grows with the counter.
    pub bytes: usize,
    /// Packets sent at once.
    pub burst: u32,
}

impl Default for Packets {
    fn default() -> Self {
        Self { per_second: 500, bytes: 1_100, burst: 1 }
    }
}

impl Packets {
    /// Checks the values.
    ///
    /// # Errors
    /// [`ScenarioError`] names the field.
    pub(super) fn check(&self) -> Result<(), ScenarioError> {
        check((1..=20_000).contains(&self.per_second), "packets.per_second", "must be 1 to 20000")?;
        let burst = self.burst >= 1 && self.burst <= self.per_second;
        check(burst, "packets.burst", "must be 1 to the packets a second")?;
        let size = (Scenario::MIN_BYTES..=MAX_PAYLOAD_BYTES).contains(&self.bytes);
        check(size, "packets.bytes", format!("must be {} to {MAX_PAYLOAD_BYTES}", Scenario::MIN_BYTES))
    }
}
