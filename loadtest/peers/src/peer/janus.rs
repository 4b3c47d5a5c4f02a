//! Janus with its video room, by its JSON API over a WebSocket.
//!
//! As installed, but for what a loopback run without outside services needs: ICE-lite on loopback, no other plugins and
//! transports, no session timeout, errors alone in the log.

use super::{Peer, PeerError, Setup, accepted_camera, accepted_stream, credentials, route, ssrcs};
use crate::{
    json_socket::JsonSocket,
    sdp::{self, Local, Remote, Sending, Streams},
    server::{Server, free_port},
};
use loadtest::{
    Usage,
    fanout::{Camera, Connecting, Fanout, ReceivedStream, Route},
};
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, path::Path, process::Stdio};
use tokio::process::Command;

const PLUGIN: &str = "janus.plugin.videoroom";
const ROOM: u64 = 1;
const FEED: u64 = 1;
/// Plugins of the package that take threads and memory and are not compared.
const OTHER_PLUGINS: [&str; 10] =
    ["audiobridge", "duktape", "echotest", "lua", "nosip", "recordplay", "sip", "streaming", "textroom", "videocall"];
const OTHER_TRANSPORTS: [&str; 5] = ["http", "mqtt", "nanomsg", "pfunix", "rabbitmq"];

/// Janus with a thread for each session, or with that many event loops for all of them.
#[derive(Debug)]
pub(crate) struct Janus<const EVENT_LOOPS: usize> {
    server: Server,
    socket: JsonSocket,
    session: u64,
    transactions: u64,
    subscribers: u32,
}

/// The settings, in libconfig's format.
fn write_settings(folder: &Path, port: u16, event_loops: usize) -> std::io::Result<()> {
    let libraries =
        |names: &[&str]| names.iter().map(|name| format!("libjanus_{name}.so")).collect::<Vec<_>>().join(",");
    let plugins = libraries(&[&OTHER_PLUGINS[..], &["voicemail"]].concat());
    let transports = libraries(&OTHER_TRANSPORTS);
    let loops = if event_loops == 0 { String::new() } else { format!("event_loops = {event_loops}") };
    let core = format!(
        "general: {{ debug_level = 2 session_timeout = 0 {loops} }}\n\
         media: {{ ipv6 = false }}\n\
         nat: {{ nice_debug = false ice_lite = true }}\n\
         plugins: {{ disable = \"{plugins}\" }}\n\
         transports: {{ disable = \"{transports}\" }}\n\
         events: {{ broadcast = false }}\n"
    );
    fs::write(folder.join("janus.jcfg"), core)?;
    let websockets = format!("general: {{ json = \"compact\" ws = true ws_port = {port} ws_ip = \"127.0.0.1\" }}\n");
    fs::write(folder.join("janus.transport.websockets.jcfg"), websockets)?;
    fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: { events = false }\n")
}

/// The part of a message that answers `transaction`; `Err` with what the server complains of.
fn reply_to(message: &Value, transaction: &str) -> Option<Result<Value, PeerError>> {
    if message["transaction"] != transaction || message["janus"] == "ack" {
        return None;
    }
    let error = [&message["error"]["reason"], &message["plugindata"]["data"]["error"]];
    let error = error.into_iter().find_map(Value::as_str);
    Some(error.map_or_else(|| Ok(message.clone()), |error| Err(PeerError::Answer(error.to_owned()))))
}

/// The description of a message.
fn description(message: &Value) -> Result<Remote, PeerError> {
    let sdp = message["jsep"]["sdp"].as_str();
    Ok(sdp::parse(sdp.ok_or_else(|| PeerError::Answer("no description".to_owned()))?)?)
}

fn id(message: &Value) -> Result<u64, PeerError> {
    message["data"]["id"].as_u64().ok_or_else(|| PeerError::Answer("no id".to_owned()))
}

