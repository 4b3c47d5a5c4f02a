//! Sessions against each other, over a server that is played by the test.

mod attacks;
mod bare_frames;
mod call;
mod call_code;
mod end;
#[cfg(feature = "external-cipher")]
mod external;
mod keys;
mod simulation;
mod world;
