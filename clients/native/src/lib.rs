//! The native client of tacet: signaling, session keys, and media on the `webrtc` crate.
