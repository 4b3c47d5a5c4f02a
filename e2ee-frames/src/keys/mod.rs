//! Who is in the call and which keys they use: announces, key batches, the key schedule, the roster.
//!
//! Bytes and state only; what happens when is decided by [`crate::session`].

pub(crate) mod announce;
pub(crate) mod batch;
pub(crate) mod call_code;
pub(crate) mod display;
pub(crate) mod identity;
pub(crate) mod invite;
pub(crate) mod receiver;
pub(crate) mod roster;
pub(crate) mod schedule;
pub(crate) mod sender;
