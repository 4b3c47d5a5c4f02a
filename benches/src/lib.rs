//! Criterion benchmarks of tacet's hot paths live in `benches/`.
