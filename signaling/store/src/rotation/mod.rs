//! Rotations of all three kinds of keys. Each may be interrupted anywhere: called again, it goes on with what is left.

mod data_key;
mod master;
mod wrap;

pub use self::wrap::is_wrap_rotation_due;
