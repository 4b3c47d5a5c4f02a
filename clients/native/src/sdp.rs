//! The server's SDP offer, written by the client: no SDP is exchanged with the server.
//!
//! A pure function of the server's transport parameters, the tables in `welcome`, and the m-sections: what this client
//! sends, and the slots in which it receives. Sections are appended and never removed or moved during a connection.
//!
//! All of them are types that can only be made of values that have passed their check ([`parameters`], [`sections`]).

pub mod parameters;
pub mod sections;

use self::{
    parameters::{RemoteTransport, Tables},
    sections::{Section, Sections, SendSection},
};
use data_encoding::HEXUPPER;
use std::fmt::Write as _;
use tacet_proto::{
    bytes::Fixed,
    media::{ClientIce, Codec, CodecParameters, Dtls, Kind, Slot},
};

/// The contents of an offer.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The server's transport parameters.
    pub transport: &'a RemoteTransport,
    /// Payload types and header extensions.
    pub tables: &'a Tables,
    /// All sections.
    pub sections: &'a Sections,
    /// Session version: increases by one with each offer of a connection.
    pub version: u64,
}

/// Why an answer is unusable: a transport parameter is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer lacks {0}")]
pub struct AnswerError(&'static str);

/// Encoding name of a codec in `a=rtpmap`.
#[must_use]
pub fn encoding_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::Av1 => "AV1",
        Codec::H264 => "H264",
    }
}

/// Kind of media of a codec.
#[must_use]
pub fn kind_of(codec: Codec) -> Kind {
    if codec == Codec::Opus { Kind::Audio } else { Kind::Video }
}

fn media_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    }
}

impl Offer<'_> {
    /// The text of the offer (RFC 8866, RFC 8839, RFC 9143).
    #[must_use]
    pub fn to_sdp(&self) -> String {
        let mut sdp = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut sdp);
        sdp
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "v=0\r\no=- 1 {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE", self.version)?;
        for section in self.sections.iter() {
            write!(out, " {}", section.mid())?;
        }
        let (ufrag, pwd) = (self.transport.ufrag(), self.transport.pwd());
        let fingerprint = fingerprint_text(&self.transport.dtls().fingerprint.0);
        write!(out, "\r\na=extmap-allow-mixed\r\na=ice-lite\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n")?;
        write!(out, "a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n")?;
        for (n, section) in self.sections.iter().enumerate() {
            match section {
                Section::Sending(SendSection { mid, kind, .. }) => {
                    let codecs: Vec<_> = self.tables.codecs().iter().filter(|c| kind_of(c.codec) == *kind).collect();
                    self.section(out, *kind, mid, "recvonly", &codecs, n == 0)?;
                }
                Section::Slot(slot) => {
                    let codecs: Vec<_> = self.tables.codecs().iter().filter(|c| c.codec == slot.codec).collect();
                    self.section(out, slot.kind, &slot.mid, "sendonly", &codecs, n == 0)?;
                    source_lines(out, slot)?;
                }
            }
        }
        Ok(())
    }

    fn section(
        &self,
        out: &mut String,
        kind: Kind,
        mid: &str,
        direction: &str,
        codecs: &[&CodecParameters],
        with_candidates: bool,
    ) -> std::fmt::Result {
        write!(out, "m={} 9 UDP/TLS/RTP/SAVPF", media_name(kind))?;
        for codec in codecs {
            write!(out, " {}", codec.pt)?;
            if let Some(rtx) = codec.rtx {
                write!(out, " {rtx}")?;
            }
        }
        write!(out, "\r\nc=IN IP4 0.0.0.0\r\n")?;
        if with_candidates {
            for (n, candidate) in self.transport.candidates().iter().enumerate() {
                let priority = 2_130_706_431_u32.saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
                write!(
                    out,
                    "a=candidate:{} 1 udp {priority} {} {} typ host\r\n",
                    n + 1,
                    candidate.ip(),
                    candidate.port()
                )?;
            }
            write!(out, "a=end-of-candidates\r\n")?;
        }
        write!(out, "a=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n")?;
        for codec in codecs {
            let channels = if codec.codec == Codec::Opus { "/2" } else { "" };
            write!(out, "a=rtpmap:{} {}/{}{channels}\r\n", codec.pt, encoding_name(codec.codec), codec.clock)?;
            if !codec.fmtp.is_empty() {
                write!(out, "a=fmtp:{} {}\r\n", codec.pt, codec.fmtp)?;
            }
            write!(out, "a=rtcp-fb:{} transport-cc\r\n", codec.pt)?;
            if kind == Kind::Video {
                write!(out, "a=rtcp-fb:{0} nack\r\na=rtcp-fb:{0} nack pli\r\n", codec.pt)?;
            }
            if let Some(rtx) = codec.rtx {
                write!(out, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={}\r\n", codec.clock, codec.pt)?;
            }
        }
        for extension in self.tables.extensions().iter().filter(|e| e.kinds.contains(&kind)) {
            write!(out, "a=extmap:{} {}\r\n", extension.id, extension.uri)?;
        }
        Ok(())
    }
}

/// The SSRCs of a slot. Packets with undeclared SSRCs would be dropped.
fn source_lines(out: &mut String, slot: &Slot) -> std::fmt::Result {
    write!(out, "a=msid:slot-{0} {0}\r\n", slot.mid)?;
    if let Some(rtx) = slot.rtx {
        write!(out, "a=ssrc-group:FID {} {rtx}\r\n", slot.ssrc)?;
    }
    write!(out, "a=ssrc:{} cname:tacet\r\n", slot.ssrc)?;
    if let Some(rtx) = slot.rtx {
        write!(out, "a=ssrc:{rtx} cname:tacet\r\n")?;
    }
    Ok(())
}

