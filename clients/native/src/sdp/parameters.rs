//! What the server sends for the offer and the media engine, checked.
//!
//! The client writes the server's offer from these strings and numbers. A string with a line break would write attributes
//! of the server's choice, and an unlisted header extension would make a media engine send what the application did not
//! ask for. So each value is checked by the grammar of its attribute, or against a list of what this client uses, and the
//! offer is made of checked values only.

use super::kind_of;
use std::{collections::HashSet, net::SocketAddr};
use tacet_proto::{
    media::{Codec, CodecParameters, Dtls, HeaderExtension, Kind, ServerIce},
    server::ServerTransport,
};

/// MID (RFC 8843).
pub const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// Client-to-mixer audio level (RFC 6464).
pub const LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
/// Transport-wide sequence number.
pub const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Dependency Descriptor (AV1 RTP specification, appendix A).
pub const DEPENDENCY_DESCRIPTOR_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
/// RID of an encoding (RFC 8852).
pub const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
/// RID of the encoding that a retransmission belongs to (RFC 8852).
pub const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";

/// The header extensions that this client negotiates. Others may reveal more than packets need: a capture time, or samples
/// of the video.
const EXTENSIONS: [&str; 6] =
    [MID_URI, LEVEL_URI, TRANSPORT_CC_URI, DEPENDENCY_DESCRIPTOR_URI, RID_URI, REPAIRED_RID_URI];
/// Maximum number of candidates: a server has one for each of its addresses.
const MAX_CANDIDATES: usize = 16;
/// Maximum length of `a=fmtp` parameters, in bytes.
const MAX_FMTP_BYTES: usize = 128;
/// Bounds of an ICE username fragment and password, in bytes (RFC 8839 section 5.4).
const UFRAG_BYTES: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 22..=256;

/// The server sent something that this client does not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent an invalid {what}: {rule}")]
pub struct ParameterError {
    what: &'static str,
    rule: &'static str,
}

/// Returns an error about `what` unless it follows the rule.
pub(super) fn require(follows: bool, what: &'static str, rule: &'static str) -> Result<(), ParameterError> {
    if follows { Ok(()) } else { Err(ParameterError { what, rule }) }
}

/// Transport parameters of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    ufrag: String,
    pwd: String,
    candidates: Vec<SocketAddr>,
    dtls: Dtls,
}

impl RemoteTransport {
    /// ICE username fragment.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// ICE password.
    #[must_use]
    pub fn pwd(&self) -> &str {
        &self.pwd
    }

    /// Addresses of the server.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Certificate fingerprint.
    #[must_use]
    pub fn dtls(&self) -> &Dtls {
        &self.dtls
    }

    /// The same transport after an ICE restart: with the credentials of `restarted`, and the addresses as before.
    #[must_use]
    pub fn with_credentials_of(self, restarted: Self) -> Self {
        Self { candidates: self.candidates, ..restarted }
    }
}

impl TryFrom<&ServerTransport> for RemoteTransport {
    type Error = ParameterError;

    fn try_from(sent: &ServerTransport) -> Result<Self, ParameterError> {
        let ServerTransport { ice: ServerIce { ufrag, pwd, candidates }, dtls } = sent;
        let ice_chars = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/');
        require(UFRAG_BYTES.contains(&ufrag.len()) && ice_chars(ufrag), "ICE username", "RFC 8839 section 5.4")?;
        require(PASSWORD_BYTES.contains(&pwd.len()) && ice_chars(pwd), "ICE password", "RFC 8839 section 5.4")?;
        require(candidates.len() <= MAX_CANDIDATES, "list of candidates", "at most 16")?;
        let address = |candidate: &tacet_proto::media::Candidate| {
            let ip: std::net::IpAddr = candidate.ip.parse().ok()?;
            let usable = candidate.port != 0 && !ip.is_unspecified() && !ip.is_multicast();
            usable.then(|| SocketAddr::new(ip, candidate.port))
        };
        let addresses: Option<Vec<_>> = candidates.iter().map(address).collect();
        let rule = "the address and port of a host, in digits";
        let candidates = addresses.ok_or(ParameterError { what: "candidate", rule })?;
        Ok(Self { ufrag: ufrag.clone(), pwd: pwd.clone(), candidates, dtls: dtls.clone() })
    }
}

/// Payload types and header extensions of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    codecs: Vec<CodecParameters>,
    extensions: Vec<HeaderExtension>,
}

impl Tables {
    /// Checks the tables of `welcome`.
    ///
    /// # Errors
    /// [`ParameterError`].
    pub fn new(codecs: &[CodecParameters], extensions: &[HeaderExtension]) -> Result<Self, ParameterError> {
        let mut payload_types = HashSet::new();
        let mut names = HashSet::new();
        for entry in codecs {
            let clock = if entry.codec == Codec::Opus { 48_000 } else { 90_000 };
            require(names.insert(super::encoding_name(entry.codec)), "codec", "each has one entry")?;
            require(entry.clock == clock, "RTP clock", "48,000 Hz for audio, 90,000 Hz for video")?;
            require(entry.rtx.is_none() || kind_of(entry.codec) == Kind::Video, "retransmission", "for video only")?;
            require(
                is_fmtp(&entry.fmtp),
                "format parameters",
                "name=value pairs of letters, digits, dots and hyphens",
            )?;
            for payload_type in [Some(entry.pt), entry.rtx].into_iter().flatten() {
                let dynamic = matches!(payload_type, 35..=63 | 96..=127);
                let free = payload_types.insert(payload_type);
                require(dynamic && free, "payload type", "a dynamic one that no other codec has")?;
            }
        }
        let opus = codecs.iter().any(|entry| entry.codec == Codec::Opus);
        require(opus, "list of codecs", "it lacks Opus, which every client speaks")?;
        let (mut ids, mut uris) = (HashSet::new(), HashSet::new());
        for HeaderExtension { uri, id, kinds } in extensions {
            require(EXTENSIONS.contains(&uri.as_str()), "header extension", "not one that this client uses")?;
            require((1..=14).contains(id) && ids.insert(*id), "header extension id", "1 to 14, each once")?;
            require(uris.insert(uri.as_str()), "header extension", "each has one entry")?;
            let once = kinds.len() <= 2 && (kinds.len() < 2 || kinds.first() != kinds.last());
            require(once, "header extension", "audio and video are listed once")?;
        }
        Ok(Self { codecs: codecs.to_vec(), extensions: extensions.to_vec() })
    }

