//! Upper bounds on everything that a peer or its signaling could make grow.
//!
//! | source | resource | bound |
//! |---|---|---|
//! | anyone | HMACs, by connectivity checks with a known username | [`REFUSED_CHECKS`] of a transport, from addresses that have not answered |
//! | anyone | addresses, SSRC windows, memory of any kind | nothing is stored for traffic that was not authenticated |
//! | anyone who forges a proven address | CPU and buffers of a handshake | [`DTLS_DATAGRAMS`], [`DATAGRAM_BYTES`], `dimpl`'s queue of 30 |
//! | an admitted client | packets and bytes of the worker | [`PACKETS`], [`BYTES`], counted after authentication |
//! | an admitted client | RTCP processing | [`RTCP_PACKETS`], [`FEEDBACK_ITEMS`] |
//! | an admitted client | downlinks of its subscribers, by sender reports | [`SENDER_REPORTS`] of an encoding |
//! | an admitted client | answers to connectivity checks, addresses | [`CHECKS`], [`SOURCES`] |
//! | an admitted client | uplink of a publisher | one PLI and NACK for all subscribers, paced by the round trip |
//! | an admitted client | key frames of a publisher | [`KEY_FRAME_BURST`], [`KEY_FRAME_INTERVAL`] for each encoding that it receives |
//! | anyone | an address that has not answered, by a forged source | three times the bytes that came from it |
//! | an admitted client | its own downlink, by retransmissions | [`REPAIR_RATE`], [`REPAIR_SHARE`] of what its path is estimated to carry |
//! | an admitted client | stored packets | [`VIDEO_STORE`], [`REPAIR_WAIT`] |
//! | signaling of a participant | participants, tracks, slots | [`SfuConfig::max_participants`](crate::SfuConfig), [`ROOM_PARTICIPANTS`], [`TRACKS`], [`SLOTS`] |
//! | signaling of a participant | downlink of a receiver, by video | [`SfuConfig::max_video_kbps_per_subscriber`](crate::SfuConfig), where tracks have layers to choose from |
//! | signaling of a participant | unfinished handshakes | [`UNCONNECTED`] a worker, [`CONNECT_TIME`] each |
//! | signaling of a participant | text | [`UFRAG_BYTES`], [`CREDENTIAL_BYTES`] |
//! | signaling of a participant | queued commands | [`COMMANDS`], [`COMMANDS_AT_ONCE`] |
//!
//! A command over its limit is refused with [`CommandError::Limit`](crate::CommandError) or `Overloaded`. A datagram over
//! its limit is dropped and counted ([`Counter`](crate::metrics::Counter)); if its sender is known to be at fault,
//! [`Event::LimitExceeded`](crate::Event) reports it.

use crate::units::{Bitrate, DataSize};
use std::time::Duration;

/// Maximum participants of a room: as many as a worker has by default.
pub const ROOM_PARTICIPANTS: usize = 2_000;
/// Maximum tracks published by one participant.
pub const TRACKS: usize = 8;
/// Maximum slots of one participant.
pub const SLOTS: usize = 200;

/// Maximum participants of a worker that have joined and never connected.
pub const UNCONNECTED: usize = 1_000;
/// Maximum time from joining, or from the last ICE restart, to connecting. After it, the participant's transport has failed.
pub const CONNECT_TIME: Duration = Duration::from_secs(120);
/// Maximum length of a client's username fragment, in bytes: with one of the server it must fit into USERNAME of the server's
/// checks. RFC 8839 section 5.4 permits 256; Chromium has 4, Firefox 8, the `webrtc` crate 16.
pub const UFRAG_BYTES: usize = dtls_srtp::stun::MAX_USERNAME - dtls_srtp::stun::UFRAG_LEN - 1;
/// Maximum length of a client's password, in bytes (RFC 8839 section 5.4).
pub const CREDENTIAL_BYTES: usize = 256;

/// Maximum commands queued for a worker. Commands that remove something are accepted beyond it.
pub const COMMANDS: usize = 10_000;
/// Maximum commands that a worker executes before it looks at packets again.
pub const COMMANDS_AT_ONCE: usize = 256;