/// Extracts ICE credentials and certificate fingerprint from an answer.
///
/// # Errors
/// [`AnswerError`] names what is missing.
pub fn local_parameters(answer: &str) -> Result<(ClientIce, Dtls), AnswerError> {
    let attribute = |name: &str| {
        answer.lines().find_map(|line| line.trim_end().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    };
    let ufrag = attribute("ice-ufrag").ok_or(AnswerError("an ICE username"))?;
    let pwd = attribute("ice-pwd").ok_or(AnswerError("an ICE password"))?;
    let fingerprint = attribute("fingerprint")
        .and_then(|value| value.split_once(' '))
        .filter(|(hash, _)| hash.eq_ignore_ascii_case("sha-256"))
        .and_then(|(_, hex)| parse_fingerprint(hex))
        .ok_or(AnswerError("a SHA-256 fingerprint"))?;
    let ice = ClientIce { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() };
    Ok((ice, Dtls { fingerprint: Fixed(fingerprint) }))
}

/// A fingerprint as in `a=fingerprint`: upper-case hex with colons.
#[must_use]
pub fn fingerprint_text(fingerprint: &[u8; 32]) -> String {
    let pairs: Vec<_> = fingerprint.iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    pairs.join(":")
}

/// Parses a fingerprint: hex of either case, with or without colons.
#[must_use]
pub fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let hex: String = text.trim().chars().filter(|c| *c != ':').collect();
    HEXUPPER.decode(hex.to_ascii_uppercase().as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use tacet_proto::{
        media::{Candidate, HeaderExtension, ServerIce},
        server::ServerTransport,
    };

    pub(crate) fn transport(port: u16) -> ServerTransport {
        ServerTransport {
            ice: ServerIce {
                ufrag: "srvufrag".to_owned(),
                pwd: "aPasswordOfTheServer22".to_owned(),
                candidates: vec![Candidate { ip: "127.0.0.1".to_owned(), port }],
            },
            dtls: Dtls { fingerprint: Fixed([0xab; 32]) },
        }
    }

    pub(crate) fn tables() -> (Vec<CodecParameters>, Vec<HeaderExtension>) {
        let both = vec![Kind::Audio, Kind::Video];
        let codecs = vec![
            CodecParameters {
                codec: Codec::Opus,
                pt: 111,
                rtx: None,
                clock: 48_000,
                fmtp: "minptime=10;useinbandfec=1".to_owned(),
            },
            CodecParameters { codec: Codec::Vp8, pt: 96, rtx: Some(97), clock: 90_000, fmtp: String::new() },
        ];
        let extensions = vec![
            HeaderExtension { uri: "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned(), id: 1, kinds: both.clone() },
            HeaderExtension {
                uri: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01".to_owned(),
                id: 3,
                kinds: both,
            },
        ];
        (codecs, extensions)
    }

    pub(crate) fn slots() -> Vec<Slot> {
        vec![
            Slot { mid: "a0".to_owned(), kind: Kind::Audio, codec: Codec::Opus, ssrc: 11, rtx: None },
            Slot { mid: "v0".to_owned(), kind: Kind::Video, codec: Codec::Vp8, ssrc: 12, rtx: Some(13) },
        ]
    }

    #[test]
    fn offer_bundles_sections_and_declares_ssrcs() {
        let (codecs, extensions) = tables();
        let tables = Tables::new(&codecs, &extensions).unwrap();
        let mut sections = Sections::new(&tables);
        sections.add_sending(SendSection { mid: "sv".to_owned(), kind: Kind::Video, ssrc: 1, rtx: Some(2) });
        slots().iter().for_each(|slot| sections.add_slot(slot).unwrap());
        sections.add_sending(SendSection { mid: "sa".to_owned(), kind: Kind::Audio, ssrc: 3, rtx: None });
        let transport = RemoteTransport::try_from(&transport(4_000)).unwrap();
        let offer = Offer { transport: &transport, tables: &tables, sections: &sections, version: 2 };
        let sdp = offer.to_sdp();
        assert!(sdp.starts_with("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n"));
        assert!(sdp.contains("a=group:BUNDLE sv a0 v0 sa\r\n"));
        assert!(sdp.contains("a=ssrc-group:FID 12 13\r\n") && sdp.contains("a=ssrc:11 cname"));
        assert_eq!(sdp.matches("a=candidate:").count(), 1, "the candidate is in the first section only");
        assert_eq!(sdp.matches("a=recvonly").count(), 2);
        assert_eq!(sdp.matches("a=sendonly").count(), 2);
        assert!(sdp.lines().all(|line| !line.is_empty()) && sdp.ends_with("\r\n"));
    }

    #[test]
    fn answer_yields_local_parameters() {
        let text = fingerprint_text(&[0xcd; 32]);
        let answer = format!("v=0\r\na=ice-ufrag:me\r\na=ice-pwd:mine\r\na=fingerprint:sha-256 {text}\r\n");
        let (ice, dtls) = local_parameters(&answer).unwrap();
        assert_eq!((ice.ufrag.as_str(), ice.pwd.as_str()), ("me", "mine"));
        assert_eq!(dtls.fingerprint.0, [0xcd; 32]);
        assert_eq!(local_parameters("v=0\r\na=ice-ufrag:me\r\n"), Err(AnswerError("an ICE password")));
    }

    #[test]
    fn fingerprint_parses_in_any_case() {
        let text = fingerprint_text(&[0x5e; 32]);
        assert_eq!(parse_fingerprint(&text.to_lowercase()), Some([0x5e; 32]));
        assert_eq!(parse_fingerprint(&text[3..]), None);
    }
}
