//! Announces, key batches, the key schedule, the roster, and the keys of sender and receivers.
//!
//! Bytes and state only; [`crate::session`] decides what happens when.

pub(crate) mod announce;
pub(crate) mod batch;
pub(crate) mod call_code;
pub(crate) mod display;
pub(crate) mod identity;
pub(crate) mod invite;
pub(crate) mod leaves;
pub(crate) mod receiver;
pub(crate) mod roster;
pub(crate) mod schedule;
pub(crate) mod sender;
pub(crate) mod sender_clock;
