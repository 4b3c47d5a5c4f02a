//! Criterion benchmarks of tacet's hot paths live in `benches/`; what they share is here.

pub mod calls;
pub mod meeting;
