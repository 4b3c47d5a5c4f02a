//! The wire messages: one JSON object a line. Bytes are hexadecimal.

use anyhow::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
};

/// Longest line that is read.
const MAX_LINE: u64 = 64 << 10;

/// What a client says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToServer {
    /// First: who it is, in bytes that only those with the link can check.
    Join { announce: Hex, display: Hex },
    /// Its half of the transport.
    Transport { ufrag: String, pwd: String, fingerprint: Hex },
    /// It sends sound, under this SSRC.
    Publish { ssrc: u32 },
    /// It can receive in this slot now.
    SlotApplied { mid: String },
    /// Keys, each sealed to one other device.
    Keys(Hex),
}

/// What the server says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToClient {
    /// It has a seat, and here is the server's half of the transport.
    Welcome { seat: u16, ufrag: String, pwd: String, fingerprint: Hex, candidates: Vec<SocketAddr> },
    /// Who is there, as they announced themselves.
    Announces(Hex),
    /// Keys of others for this client.
    Keys(Hex),
    /// Its SRTP keys are in use at the server.
    Connected,
    /// Sound will come in this slot, under this SSRC.
    Slot { mid: String, ssrc: u32 },
    /// Somebody has left.
    Left { participant: u32 },
    /// The server will not.
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

/// The messages of a peer, until it hangs up.
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
