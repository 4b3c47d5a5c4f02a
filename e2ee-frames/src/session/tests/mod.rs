//! Sessions against each other, over a server that is played by the test.

mod attacks;
mod call;
mod end;
#[cfg(feature = "external-cipher")]
mod external;
mod keys;
mod simulation;
mod world;
