//! Where everything ends that a peer, or a participant's signaling, could make grow.
//!
//! | from whom | what it could use up | what stops it |
//! |---|---|---|
//! | anybody | HMACs, by checks with a known user name | [`REFUSED_CHECKS`] of a transport, from addresses it has not proven |
//! | anybody | addresses, SSRC windows, memory of any kind | nothing is kept of what was not authenticated |
//! | whoever forges a proven address | a handshake's time and buffers | [`DTLS_DATAGRAMS`], [`DATAGRAM_BYTES`], `dimpl`'s queue of 30 |
//! | an admitted client | packets and bytes of the worker | [`PACKETS`], [`BYTES`], counted once authenticated |
//! | an admitted client | RTCP work | [`RTCP_PACKETS`], [`FEEDBACK_ITEMS`] |
//! | an admitted client | the downlinks of its subscribers, by reports | [`SENDER_REPORTS`] of a track |
//! | an admitted client | answers to checks, addresses | [`CHECKS`], [`SOURCES`] |
//! | an admitted client | the uplink of a publisher | key frames and questions are asked once for all, and per round trip |
//! | an admitted client | its own downlink, by repairs | [`REPAIR_RATE`], [`REPAIR_SHARE`] of what arrives there |
//! | an admitted client | stored packets | [`STORE_VIDEO_BYTES`], [`REPAIR_WAIT`] |
//! | a participant's signaling | participants, tracks, slots | [`SfuConfig::max_participants`](crate::SfuConfig), [`ROOM_PARTICIPANTS`], [`TRACKS`], [`SLOTS`] |
//! | a participant's signaling | handshakes that are never finished | [`UNCONNECTED`] a worker, [`CONNECT_TIME`] each |
//! | a participant's signaling | text | [`CREDENTIAL_BYTES`] |
//! | a participant's signaling | commands that wait | [`COMMANDS`], [`COMMANDS_AT_ONCE`] |
//!
//! A command over its limit is refused with [`CommandError::Limit`](crate::CommandError) or `Overloaded`. A datagram over
//! its limit is dropped and counted ([`Counter`](crate::metrics::Counter)); where its sender is known to be at fault,
//! [`Event::LimitExceeded`](crate::Event) says so.

use std::time::Duration;

/// Most participants of a room.
pub const ROOM_PARTICIPANTS: usize = 1_000;
/// Most tracks that one participant publishes.
pub const TRACKS: usize = 8;
/// Most slots of one participant.
pub const SLOTS: usize = 200;

/// Most participants of a worker that have joined and never connected.
pub const UNCONNECTED: usize = 1_000;
/// How long a participant may take from joining to connecting. Its transport has failed then.
pub const CONNECT_TIME: Duration = Duration::from_secs(120);
/// Longest user name fragment or password of a client, in bytes (RFC 8839 section 5.4).
pub const CREDENTIAL_BYTES: usize = 256;

/// Most commands that wait for a worker. Those that take something away are accepted beyond it.
pub const COMMANDS: usize = 10_000;
/// Most commands that a worker carries out before it looks at packets again.
pub const COMMANDS_AT_ONCE: usize = 256;

/// Addresses that one client may prove; then the longest silent one gives way.
pub const SOURCES: usize = 16;
/// Connectivity checks of one client in a second that are answered. Browsers send 20 a second for each pair at first, and
/// one in some seconds later.
pub const CHECKS: u32 = 200;
/// Connectivity checks in a second from addresses that the client has not proven, whose MAC may prove wrong; those that
/// come after are dropped unread. From its proven addresses, checks always get through.
pub const REFUSED_CHECKS: u32 = 50;
/// DTLS datagrams of one client in a second. A handshake takes ten.
pub const DTLS_DATAGRAMS: u32 = 200;
/// Longest datagram of media or DTLS, in bytes: no path on the Internet carries more.
pub const DATAGRAM_BYTES: usize = 2_048;

/// Authenticated packets of one client in a second. A camera in three layers and a screen with sound are 2,000 in a
/// second of key frames.
pub const PACKETS: u32 = 20_000;
/// Authenticated bytes of one client in a second: 200 Mbit/s.
pub const BYTES: u32 = 25_000_000;
/// Authenticated RTCP packets of one client in a second. A browser with 25 videos on a bad line asks 50 times a second
/// for each.
pub const RTCP_PACKETS: u32 = 2_000;
/// Parts, report blocks and sequence numbers in the RTCP of one client in a second. Feedback on 25 videos names 10,000
/// packets.
pub const FEEDBACK_ITEMS: u32 = 50_000;
/// Sender reports of a track in a second that are passed on to its subscribers. Browsers send one.
pub const SENDER_REPORTS: u32 = 5;
/// SSRCs of one client in each direction.
pub const SSRCS: usize = dtls_srtp::srtp::MAX_SSRCS;

/// How long a missing packet is asked for, and how long a packet is kept to be sent again: receivers wait no longer.
pub const REPAIR_WAIT: Duration = Duration::from_millis(1_000);
/// How long packets before a key frame are still repaired once it has begun: receivers go on with the key frame.
pub const REPAIR_BEFORE_KEY_FRAME: Duration = Duration::from_millis(300);
/// Bytes of payload that are kept of a video track.
pub const STORE_VIDEO_BYTES: usize = 2 << 20;
/// Bytes of payload that are kept of an audio track.
pub const STORE_AUDIO_BYTES: usize = 32 << 10;

/// Repairs to a receiver take at most one in so many of the bytes that arrive there.
pub const REPAIR_SHARE: u64 = 3;
/// Bytes of repairs that a receiver gets at once, whatever arrives: a key frame.
pub const REPAIR_BURST: u64 = 40_000;
/// Bytes of repairs a second: at least, before the receiver has told what arrives, at most.
pub const REPAIR_RATE: RepairRate = RepairRate { least: 4_000, unknown: 125_000, most: 500_000 };

/// Bounds in bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairRate {
    /// Where nothing arrives.
    pub least: u64,
    /// Where nothing is known yet.
    pub unknown: u64,
    /// On the best path.
    pub most: u64,
}

/// How often at most [`Event::LimitExceeded`](crate::Event) is given for one participant.
pub const NOTICE_INTERVAL: Duration = Duration::from_secs(10);
