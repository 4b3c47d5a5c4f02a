//! The SDP (RFC 8866, RFC 8829) that light bots need for servers that require it: one m-line of VP8 video, ICE-lite
//! servers, one certificate.

use std::{fmt::Write, net::SocketAddr};
use tacet_native::sdp::{fingerprint_text, parse_fingerprint};

/// Payload type of VP8 in what we offer.
pub(crate) const VP8: u8 = 96;
/// Payload type of its retransmissions in what we offer.
pub(crate) const RTX: u8 = 97;
const TRANSPORT_CC_ID: u8 = 3;
const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Ids of what names an encoding, in what we offer.
const MID_ID: u8 = 1;
const RID_ID: u8 = 5;
const REPAIRED_RID_ID: u8 = 6;
const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// Why a session description was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// A mandatory line is missing.
    #[error("the server's description has no {0}")]
    Missing(&'static str),
}

/// A server's offer or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    pub(crate) fingerprint: [u8; 32],
    /// UDP only.
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) sections: Vec<Section>,
}

/// One media section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// The rest of the m-line, which the answer has to repeat.
    media: String,
    mid: String,
    /// Whether the section is accepted: its port is not 0.
    pub(crate) accepted: bool,
    /// Payload type of VP8, and of its retransmissions.
    pub(crate) vp8: Option<u8>,
    pub(crate) rtx: Option<u8>,
    /// SSRC, and that of its retransmissions.
    pub(crate) ssrc: Option<u32>,
    pub(crate) rtx_ssrc: Option<u32>,
    /// Ids of header extensions.
    pub(crate) transport_cc: Option<u8>,
    pub(crate) mid_extension: Option<u8>,
    pub(crate) rid: Option<u8>,
    pub(crate) repaired_rid: Option<u8>,
}

impl Section {
    pub(crate) fn is_video(&self) -> bool {
        self.media.starts_with("video")
    }

    pub(crate) fn mid(&self) -> &str {
        &self.mid
    }
}

/// Reads a description and skips unknown lines.
pub(crate) fn parse(sdp: &str) -> Result<Remote, SdpError> {
    let (mut ufrag, mut pwd, mut fingerprint) = (None, None, None);
    let mut candidates = Vec::new();
    let mut sections: Vec<Section> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let accepted = media.split(' ').nth(1) != Some("0");
            sections.push(Section { media: media.to_owned(), accepted, ..Section::default() });
            continue;
        }
        let Some((name, value)) = line.strip_prefix("a=").map(|line| line.split_once(':').unwrap_or((line, ""))) else {
            continue;
        };
        match name {
            // With bundling all m-lines repeat these.
            "ice-ufrag" => ufrag = ufrag.or(Some(value)),
            "ice-pwd" => pwd = pwd.or(Some(value)),
            "fingerprint" => fingerprint = fingerprint.or_else(|| sha256(value)),
            "candidate" => candidates.extend(candidate(value)),
            _ => {
                if let Some(section) = sections.last_mut() {
                    section.attribute(name, value);
                }
            }
        }
    }
    Ok(Remote {
        ufrag: ufrag.ok_or(SdpError::Missing("ice-ufrag"))?.to_owned(),
        pwd: pwd.ok_or(SdpError::Missing("ice-pwd"))?.to_owned(),
        fingerprint: fingerprint.ok_or(SdpError::Missing("SHA-256 fingerprint"))?,
        candidates,
        sections,
    })
}

fn sha256(value: &str) -> Option<[u8; 32]> {
    let (hash, digest) = value.split_once(' ')?;
    hash.eq_ignore_ascii_case("sha-256").then(|| parse_fingerprint(digest)).flatten()
}

/// `foundation component protocol priority address port …` (RFC 8839 section 5.1), with or without the name before it.
pub(crate) fn candidate(value: &str) -> Option<SocketAddr> {
    let mut fields = value.split_ascii_whitespace().skip(1);
    let (component, protocol) = (fields.next()?, fields.next()?);
    let mut fields = fields.skip(1);
    let (address, port) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (component == "1" && protocol.eq_ignore_ascii_case("udp")).then(|| SocketAddr::new(address, port))
}

