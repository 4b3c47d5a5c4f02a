//! The control plane of tacet: WebSocket and HTTP, rooms, access, limits.
