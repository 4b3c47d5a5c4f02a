//! `tacet room`: makes a room on a running server. The secret is drawn here and stays here.

use crate::{
    link::{Invite, room_link},
    pin::pin,
};
use anyhow::{Context, bail};
use clap::Args;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};
use serde::Deserialize;
use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tacet_native::{link::Origin, tls::Trust};
use tacet_proto::{RoomId, bytes::Fixed};

const PATIENCE: Duration = Duration::from_secs(10);
/// More than any answer of the server.
const MOST: u64 = 64 << 10;

/// Makes a room on a running server and prints its link
///
/// The link's secret is made on this machine. The server gets the hash of a token that is derived from it.
#[derive(Args, Debug)]
pub(crate) struct Room {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8800")]
    server: String,
    /// SHA-256 of the server's self-signed certificate, as it prints it at its start
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// The server's key for making rooms, if it wants one
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    room: RoomId,
}

#[derive(Deserialize)]
struct Problem {
    error: String,
}

impl Room {
    /// Makes the room.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let origin: Origin = self.server.trim_end_matches('/').parse()?;
        let trust = match (origin.is_secure(), self.pin) {
            (false, Some(_)) => bail!("--pin is for https://, and {origin} is not"),
            (false, None) => None,
            (true, pin) => Some(pin.map_or(Trust::PublicAuthorities, Trust::Pinned)),
        };
        let invite = Invite::random()?;
        let body = serde_json::json!({ "access_hash": Fixed(invite.access_hash().0).encode() }).to_string();
        let (status, body) = post(&origin, trust, "/v1/rooms", self.api_key.as_deref(), &body)
            .with_context(|| format!("asking {origin}"))?;
        if status != 201 {
            let reason = serde_json::from_str(&body).map_or("no reason given".to_owned(), |p: Problem| p.error);
            bail!("the server made no room (HTTP status {status}): {reason}");
        }
        let Made { room } = serde_json::from_str(&body).context("the server's answer is not that of tacet")?;
        writeln!(std::io::stdout(), "{}", room_link(&origin.to_string(), room, &invite))?;
        Ok(())
    }
}

/// One HTTP/1.1 request, over TLS if it is said whom to trust; status and body of the answer.
fn post(
    origin: &Origin,
    trust: Option<Trust>,
    path: &str,
    key: Option<&str>,
    body: &str,
) -> anyhow::Result<(u16, String)> {
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !key.is_none_or(visible) {
        bail!("the key is visible ASCII characters");
    }
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let (authority, host, length) = (origin.authority(), origin.host(), body.len());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n{authorization}\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let address = (host, origin.port()).to_socket_addrs()?.next().context("no such host")?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let answer = match trust {
        None => exchange(stream, &request)?,
        Some(trust) => {
            let name = ServerName::try_from(host.to_owned()).context("not a host name")?;
            let tls = ClientConnection::new(Arc::new(trust.client_config()?), name)?;
            exchange(StreamOwned::new(tls, stream), &request)?
        }
    };
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("not an HTTP answer")?;
    Ok((status, body.to_owned()))
}

/// Sends the request and reads until the server closes.
fn exchange(mut stream: impl Read + Write, request: &str) -> anyhow::Result<String> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.take(MOST).read_to_end(&mut answer) {
        // A server that closes without TLS's own good-bye has still said all: the length is in the answer.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        other => drop(other?),
    }
    Ok(String::from_utf8(answer)?)
}