/// Maximum addresses that one client sends checks from. A new one replaces the one that has been silent longest, and one
/// that has answered a check only if all have.
pub const SOURCES: usize = 16;
/// Maximum connectivity checks of one client that are answered per second. Browsers send 20 a second for each candidate
/// pair at first, and one every few seconds later.
pub const CHECKS: u32 = 200;
/// Maximum connectivity checks per second from unproven addresses whose MAC is verified; further ones are dropped unread.
/// Checks from proven addresses do not count.
pub const REFUSED_CHECKS: u32 = 50;
/// Maximum DTLS datagrams of one client per second. A handshake takes ten.
pub const DTLS_DATAGRAMS: u32 = 200;
/// Maximum size of a datagram of media or DTLS, in bytes: no path on the Internet carries more.
pub const DATAGRAM_BYTES: usize = 2_048;

/// Maximum authenticated packets of one client per second. A camera in three layers and a screen with audio are 2,000 in
/// a second of key frames.
pub const PACKETS: u32 = 20_000;
/// Maximum authenticated bytes of one client per second: 200 Mbit/s.
pub const BYTES: u32 = 25_000_000;
/// Maximum authenticated RTCP packets of one client per second. A browser with 25 videos on a bad path sends 50 NACKs a
/// second for each.
pub const RTCP_PACKETS: u32 = 2_000;
/// Maximum parts, report blocks and sequence numbers in the RTCP of one client per second. Feedback on 25 videos covers
/// 10,000 packets.
pub const FEEDBACK_ITEMS: u32 = 50_000;
/// Maximum sender reports of an encoding per second that are forwarded to its subscribers. Browsers send one.
pub const SENDER_REPORTS: u32 = 5;
/// Key frames of an encoding that a subscriber may request at once: the first one, one that its decryption key had not
/// arrived for, and one for a loss.
pub const KEY_FRAME_BURST: u32 = 3;
/// Shortest time between key frames of an encoding that a subscriber requests for long.
pub const KEY_FRAME_INTERVAL: Duration = Duration::from_secs(3);
/// Maximum SSRCs of one client in each direction.
pub const SSRCS: usize = dtls_srtp::srtp::MAX_SSRCS;

/// How long a missing packet is requested, and a packet is retransmitted: receivers wait no longer.
pub const REPAIR_WAIT: Duration = Duration::from_millis(1_000);
/// How long the last packets of a video encoding are kept for receivers on slow paths, and how much of them: a key frame may wait
/// in a pacer for seconds, and be lost then.
pub const VIDEO_KEPT: Duration = Duration::from_millis(4_000);
/// See [`VIDEO_KEPT`].
pub const VIDEO_KEPT_LONGER: DataSize = DataSize::from_bytes(128 << 10);
/// How long packets before a key frame are still repaired after it has begun: receivers continue with the key frame.
pub const REPAIR_BEFORE_KEY_FRAME: Duration = Duration::from_millis(300);
/// Maximum size of the payloads stored of a video encoding.
pub const VIDEO_STORE: DataSize = DataSize::from_bytes(2 << 20);
/// Maximum size of the payloads stored of an audio encoding.
pub const AUDIO_STORE: DataSize = DataSize::from_bytes(32 << 10);

/// Maximum bitrate of all video to one receiver, unless [`SfuConfig`](crate::SfuConfig) sets another.
pub const VIDEO_RATE: Bitrate = Bitrate::from_kbps(4_000);

/// Retransmissions to a receiver take at most one part in this many of what its path is estimated to carry.
pub const REPAIR_SHARE: u64 = 5;
/// Size of the retransmissions that a receiver gets at once, whatever its path carries: a key frame.
pub const REPAIR_BURST: DataSize = DataSize::from_bytes(40_000);
/// Bounds on the bitrate of retransmissions to a receiver.
pub const REPAIR_RATE: RepairRate =
    RepairRate { min: Bitrate::from_kbps(32), initial: Bitrate::from_kbps(1_000), max: Bitrate::from_kbps(4_000) };

