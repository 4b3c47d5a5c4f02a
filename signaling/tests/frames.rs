//! Frames against RFC 6455, and frames that become no message: how the server closes, byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};
use support::{Server, config};
use tacet_proto::SUBPROTOCOL;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// Long enough that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TCP connection behind an opening handshake.
async fn open(server: &Server) -> (OwnedReadHalf, OwnedWriteHalf) {
    let (mut read, mut write) = TcpStream::connect(server.address).await.unwrap().into_split();
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n",
        server.address
    );
    write.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
    (read, write)
}

/// A frame of a client. `first` is FIN, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The code of the Close frame that the server sends, after whatever else it says.
async fn close_code(mut read: OwnedReadHalf) -> Option<u16> {
    let reading = async {
        loop {
            let first = read.read_u8().await.ok()?;
            let length = match read.read_u8().await.ok()? {
                126 => usize::from(read.read_u16().await.ok()?),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            read.read_exact(&mut payload).await.ok()?;
            if first == 0x88 {
                return Some(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)));
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the server closes")
}

#[tokio::test]
async fn violations_close_with_the_code_of_their_cause() {
    let server = Server::start(config());
    let masked = |first, payload: &[u8]| frame(first, payload);
    let large = masked(0x81, &[b' '; 16_385]);
    let mut declared = vec![0x82, 0x80 | 127];
    declared.extend_from_slice(&(1u64 << 62).to_be_bytes());
    declared.extend_from_slice(&[0; 4]);
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", vec![0x81, 2, b'{', b'}'], 1002),
        ("first reserved bit", masked(0xc1, b"{}"), 1002),
        ("second reserved bit", masked(0xa1, b"{}"), 1002),
        ("third reserved bit", masked(0x91, b"{}"), 1002),
        ("reserved data opcode", masked(0x83, b"{}"), 1002),
        ("reserved control opcode", masked(0x8b, b""), 1002),
        ("continuation of nothing", masked(0x80, b"{}"), 1002),
        ("message inside a message", [masked(0x01, b"{"), masked(0x81, b"}")].concat(), 1002),
        ("fragmented ping", masked(0x09, b""), 1002),
        ("ping of 126 bytes", masked(0x89, &[0; 126]), 1002),
        ("close of one byte", masked(0x88, &[3]), 1002),
        ("close without a code", masked(0x88, b""), 1005),
        ("close with a code", masked(0x88, &1000u16.to_be_bytes()), 1000),
        ("close with a code that no peer sends", masked(0x88, &1006u16.to_be_bytes()), 1002),
        ("close with a reason that is not UTF-8", masked(0x88, &[3, 0xe8, 0xff]), 1007),
        ("text that is not UTF-8", masked(0x81, &[0xff, 0xfe]), 1007),
        ("text that is not UTF-8, in fragments", [masked(0x01, &[0xe2, 0x82]), masked(0x80, b"x")].concat(), 1007),
        ("text that is not JSON", masked(0x81, b"hello"), 1007),
        ("more than 16,384 bytes", large, 1009),
        ("a length that no memory has", declared, 1009),
        ("eleven pings", masked(0x89, b"").repeat(11), 1008),
        ("an empty binary message twenty times", masked(0x82, b"").repeat(20), 4400),
    ];
    for (name, bytes, code) in cases {
        let (read, mut write) = open(&server).await;
        write.write_all(&bytes).await.unwrap();
        assert_eq!(close_code(read).await, Some(code), "{name}");
    }
}

/// Sends frames for as long as the server takes them, and returns the close code and the bytes that were sent.
async fn flood(server: &Server, first: &[u8], again: &[u8]) -> (Option<u16>, usize) {
    let (read, mut write) = open(server).await;
    let closing = tokio::spawn(close_code(read));
    let mut sent = first.len();
    write.write_all(first).await.unwrap();
    let block = again.repeat(4_096 / again.len() + 1);
    while !closing.is_finished() && write.write_all(&block).await.is_ok() {
        sent += block.len();
    }
    (closing.await.unwrap(), sent)
}

#[tokio::test]
async fn fragments_that_become_no_message_close() {
    let server = Server::start(config());
    for (name, first, again) in [
        ("empty fragments", frame(0x01, b"{"), frame(0x00, b"")),
        ("fragments of a byte", frame(0x01, b"{"), frame(0x00, b" ")),
        ("empty fragments of bytes", frame(0x02, b""), frame(0x00, b"")),
    ] {
        let begun = Instant::now();
        let (code, _) = flood(&server, &first, &again).await;
        // Fragments that carry bytes may be too large before they are too many.
        assert!(matches!(code, Some(1008 | 1009 | 4429)), "{name}: {code:?}");
        assert!(begun.elapsed() < PATIENCE, "{name}");
    }
}

#[tokio::test]
async fn message_in_fragments_of_one_byte_is_accepted() {
    let server = Server::start(config());
    let (mut read, mut write) = open(&server).await;
    let text = format!("{:16384}", r#"{"t":"ping","ms":1}"#);
    let (last, others) = text.as_bytes().split_last().unwrap();
    let mut bytes = Vec::new();
    for (index, byte) in others.iter().enumerate() {
        bytes.extend(frame(u8::from(index == 0), &[*byte]));
    }
    bytes.extend(frame(0x80, &[*last]));
    write.write_all(&bytes).await.unwrap();
    let mut received = Vec::new();
    let said = async {
        while !String::from_utf8_lossy(&received).contains("unauthenticated") {
            assert_ne!(read.read_buf(&mut received).await.unwrap(), 0);
        }
    };
    timeout(PATIENCE, said).await.expect("the server answers");
}
