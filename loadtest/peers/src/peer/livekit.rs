//! LiveKit, by its signaling over a WebSocket: texts in the JSON form of its protocol buffers.
//!
//! Of its two modes this uses the newer: one transport per participant, offered by the client. The older one requires a
//! data channel before it forwards anything. The configuration is the default, except for what a loopback run needs:
//! ICE-lite, one UDP port on loopback, only warnings in the log.

use super::{Peer, PeerError, Setup, accepted_camera, accepted_stream, credentials, route, ssrcs};
use crate::{
    json_socket::JsonSocket,
    sdp::{self, Local, Remote, Sending, Streams},
    server::{Server, free_port},
};
use aws_lc_rs::hmac;
use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use loadtest::{
    Usage,
    fanout::{Camera, Connecting, Fanout, ReceivedStream, Route},
};
use serde_json::{Value, json};
use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};
use tokio::{process::Command, time::timeout};

const KEY: &str = "load";
const ROOM: &str = "load";
/// How long a token is valid.
const TOKEN_SECONDS: u64 = 3_600;
/// Maximum time until the server requests a section for a stream that it has.
const SECTION_WAIT: Duration = Duration::from_secs(2);
/// Maximum number of offers until the stream is in the answer.
const OFFERS: usize = 4;

/// A running LiveKit server.
#[derive(Debug)]
pub(crate) struct LiveKit {
    server: Server,
    port: u16,
    secret: String,
    subscribers: u32,
    /// Id of the published track.
    track: String,
    /// Kept open: a client whose connection closes leaves the room.
    sockets: Vec<JsonSocket>,
}

fn write_settings(path: &Path, port: u16, udp_port: u16, tcp_port: u16, secret: &str) -> std::io::Result<()> {
    let settings = json!({
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "keys": {KEY: secret},
        "logging": {"level": "warn"},
        "rtc": {
            "udp_port": udp_port,
            "tcp_port": tcp_port,
            "node_ip": "127.0.0.1",
            "use_external_ip": false,
            "use_ice_lite": true,
            "enable_loopback_candidate": true,
            "interfaces": {"includes": ["lo"]},
        },
    });
    // YAML contains JSON.
    fs::write(path, settings.to_string())
}

/// A JSON web token, signed with HMAC-SHA256 (RFC 7519).
fn token(secret: &str, identity: &str, now: u64) -> String {
    let grants = json!({"roomJoin": true, "room": ROOM, "canPublish": true, "canSubscribe": true});
    let claims = json!({"iss": KEY, "sub": identity, "nbf": now - 60, "exp": now + TOKEN_SECONDS, "video": grants});
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
}

/// `WrappedJoinRequest { join_request: JoinRequest { client_info: { sdk: RUST, protocol: 16 }, connection_settings: {
/// auto_subscribe } } }` in the binary form of protocol buffers: the one message that has no JSON form.
fn join_request(subscribes: bool) -> String {
    let client_info = [0x08, 8, 0x18, 16];
    let settings = [0x08, u8::from(subscribes)];
    let request = [&[0x0a, 4][..], &client_info, &[0x12, 2], &settings].concat();
    BASE64URL.encode(&[&[0x12, request.len() as u8][..], &request].concat())
}

/// Collects an answer and the candidates that arrive separately.
#[derive(Default)]
struct Answer {
    sdp: Option<Remote>,
    candidates: Vec<SocketAddr>,
}

impl Answer {
    /// Takes a message. Returns true once both have arrived.
    fn take(&mut self, message: &Value) -> Result<bool, PeerError> {
        if let Some(reason) = message["leave"]["reason"].as_str() {
            return Err(PeerError::Answer(format!("the server ends the session: {reason}")));
        }
        if let Some(sdp) = message["answer"]["sdp"].as_str() {
            let remote = sdp::parse(sdp)?;
            self.candidates.extend(&remote.candidates);
            self.sdp = Some(remote);
        }
        if let Some(candidate) = message["trickle"]["candidateInit"].as_str() {
            let init: Value = serde_json::from_str(candidate).unwrap_or_default();
            self.candidates.extend(init["candidate"].as_str().and_then(sdp::candidate));
        }
        Ok(self.sdp.is_some() && !self.candidates.is_empty())
    }
}