impl Section {
    fn attribute(&mut self, name: &str, value: &str) {
        match name {
            "mid" => value.clone_into(&mut self.mid),
            "rtpmap" => {
                if let Some((pt, codec)) = value.split_once(' ')
                    && codec.to_ascii_uppercase().starts_with("VP8/")
                {
                    self.vp8 = self.vp8.or_else(|| pt.parse().ok());
                }
            }
            "fmtp" => {
                let apt = self.vp8.map(|pt| format!("apt={pt}"));
                if let Some((pt, parameters)) = value.split_once(' ')
                    && apt.is_some_and(|apt| parameters == apt)
                {
                    self.rtx = pt.parse().ok();
                }
            }
            "ssrc" => {
                let ssrc = value.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
                self.ssrc = self.ssrc.or(ssrc);
            }
            "ssrc-group" => {
                let mut words = value.split(' ');
                if words.next() == Some("FID") {
                    self.ssrc = words.next().and_then(|ssrc| ssrc.parse().ok());
                    self.rtx_ssrc = words.next().and_then(|ssrc| ssrc.parse().ok());
                }
            }
            "extmap" => {
                let Some((id, uri)) = value.split_once(' ') else { return };
                let id = id.split('/').next().and_then(|id| id.parse().ok());
                match uri {
                    TRANSPORT_CC_URI => self.transport_cc = id,
                    MID_URI => self.mid_extension = id,
                    RID_URI => self.rid = id,
                    REPAIRED_RID_URI => self.repaired_rid = id,
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// A bot's half of the transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local<'a> {
    pub(crate) ufrag: &'a str,
    pub(crate) pwd: &'a str,
    pub(crate) fingerprint: &'a [u8; 32],
    /// Address of its socket, if it has one already.
    pub(crate) address: Option<SocketAddr>,
}

/// The track that a bot offers to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sending<'a> {
    /// Name of the track, by which some servers match it with their signaling.
    pub(crate) track: &'a str,
    pub(crate) streams: Streams<'a>,
}

/// Its streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Streams<'a> {
    /// One, and its retransmissions.
    Single { ssrc: u32, rtx: u32 },
    /// One for each RID, the lowest quality first.
    Simulcast(&'a [&'a str]),
}

/// An offer to send this, or to receive one video.
pub(crate) fn offer(local: &Local<'_>, sending: Option<&Sending<'_>>) -> String {
    let mut sdp = head(&["0"]);
    let _ = write!(sdp, "m=video 9 UDP/TLS/RTP/SAVPF {VP8} {RTX}\r\n");
    // We are always the DTLS client, and the servers always lite.
    transport(&mut sdp, local, "0", "active");
    sdp.push_str(if sending.is_some() { "a=sendonly\r\n" } else { "a=recvonly\r\n" });
    codecs(&mut sdp, VP8, Some(RTX), Some(TRANSPORT_CC_ID));
    let Some(Sending { track, streams }) = sending else { return sdp };
    let _ = write!(sdp, "a=msid:load {track}\r\n");
    match *streams {
        Streams::Single { ssrc, rtx } => {
            let _ = write!(sdp, "a=ssrc-group:FID {ssrc} {rtx}\r\n");
            for ssrc in [ssrc, rtx] {
                let _ = write!(sdp, "a=ssrc:{ssrc} cname:load\r\na=ssrc:{ssrc} msid:load {track}\r\n");
            }
        }
        Streams::Simulcast(rids) => simulcast(&mut sdp, rids),
    }
    sdp
}

/// The answer of a bot that receives the video of an offer and rejects the rest.
pub(crate) fn answer(offer: &Remote, local: &Local<'_>) -> String {
    let taken = |section: &&Section| section.is_video() && section.accepted && section.vp8.is_some();
    let mids: Vec<_> = offer.sections.iter().filter(taken).map(|section| section.mid.as_str()).collect();
    let mut sdp = head(&mids);
    for section in &offer.sections {
        let Some(vp8) = section.vp8.filter(|_| taken(&section)) else {
            let mut words = section.media.splitn(3, ' ');
            let (kind, _, rest) = (words.next(), words.next(), words.next());
            let _ =
                write!(sdp, "m={} 0 {}\r\nc=IN IP4 0.0.0.0\r\n", kind.unwrap_or_default(), rest.unwrap_or_default());
            let _ = write!(sdp, "a=mid:{}\r\na=inactive\r\n", section.mid);
            continue;
        };
        let rtx = section.rtx.map(|rtx| format!(" {rtx}")).unwrap_or_default();
        let _ = write!(sdp, "m=video 9 UDP/TLS/RTP/SAVPF {vp8}{rtx}\r\n");
        transport(&mut sdp, local, &section.mid, "active");
        sdp.push_str("a=recvonly\r\n");
        codecs(&mut sdp, vp8, section.rtx, section.transport_cc);
    }
    sdp
}

fn head(mids: &[&str]) -> String {
    let mut sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE".to_owned();
    for mid in mids {
        let _ = write!(sdp, " {mid}");
    }
    sdp.push_str("\r\na=msid-semantic: WMS *\r\n");
    sdp
}

fn transport(sdp: &mut String, local: &Local<'_>, mid: &str, setup: &str) {
    let _ = write!(sdp, "c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n");
    let _ = write!(sdp, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle\r\n", local.ufrag, local.pwd);
    let _ = write!(sdp, "a=fingerprint:sha-256 {}\r\na=setup:{setup}\r\n", fingerprint_text(local.fingerprint));
    if let Some(address) = local.address {
        let _ = write!(sdp, "a={}\r\na=end-of-candidates\r\n", host_candidate(address));
    }
}

/// The candidate line of a bot's socket, without `a=`.
pub(crate) fn host_candidate(address: SocketAddr) -> String {
    format!("candidate:1 1 udp 2130706431 {} {} typ host", address.ip(), address.port())
}

/// Encodings by RID (RFC 8853), and the header extensions that name them. The best one first, as one server expects.
fn simulcast(sdp: &mut String, rids: &[&str]) {
    for (id, uri) in [(MID_ID, MID_URI), (RID_ID, RID_URI), (REPAIRED_RID_ID, REPAIRED_RID_URI)] {
        let _ = write!(sdp, "a=extmap:{id} {uri}\r\n");
    }
    let best_first: Vec<&str> = rids.iter().rev().copied().collect();
    for rid in &best_first {
        let _ = write!(sdp, "a=rid:{rid} send\r\n");
    }
    let _ = write!(sdp, "a=simulcast:send {}\r\n", best_first.join(";"));
}

fn codecs(sdp: &mut String, vp8: u8, rtx: Option<u8>, transport_cc: Option<u8>) {
    let _ = write!(sdp, "a=rtpmap:{vp8} VP8/90000\r\n");
    for feedback in ["nack", "nack pli", "ccm fir", "transport-cc"] {
        let _ = write!(sdp, "a=rtcp-fb:{vp8} {feedback}\r\n");
    }
    if let Some(rtx) = rtx {
        let _ = write!(sdp, "a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={vp8}\r\n");
    }
    if let Some(id) = transport_cc {
        let _ = write!(sdp, "a=extmap:{id} {TRANSPORT_CC_URI}\r\n");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FINGERPRINT: &str = "AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:\
                               AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB";

    fn local() -> Local<'static> {
        Local { ufrag: "bot", pwd: "bots-password", fingerprint: &[7; 32], address: None }
    }

    /// In the shape of a server that describes its transport in every section, and offers data, too.
    fn offer_of_two() -> String {
        format!(
            "v=0\r\no=- 5 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=ice-lite\r\n\
             a=fingerprint:sha-256 {FINGERPRINT}\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:srv\r\n\
             a=ice-pwd:servers-password\r\na=sctp-port:5000\r\n\
             a=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\n\
             a=candidate:2 1 tcp 1 127.0.0.1 7881 typ host tcptype passive\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 98 99\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=ice-ufrag:srv\r\n\
             a=ice-pwd:servers-password\r\na=sendonly\r\na=rtpmap:98 VP8/90000\r\na=rtpmap:99 rtx/90000\r\n\
             a=fmtp:99 apt=98\r\na=extmap:5/recvonly {TRANSPORT_CC_URI}\r\na=ssrc-group:FID 1111 2222\r\n\
             a=ssrc:1111 cname:x\r\na=ssrc:2222 cname:x\r\n"
        )
    }

    #[test]
    fn parse_reads_transport_and_stream() {
        let remote = parse(&offer_of_two()).unwrap();
        assert_eq!((remote.ufrag.as_str(), remote.pwd.as_str()), ("srv", "servers-password"));
        assert_eq!(remote.fingerprint, [0xab; 32]);
        assert_eq!(remote.candidates, [SocketAddr::from(([127, 0, 0, 1], 40_000))], "TCP is of no use");
        let video = remote.sections.iter().find(|section| section.is_video()).unwrap();
        assert_eq!((video.vp8, video.rtx, video.transport_cc), (Some(98), Some(99), Some(5)));
        assert_eq!((video.ssrc, video.rtx_ssrc), (Some(1111), Some(2222)));
    }

    #[test]
    fn answer_rejects_all_but_video() {
        let answer = parse(&answer(&parse(&offer_of_two()).unwrap(), &local())).unwrap();
        let accepted: Vec<_> = answer.sections.iter().map(|s| (s.mid.as_str(), s.is_video(), s.accepted)).collect();
        assert_eq!(accepted, [("0", false, false), ("1", true, true)]);
        assert_eq!((answer.sections[1].vp8, answer.sections[1].rtx), (Some(98), Some(99)));
    }

    #[test]
    fn offer_describes_the_stream() {
        let sending = Sending { track: "camera", streams: Streams::Single { ssrc: 5, rtx: 6 } };
        let local = Local { address: Some("127.0.0.1:5000".parse().unwrap()), ..local() };
        let offer = parse(&offer(&local, Some(&sending))).unwrap();
        assert_eq!((offer.sections[0].ssrc, offer.sections[0].rtx_ssrc), (Some(5), Some(6)));
        assert_eq!(offer.sections[0].transport_cc, Some(TRANSPORT_CC_ID));
        assert_eq!(offer.fingerprint, [7; 32]);
        assert_eq!(offer.candidates, [local.address.unwrap()]);
    }

    #[test]
    fn offer_names_encodings() {
        let sending = Sending { track: "camera", streams: Streams::Simulcast(&["q", "h", "f"]) };
        let text = offer(&local(), Some(&sending));
        assert!(text.contains("a=rid:h send\r\n") && text.contains("a=simulcast:send f;h;q\r\n"), "{text}");
        let section = &parse(&text).unwrap().sections[0];
        assert_eq!((section.ssrc, section.mid()), (None, "0"));
        assert_eq!(
            (section.mid_extension, section.rid, section.repaired_rid),
            (Some(MID_ID), Some(RID_ID), Some(REPAIRED_RID_ID))
        );
    }

    #[test]
    fn parse_names_the_missing_line() {
        assert_eq!(parse("v=0\r\n"), Err(SdpError::Missing("ice-ufrag")));
        let sha1 = "a=ice-ufrag:a\r\na=ice-pwd:b\r\na=fingerprint:sha-1 AB:AB\r\n";
        assert_eq!(parse(sha1), Err(SdpError::Missing("SHA-256 fingerprint")));
    }

    proptest! {
        #[test]
        fn parse_is_total(text in "([mav]=|candidate|:| |ssrc-group|fmtp|rtpmap|[a-z0-9]|\r\n){0,60}") {
            let _ = parse(&text);
            let _ = candidate(&text);
        }
    }
}