/// Bounds on a bitrate that follows the estimate of a receiver's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairRate {
    /// On the worst path.
    pub min: Bitrate,
    /// Before the receiver has sent feedback.
    pub initial: Bitrate,
    /// On the best path.
    pub max: Bitrate,
}

/// Shortest time between two [`Event::LimitExceeded`](crate::Event) for one participant.
pub const NOTICE_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, fs, path::Path};

    /// A number with a comma after each three digits.
    fn number(number: impl TryInto<u64>) -> String {
        let number = number.try_into().unwrap_or(u64::MAX);
        if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
    }

    fn seconds(time: Duration) -> String {
        format!("{} s", time.as_secs())
    }

    /// What the table in docs/operating.md says, by the beginning of the first cell.
    fn stated() -> Vec<(&'static str, Vec<String>)> {
        let per_second = |count: u32| format!("{}/s", number(count));
        vec![
            ("participants of a worker, of a room", vec![format!("{} each", number(ROOM_PARTICIPANTS))]),
            ("participants of a worker that have not", vec![number(UNCONNECTED), seconds(CONNECT_TIME)]),
            ("tracks, slots", vec![format!("{TRACKS}, {SLOTS}")]),
            ("ICE username fragment", vec![format!("{UFRAG_BYTES}, {CREDENTIAL_BYTES} bytes")]),
            ("queued commands", vec![number(COMMANDS), number(COMMANDS_AT_ONCE)]),
            ("addresses of a client", vec![number(SOURCES)]),
            ("connectivity checks", vec![per_second(CHECKS)]),
            ("checks with a wrong MAC", vec![per_second(REFUSED_CHECKS)]),
            ("bytes to an address", vec!["three times".to_owned()]),
            ("DTLS datagrams", vec![per_second(DTLS_DATAGRAMS)]),
            ("authenticated packets", vec![per_second(PACKETS), format!("{} MB/s", BYTES / 1_000_000)]),
            ("RTCP packets", vec![per_second(RTCP_PACKETS)]),
            ("report blocks", vec![per_second(FEEDBACK_ITEMS)]),
            ("sender reports", vec![per_second(SENDER_REPORTS)]),
            ("SSRCs", vec![number(SSRCS)]),
            ("a datagram", vec![format!("{} bytes", number(DATAGRAM_BYTES))]),
            (
                "key frame requests to a publisher",
                vec![format!("{} ms", crate::publisher::pli_throttle::INTERVAL.as_millis())],
            ),
            (
                "key frame requests of a subscriber",
                vec![format!("{KEY_FRAME_BURST} at once"), format!("one in {}", seconds(KEY_FRAME_INTERVAL))],
            ),
            ("missing packets", vec![seconds(REPAIR_WAIT)]),
            (
                "stored packets",
                vec![format!("{} MiB", VIDEO_STORE.bytes() >> 20), seconds(REPAIR_WAIT), seconds(VIDEO_KEPT)],
            ),
            (
                "retransmissions to a client",
                vec![
                    format!("{} to {} kB/s", REPAIR_RATE.min.bps() / 8_000, REPAIR_RATE.max.bps() / 8_000),
                    format!("{} kB", REPAIR_BURST.bytes() / 1_000),
                ],
            ),
        ]
    }

    #[test]
    fn documented_limits_are_enforced_ones() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
        let text = fs::read_to_string(path).unwrap();
        let (_, table) = text.split_once("| participants of a worker, of a room |").unwrap();
        let table = format!("| participants of a worker, of a room |{table}");
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let mut rows: BTreeMap<_, _> = rows
            .map(|line| {
                let mut cells = line.split('|').map(|cell| cell.trim().to_owned()).skip(1);
                (cells.next().unwrap(), cells.next().unwrap())
            })
            .collect();
        for (what, numbers) in stated() {
            let name = rows.keys().find(|name| name.starts_with(what)).expect(what).clone();
            let limit = rows.remove(&name).unwrap();
            for number in numbers {
                assert!(limit.contains(&number), "{name}: docs/operating.md says {limit}, and {number} is enforced");
            }
        }
        assert!(rows.is_empty(), "rows that no one checks: {rows:?}");
    }
}
