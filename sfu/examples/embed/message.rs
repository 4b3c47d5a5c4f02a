//! The wire messages: one JSON object per line. Bytes are hexadecimal.

use anyhow::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
};

/// Maximum length of a line in bytes.
const MAX_LINE: u64 = 64 << 10;

/// A message from a client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToServer {
    /// First message: its announce, which only holders of the link can verify.
    Join { announce: Hex, display: Hex },
    /// The client's transport parameters.
    Transport { ufrag: String, pwd: String, fingerprint: Hex },
    /// It publishes audio with this SSRC.
    Publish { ssrc: u32 },
    /// It has applied this slot.
    SlotApplied { mid: String },
    /// Session keys, each sealed to one other device.
    Keys(Hex),
}

/// A message from the server.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToClient {
    /// The client's seat, and the server's transport parameters.
    Welcome { seat: u16, ufrag: String, pwd: String, fingerprint: Hex, candidates: Vec<SocketAddr> },
    /// Announces of other participants.
    Announces(Hex),
    /// Session keys of others for this client.
    Keys(Hex),
    /// The transport is connected.
    Connected,
    /// A new slot for audio, with this SSRC.
    Slot { mid: String, ssrc: u32 },
    /// A participant has left.
    Left { participant: u32 },
    /// The server refused a request.
    Refused { why: String },
}

/// Bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        data_encoding::HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

impl From<Hex> for String {
    fn from(bytes: Hex) -> Self {
        data_encoding::HEXLOWER.encode(&bytes.0)
    }
}

/// Sends a message.
pub(crate) fn send(mut stream: &TcpStream, message: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(stream.write_all(&line)?)
}

/// Iterates over the messages of a peer until it closes the connection.
pub(crate) fn receive<M: DeserializeOwned>(stream: TcpStream) -> impl Iterator<Item = Result<M>> {
    let mut stream = BufReader::new(stream);
    std::iter::from_fn(move || {
        let mut line = String::new();
        match std::io::Read::take(&mut stream, MAX_LINE).read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).map_err(Into::into)),
            Err(error) => Some(Err(error.into())),
        }
    })
}
