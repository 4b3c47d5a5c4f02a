//! C ABI and wasm exports of `e2ee-frames`.