impl<const EVENT_LOOPS: usize> Janus<EVENT_LOOPS> {
    async fn request(&mut self, mut message: Value) -> Result<Value, PeerError> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        message["transaction"] = json!(transaction);
        if self.session != 0 {
            message["session_id"] = json!(self.session);
        }
        self.socket.send(&message).await?;
        self.socket.wait_for(|message| reply_to(message, &transaction)).await?
    }

    async fn attach(&mut self) -> Result<u64, PeerError> {
        id(&self.request(json!({"janus": "attach", "plugin": PLUGIN})).await?)
    }

    async fn message(&mut self, handle: u64, body: Value, jsep: Option<Value>) -> Result<Value, PeerError> {
        let mut message = json!({"janus": "message", "handle_id": handle, "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        self.request(message).await
    }

    /// Sends the bot's candidate; Janus acknowledges it, which is not awaited.
    async fn trickle(&mut self, handle: u64, address: SocketAddr) -> Result<(), PeerError> {
        let candidate = json!({"candidate": sdp::host_candidate(address), "sdpMid": "0", "sdpMLineIndex": 0});
        for candidate in [candidate, json!({"completed": true})] {
            self.transactions += 1;
            let trickle = json!({
                "janus": "trickle", "session_id": self.session, "handle_id": handle,
                "transaction": self.transactions.to_string(), "candidate": candidate,
            });
            self.socket.send(&trickle).await?;
        }
        Ok(())
    }

    /// Creates the room, and enters it with an offer of these streams. Returns the handle, the answer and the route.
    async fn enter(&mut self, fanout: &Fanout, streams: Streams<'_>) -> Result<(u64, Remote, Route), PeerError> {
        let handle = self.attach().await?;
        let room = json!({
            "request": "create", "room": ROOM, "publishers": 1, "videocodec": "vp8", "transport_wide_cc_ext": true,
        });
        self.message(handle, room, None).await?;
        let join = json!({"request": "join", "ptype": "publisher", "room": ROOM, "id": FEED});
        self.message(handle, join, None).await?;
        let credentials = credentials()?;
        let fingerprint = fanout.fingerprint();
        let local =
            Local { ufrag: &credentials.ufrag, pwd: &credentials.pwd, fingerprint: &fingerprint, address: None };
        let offer = sdp::offer(&local, Some(&Sending { track: "camera", streams }));
        let jsep = json!({"type": "offer", "sdp": offer});
        let answer = description(&self.message(handle, json!({"request": "publish"}), Some(jsep)).await?)?;
        let route = route(credentials, &answer, &answer.candidates);
        Ok((handle, answer, route))
    }
}

impl<const EVENT_LOOPS: usize> Peer for Janus<EVENT_LOOPS> {
    async fn start(setup: &Setup) -> Result<Self, PeerError> {
        let (folder, port) = (Server::folder()?, free_port().await?);
        write_settings(folder.path(), port, EVENT_LOOPS)?;
        let mut command = Command::new(&setup.janus);
        command.arg("-F").arg(folder.path()).arg("-C").arg(folder.path().join("janus.jcfg"));
        command.arg("--disable-colors").stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = Server::start(&mut command, setup.server_core(), folder)?;
        server.listens(port).await?;
        let socket = JsonSocket::connect(&format!("ws://127.0.0.1:{port}"), Some("janus-protocol")).await?;
        let mut janus = Self { server, socket, session: 0, transactions: 0, subscribers: 0 };
        janus.session = id(&janus.request(json!({"janus": "create"})).await?)?;
        Ok(janus)
    }

    async fn publish(&mut self, fanout: &Fanout) -> Result<Connecting, PeerError> {
        let (ssrc, rtx) = ssrcs(0);
        let (handle, answer, route) = self.enter(fanout, Streams::Single { ssrc, rtx }).await?;
        let connecting = fanout.publish(route, accepted_stream(&answer, (ssrc, rtx))?).await?;
        self.trickle(handle, connecting.address()).await?;
        Ok(connecting)
    }

    async fn publish_camera(&mut self, fanout: &mut Fanout, camera: Camera) -> Result<Connecting, PeerError> {
        let (handle, answer, route) = self.enter(fanout, Streams::Simulcast(&Camera::RIDS)).await?;
        let connecting = fanout.publish_camera(route, camera, accepted_camera(&answer)?).await?;
        self.trickle(handle, connecting.address()).await?;
        Ok(connecting)
    }

    async fn subscribe(&mut self, fanout: &mut Fanout, height: Option<u16>) -> Result<Connecting, PeerError> {
        let handle = self.attach().await?;
        self.subscribers += 1;
        let mut stream = json!({"feed": FEED});
        if let Some(substream) = height.and_then(|height| Camera::HEIGHTS.iter().position(|of| *of == height)) {
            stream["substream"] = json!(substream);
        }
        let join = json!({"request": "join", "ptype": "subscriber", "room": ROOM, "streams": [stream]});
        let offer = description(&self.message(handle, join, None).await?)?;
        let video = offer.sections.iter().find(|section| section.is_video());
        let video = video.ok_or_else(|| PeerError::Answer("no video is offered".to_owned()))?;
        let ssrc = video.ssrc.ok_or_else(|| PeerError::Answer("the video has no SSRC".to_owned()))?;
        let streams = [ReceivedStream { ssrc, rtx: video.rtx_ssrc, is_audio: false }];
        let transport_cc = video.transport_cc;
        let credentials = credentials()?;
        let fingerprint = fanout.fingerprint();
        let connecting =
            fanout.receive(route(credentials.clone(), &offer, &offer.candidates), &streams, transport_cc).await?;
        let address = Some(connecting.address());
        let local = Local { ufrag: &credentials.ufrag, pwd: &credentials.pwd, fingerprint: &fingerprint, address };
        let jsep = json!({"type": "answer", "sdp": sdp::answer(&offer, &local)});
        self.message(handle, json!({"request": "start"}), Some(jsep)).await?;
        Ok(connecting)
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
    fn unrelated_messages_are_skipped() {
        assert!(reply_to(&json!({"janus": "ack", "transaction": "7"}), "7").is_none());
        assert!(reply_to(&json!({"janus": "webrtcup", "sender": 5}), "7").is_none());
        assert!(reply_to(&json!({"janus": "event", "transaction": "6"}), "7").is_none());
        let created = json!({"janus": "success", "transaction": "7", "data": {"id": 99}});
        assert_eq!(id(&reply_to(&created, "7").unwrap().unwrap()).unwrap(), 99);
    }

    #[test]
    fn janus_error_is_reported() {
        let core = json!({"janus": "error", "transaction": "7", "error": {"code": 460, "reason": "No such plugin"}});
        let room = json!({
            "janus": "event", "transaction": "7", "plugindata": {"data": {"error_code": 426, "error": "No such room"}},
        });
        for (message, expected) in [(core, "No such plugin"), (room, "No such room")] {
            assert!(reply_to(&message, "7").unwrap().unwrap_err().to_string().contains(expected));
        }
    }

    #[test]
    fn configuration_names_port_and_loops() {
        let folder = Server::folder().unwrap();
        write_settings(folder.path(), 4_711, 2).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("janus.jcfg").contains("event_loops = 2"));
        assert!(read("janus.transport.websockets.jcfg").contains("ws_port = 4711"));
    }
}
