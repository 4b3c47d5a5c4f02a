//! Participants of a load: who joins when, what each sends, and both kinds of bots.
//!
//! Light bots share the threads of [`engine`] and speak RTP themselves; canaries are built on the `webrtc` crate.

pub(crate) mod canary;
pub(crate) mod cast;
pub(crate) mod context;
pub(crate) mod engine;
pub(crate) mod feed;
pub(crate) mod frame;
pub(crate) mod frame_receiver;
pub(crate) mod image;
pub(crate) mod light;
pub(crate) mod packet_identity;
pub(crate) mod path;
pub(crate) mod pattern;
pub(crate) mod readiness;
pub(crate) mod receiver;
pub(crate) mod receiver_statistics;
pub(crate) mod rtcp;
pub(crate) mod rtp;
pub(crate) mod running;
pub(crate) mod screen;
pub(crate) mod sender;
pub(crate) mod socket;
pub(crate) mod streams;