/// Sends an offer and returns the server's answer.
async fn negotiate(socket: &mut JsonSocket, offer: String) -> Result<(Remote, Vec<SocketAddr>), PeerError> {
    socket.send(&json!({"offer": {"type": "offer", "sdp": offer}})).await?;
    let mut answer = Answer::default();
    socket
        .wait_for(|message| match answer.take(message) {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        })
        .await??;
    let Answer { sdp: Some(sdp), candidates } = answer else {
        return Err(PeerError::Answer("no description".to_owned()));
    };
    Ok((sdp, candidates))
}

impl LiveKit {
    async fn join(&self, identity: &str, subscribes: bool) -> Result<JsonSocket, PeerError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = token(&self.secret, identity, now);
        let request = join_request(subscribes);
        let url = format!("ws://127.0.0.1:{}/rtc/v1?access_token={token}&join_request={request}", self.port);
        let mut socket = JsonSocket::connect(&url, None).await?;
        // The server answers in the form of the first message.
        socket.send(&json!({"ping": "1"})).await?;
        Ok(socket)
    }

    /// Joins with a track of these layers, which it offers as these streams. Returns the answer and the route.
    async fn enter(
        &mut self,
        fanout: &Fanout,
        layers: Value,
        streams: Streams<'_>,
    ) -> Result<(Remote, Route), PeerError> {
        let mut socket = self.join("publisher", false).await?;
        let track = json!({
            "cid": "camera", "name": "camera", "type": "VIDEO", "source": "CAMERA", "width": 1280, "height": 720,
            "layers": layers, "encryption": "CUSTOM",
        });
        socket.send(&json!({"addTrack": track})).await?;
        self.track =
            socket.wait_for(|message| message["trackPublished"]["track"]["sid"].as_str().map(str::to_owned)).await?;
        let credentials = credentials()?;
        let fingerprint = fanout.fingerprint();
        let local =
            Local { ufrag: &credentials.ufrag, pwd: &credentials.pwd, fingerprint: &fingerprint, address: None };
        let offer = sdp::offer(&local, Some(&Sending { track: "camera", streams }));
        let (answer, candidates) = negotiate(&mut socket, offer).await?;
        let route = route(credentials, &answer, &candidates);
        self.sockets.push(socket);
        Ok((answer, route))
    }
}

impl Peer for LiveKit {
    async fn start(setup: &Setup) -> Result<Self, PeerError> {
        let (folder, port, tcp_port) = (Server::folder()?, free_port().await?, free_port().await?);
        let udp_port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let secret = credentials()?.pwd.repeat(2);
        let settings = folder.path().join("livekit.yaml");
        write_settings(&settings, port, udp_port, tcp_port, &secret)?;
        let mut command = Command::new(&setup.livekit);
        command.arg("--config").arg(&settings).stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Server::start(&mut command, setup.server_core(), folder)?;
        server.listens(port).await?;
        Ok(Self { server, port, secret, subscribers: 0, track: String::new(), sockets: Vec::new() })
    }

    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError> {
        let (ssrc, rtx) = ssrcs(0);
        let layer = json!({"quality": "HIGH", "width": 1280, "height": 720, "bitrate": 5_000_000});
        let (answer, route) = self.enter(fanout, json!([layer]), Streams::Single { ssrc, rtx }).await?;
        Ok(fanout.publish(route, accepted_stream(&answer, (ssrc, rtx))?).await?)
    }

    async fn publish_camera(&mut self, fanout: &mut Fanout, camera: Camera) -> Result<Connecting, PeerError> {
        let layers = json!([
            {"quality": "LOW", "width": 320, "height": 180, "bitrate": camera.kbps * 90},
            {"quality": "MEDIUM", "width": 640, "height": 360, "bitrate": camera.kbps * 290},
            {"quality": "HIGH", "width": 1280, "height": 720, "bitrate": camera.kbps * 1_000},
        ]);
        let (answer, route) = self.enter(fanout, layers, Streams::Simulcast(&Camera::RIDS)).await?;
        Ok(fanout.publish_camera(route, camera, accepted_camera(&answer)?).await?)
    }

