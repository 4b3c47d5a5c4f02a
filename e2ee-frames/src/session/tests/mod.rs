//! Sessions that talk to each other over a server simulated by the test.

mod attacks;
mod bare_frames;
mod call;
mod call_code;
mod chat;
mod checks;
mod connection;
mod deaths;
mod downgrade;
mod end;
#[cfg(feature = "external-cipher")]
mod external;
mod keys;
mod limits;
mod names;
mod rosters;
mod simulation;
mod world;
