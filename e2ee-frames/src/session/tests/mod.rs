//! Sessions against each other, over a server that is played by the test.

mod attacks;
mod call;
mod checks;
mod churn;
mod downgrade;
mod end;
#[cfg(feature = "external-cipher")]
mod external;
mod keys;
mod limits;
mod world;