    async fn subscribe(&mut self, fanout: &mut Fanout, height: Option<u16>) -> Result<Connecting, PeerError> {
        self.subscribers += 1;
        let mut socket = self.join(&format!("subscriber {}", self.subscribers), true).await?;
        let credentials = credentials()?;
        let fingerprint = fanout.fingerprint();
        let local =
            Local { ufrag: &credentials.ufrag, pwd: &credentials.pwd, fingerprint: &fingerprint, address: None };
        for _ in 0..OFFERS {
            // The server asks for a section once it has a stream for this participant; it may have asked before.
            let asked = |message: &Value| message.get("mediaSectionsRequirement").map(|_| ());
            let _ = timeout(SECTION_WAIT, socket.wait_for(asked)).await;
            let (answer, candidates) = negotiate(&mut socket, sdp::offer(&local, None)).await?;
            let video = answer.sections.iter().find(|section| section.is_video() && section.accepted);
            let Some((video, ssrc)) = video.and_then(|video| Some((video, video.ssrc?))) else { continue };
            let streams = [ReceivedStream { ssrc, rtx: video.rtx_ssrc, is_audio: false }];
            let transport_cc = video.transport_cc;
            let route = route(credentials.clone(), &answer, &candidates);
            let connecting = fanout.receive(route, &streams, transport_cc).await?;
            if let Some(height) = height {
                let width = u32::from(height) * 16 / 9;
                let settings = json!({"trackSids": [self.track.clone()], "width": width, "height": height});
                socket.send(&json!({"trackSetting": settings})).await?;
            }
            self.sockets.push(socket);
            return Ok(connecting);
        }
        Err(PeerError::Answer("no answer has the stream".to_owned()))
    }

    fn usage(&self) -> Usage {
        self.server.usage()
    }

    async fn stop(self) {
        self.server.stop().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn token_signature() {
        let token = token("secret", "publisher", 1_000_000);
        let (signed, tag) = token.rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        hmac::verify(&key, signed.as_bytes(), &BASE64URL_NOPAD.decode(tag.as_bytes()).unwrap()).unwrap();
        let claims = BASE64URL_NOPAD.decode(signed.split_once('.').unwrap().1.as_bytes()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((claims["sub"].as_str(), claims["exp"].as_u64()), (Some("publisher"), Some(1_003_600)));
        assert_eq!(claims["video"]["roomJoin"], true);
    }

    #[test]
    fn answer_waits_for_candidate() {
        let sdp = "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 ".to_owned() + &["AB"; 32].join(":");
        let description = json!({"answer": {"type": "answer", "sdp": sdp}});
        let init = json!({"candidate": "candidate:1 1 udp 1 127.0.0.1 7882 typ host", "sdpMLineIndex": 0});
        let trickle = json!({"trickle": {"candidateInit": init.to_string(), "target": "PUBLISHER"}});
        for messages in [[&description, &trickle], [&trickle, &description]] {
            let mut answer = Answer::default();
            assert!(!answer.take(&json!({"update": {}})).unwrap());
            assert!(!answer.take(messages[0]).unwrap());
            assert!(answer.take(messages[1]).unwrap());
            assert_eq!(answer.candidates, [SocketAddr::from(([127, 0, 0, 1], 7_882))]);
        }
    }

    #[test]
    fn ended_session_has_reason() {
        let leave = json!({"leave": {"reason": "DUPLICATE_IDENTITY"}});
        assert!(Answer::default().take(&leave).unwrap_err().to_string().contains("DUPLICATE_IDENTITY"));
    }

    #[test]
    fn join_request_bytes() {
        let bytes = BASE64URL.decode(join_request(true).as_bytes()).unwrap();
        assert_eq!(bytes, [0x12, 10, 0x0a, 4, 0x08, 8, 0x18, 16, 0x12, 2, 0x08, 1]);
    }
}
