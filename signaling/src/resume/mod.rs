//! How a client that comes back proves which session was its own.

pub mod keys;

pub use keys::{ResumeKey, ResumeKeys};