    /// Payload types.
    #[must_use]
    pub fn codecs(&self) -> &[CodecParameters] {
        &self.codecs
    }

    /// Header extensions.
    #[must_use]
    pub fn extensions(&self) -> &[HeaderExtension] {
        &self.extensions
    }
}

/// Whether a text is a list of `a=fmtp` parameters: `name=value`, separated by semicolons. `apt` would name a stream.
fn is_fmtp(text: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    let parameter =
        |pair: &str| pair.split_once('=').is_some_and(|(name, value)| token(name) && token(value) && name != "apt");
    text.is_empty() || (text.len() <= MAX_FMTP_BYTES && text.split(';').all(parameter))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::tests, *};
    use tacet_proto::media::Candidate;

    type Sent = (ServerTransport, Vec<CodecParameters>, Vec<HeaderExtension>);

    fn check(sent: &Sent) -> Result<(), ParameterError> {
        RemoteTransport::try_from(&sent.0)?;
        Tables::new(&sent.1, &sent.2).map(drop)
    }

    fn honest() -> Sent {
        let (codecs, extensions) = tests::tables();
        (tests::transport(4_000), codecs, extensions)
    }

    /// Texts that end a line, an attribute or a token, or are too long.
    fn injections(text: &str) -> Vec<String> {
        let ends =
            ["\r\na=injected:1", "\na=injected:1", "\r", "\0", " ", "\t", "\u{2028}", "\u{85}", "é", ":", "\"", "<"];
        let mut texts: Vec<_> = ends.iter().map(|end| format!("{text}{end}")).collect();
        texts.extend(ends.iter().map(|start| format!("{start}{text}")));
        texts.push(text.repeat(1 + 300 / text.len()));
        texts
    }

    #[test]
    fn strings_of_the_server_cannot_write_into_the_offer() {
        check(&honest()).unwrap();
        let strings: [fn(&mut Sent) -> &mut String; 5] = [
            |sent| &mut sent.0.ice.ufrag,
            |sent| &mut sent.0.ice.pwd,
            |sent| &mut sent.0.ice.candidates[0].ip,
            |sent| &mut sent.1[0].fmtp,
            |sent| &mut sent.2[0].uri,
        ];
        for (field, string) in strings.into_iter().enumerate() {
            for text in injections(string(&mut honest())) {
                let mut sent = honest();
                string(&mut sent).clone_from(&text);
                let Err(error) = check(&sent) else { panic!("field {field}: {text:?}") };
                assert!(error.to_string().starts_with("the server sent an invalid "), "{error}");
                assert!(error.to_string().is_ascii() && !error.to_string().contains("injected"), "{error}");
            }
        }
    }

    #[test]
    fn transport_outside_the_grammar_is_refused() {
        let attacks: [fn(&mut ServerTransport); 9] = [
            |sent| sent.ice.ufrag = "abc".to_owned(),
            |sent| sent.ice.ufrag.clear(),
            |sent| sent.ice.pwd = "a".repeat(21),
            |sent| sent.ice.candidates[0].ip = "localhost".to_owned(),
            |sent| sent.ice.candidates[0].ip = "0.0.0.0".to_owned(),
            |sent| sent.ice.candidates[0].ip = "239.0.0.1".to_owned(),
            |sent| sent.ice.candidates[0].ip = "fe80::1%eth0".to_owned(),
            |sent| sent.ice.candidates[0].port = 0,
            |sent| sent.ice.candidates = vec![Candidate { ip: "192.0.2.1".to_owned(), port: 1 }; MAX_CANDIDATES + 1],
        ];
        for (number, attack) in attacks.into_iter().enumerate() {
            let mut sent = honest();
            attack(&mut sent.0);
            assert!(check(&sent).is_err(), "attack {number}");
        }
    }

    #[test]
    fn tables_outside_the_list_are_refused() {
        let attacks: [fn(&mut Sent); 16] = [
            |sent| drop(sent.1.remove(0)),
            |sent| sent.1[0].pt = 13,
            |sent| sent.1[0].pt = 64,
            |sent| sent.1[0].pt = 128,
            |sent| sent.1[0].pt = 97,
            |sent| sent.1[1].rtx = Some(96),
            |sent| sent.1[0].rtx = Some(112),
            |sent| sent.1[0].clock = 8_000,
            |sent| sent.1[1].fmtp = "apt=111".to_owned(),
            |sent| sent.1[1].codec = Codec::Opus,
            |sent| sent.2[0].uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time".to_owned(),
            |sent| sent.2[0].uri = "http://www.webrtc.org/experiments/rtp-hdrext/corruption-detection".to_owned(),
            |sent| sent.2[0].id = 0,
            |sent| sent.2[0].id = 15,
            |sent| sent.2[0].id = sent.2[1].id,
            |sent| sent.2[0].uri = sent.2[1].uri.clone(),
        ];
        for (number, attack) in attacks.into_iter().enumerate() {
            let mut sent = honest();
            attack(&mut sent);
            assert!(check(&sent).is_err(), "attack {number}");
        }
    }
}
