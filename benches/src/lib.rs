//! Support of the Criterion benchmarks of tacet's hot paths, which are in `benches/`.

pub mod calls;
pub mod meeting;
pub mod room_stream;
pub mod webinar;
