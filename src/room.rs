//! `tacet room`: makes a room on a running server. The secret is drawn here and stays here.

use crate::link::{Invite, room_link};
use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};
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
        let origin = self.server.trim_end_matches('/');
        let Some(authority) = origin.strip_prefix("http://") else {
            bail!("only http:// is spoken here: run this on the server's machine, or make the room on the page");
        };
        let invite = Invite::random()?;
        let body = serde_json::json!({ "access_hash": Fixed(invite.access_hash().0).encode() }).to_string();
        let (status, body) =
            post(authority, "/v1/rooms", self.api_key.as_deref(), &body).with_context(|| format!("asking {origin}"))?;
        if status != 201 {
            let reason = serde_json::from_str(&body).map_or("no reason given".to_owned(), |p: Problem| p.error);
            bail!("the server made no room (HTTP status {status}): {reason}");
        }
        let Made { room } = serde_json::from_str(&body).context("the server's answer is not that of tacet")?;
        writeln!(std::io::stdout(), "{}", room_link(origin, room, &invite))?;
        Ok(())
    }
}

/// One HTTP/1.1 request; status and body of the answer.
fn post(authority: &str, path: &str, key: Option<&str>, body: &str) -> anyhow::Result<(u16, String)> {
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !visible(authority) || !key.is_none_or(visible) {
        bail!("address and key are visible ASCII characters");
    }
    // A port, if there is one, follows the last colon outside the brackets of an IPv6 address.
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let address = address.to_socket_addrs()?.next().context("no such host")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n{authorization}\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.take(MOST).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not an HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("not an HTTP answer")?;
    Ok((status, body.to_owned()))
}
