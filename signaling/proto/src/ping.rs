//! `ping`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Body of `ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// The sender's clock in milliseconds, repeated in the answer.
    #[ts(type = "number")]
    pub ms: u64,
}
