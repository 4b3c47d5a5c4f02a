//! What load test bots send: STUN, DTLS, SRTP and SRTCP, and only sealed frames inside SRTP.
//!
//! ```text
//!   tacet load ──► 127.0.0.2 (tap: records every datagram) ──► 127.0.0.1 tacet serve
//!                                                                   │ payloads, unchanged
//!                                                                   ▼
//!                                         a listener without keys, which decrypts SRTP and records them
//! ```
//! The server advertises another loopback address than it listens on, which is that of the tap. The listener receives
//! the payloads that the server had, since it forwards them unchanged.

#![cfg(all(feature = "serve", feature = "load"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use e2ee_frames::{Codec, codec, sframe::header};
use rtc_client::{ClientState, Identity, Received, RemoteParameters, RtcClient};
use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use support::Server;
use tacet_native::{
    call::{Call, CallEvent, JoinOptions},
    link::RoomLink,
    video::split_vp8,
};
use tacet_proto::{
    bytes::Fixed,
    client,
    media::{ClientIce, Codec as WireCodec, Dtls},
};

/// First bytes of every plaintext frame of a load test bot, and what fills the rest.
const MARK: &[u8] = b"tacet load frame";
const FILL: &[u8] = &[0x5a; 8];

/// Whether bytes of a plaintext frame are visible.
fn shows_a_frame(bytes: &[u8]) -> bool {
    // A quick check of the first byte; most positions need no comparison.
    let begins = |byte: u8| byte == FILL[0] || MARK[..MARK.len() - 7].contains(&byte);
    let shows = |window: &[u8]| window == FILL || MARK.windows(8).any(|mark| mark == window);
    bytes.windows(8).any(|window| begins(window[0]) && shows(window))
}

/// How unevenly bytes are distributed: chi-square against the uniform distribution, divided by its mean. Ciphertext
/// scores about 1; text and headers score tens.
fn unevenness(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let expected = bytes.len() as f64 / 256.0;
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum::<f64>() / 255.0
}

/// Forwards datagrams to the server and back, and records those sent to it.
struct Tap {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
}

impl Tap {
    fn start(port: u16) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let front = UdpSocket::bind(("127.0.0.2", port)).unwrap();
        let tap = Self { seen: seen.clone(), stop: stop.clone() };
        front.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        thread::spawn(move || {
            let mut clients: HashMap<SocketAddr, UdpSocket> = HashMap::new();
            let mut buffer = [0; 2_048];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = front.recv_from(&mut buffer) else { continue };
                seen.lock().unwrap().push(buffer[..length].to_vec());
                let server = clients.entry(from).or_insert_with(|| {
                    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
                    server.connect(("127.0.0.1", port)).unwrap();
                    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
                    let (back, front, stop) = (server.try_clone().unwrap(), front.try_clone().unwrap(), stop.clone());
                    thread::spawn(move || {
                        let mut buffer = [0; 2_048];
                        while !stop.load(Ordering::Relaxed) {
                            if let Ok(length) = back.recv(&mut buffer) {
                                let _ = front.send_to(&buffer[..length], from);
                            }
                        }
                    });
                    server
                });
                let _ = server.send(&buffer[..length]);
            }
        });
        tap
    }

    fn datagrams(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Payloads by the codec of the slot in which they arrived.
type Payloads = Vec<(WireCodec, Vec<u8>)>;

/// A participant without keys, which records the payloads inside SRTP until `over`.
async fn listen(link: RoomLink, over: Arc<AtomicBool>) -> Payloads {
    let options = JoinOptions { exchange_keys: false, ..JoinOptions::new("listener") };
    let mut call = Call::join(&link, &options).await.unwrap();
    let mut slots = Vec::new();
    let remote = loop {
        match call.next().await.unwrap() {
            CallEvent::Transport(remote) => break remote,
            CallEvent::Slots(early) => {
                slots.extend(early.add);
                call.slots_ready(early.rev).unwrap();
            }
            _ => {}
        }
    };
    let candidate = &remote.ice.candidates[0];
    let server = SocketAddr::new(candidate.ip.parse().unwrap(), candidate.port);
    let remote = RemoteParameters {
        ufrag: remote.ice.ufrag.clone(),
        pwd: remote.ice.pwd.clone(),
        fingerprint: remote.dtls.fingerprint.0,
        candidates: vec![server],
    };
    let mut transport = RtcClient::new(Instant::now(), &Identity::generate().unwrap(), remote).unwrap();
    let local = transport.local();
    call.transport(client::ClientTransport {
        ice: ClientIce { ufrag: local.ufrag, pwd: local.pwd },
        dtls: Dtls { fingerprint: Fixed(local.fingerprint) },
    })
    .unwrap();
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut payloads, mut buffer) = (Vec::new(), [0; 2_048]);
    while !over.load(Ordering::Relaxed) {
        transport.tick(Instant::now());
        while let Some(datagram) = transport.poll_transmit() {
            socket.send_to(&datagram, server).await.unwrap();
        }
        tokio::select! {
            received = socket.recv(&mut buffer) => {
                let datagram = &mut buffer[..received.unwrap()];
                if let Ok(Received::Rtp(packet)) = transport.handle(Instant::now(), datagram) {
                    let (ssrc, payload) = read_rtp(packet);
                    let slot = slots.iter().find(|slot| slot.ssrc == ssrc || slot.rtx == Some(ssrc));
                    let Some(slot) = slot else { continue };
                    let repair = if slot.rtx == Some(ssrc) { 2 } else { 0 };
                    payloads.push((slot.codec, payload[repair..].to_vec()));
                }
            }
            event = call.next() => if let CallEvent::Slots(more) = event.unwrap() {
                slots.extend(more.add);
                call.slots_ready(more.rev).unwrap();
            },
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    assert_eq!(transport.state(), ClientState::Connected);
    call.leave().await;
    payloads
}

/// SSRC and payload of an RTP packet.
fn read_rtp(packet: &[u8]) -> (u32, &[u8]) {
    let mut start = 12 + 4 * usize::from(packet[0] & 0xf);
    if packet[0] & 0x10 != 0 {
        start += 4 + 4 * usize::from(u16::from_be_bytes([packet[start + 2], packet[start + 3]]));
    }
    (u32::from_be_bytes(packet[8..12].try_into().unwrap()), &packet[start..])
}

/// Runs a load test. Returns the datagrams on the wire and the payloads inside SRTP.
fn run(arguments: &[&str]) -> (Vec<Vec<u8>>, Payloads) {
    let server = Server::start(&["--advertise", "127.0.0.2"]);
    let tap = Tap::start(server.media_port);
    let over = Arc::new(AtomicBool::new(false));
    // The advertised address is for media only.
    let address = server.link.replace("127.0.0.2", "127.0.0.1");
    let (link, until) = (address.parse().unwrap(), over.clone());
    let listener = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(listen(link, until))
    });
    let output = Command::new(env!("CARGO_BIN_EXE_tacet"))
        .args(["load", "--json", "--warmup", "0.5", "--seconds", "1", "--server", &address])
        .args(arguments)
        .output()
        .unwrap();
    over.store(true, Ordering::Relaxed);
    let payloads = listener.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (tap.datagrams(), payloads)
}

/// Every datagram is of an encrypted protocol or carries no media, and shows no plaintext frame.
fn check_wire(datagrams: &[Vec<u8>]) {
    let mut kinds = [0; 3];
    for datagram in datagrams {
        // RFC 7983.
        match datagram[0] {
            0..=3 => kinds[0] += 1,
            20..=63 => kinds[1] += 1,
            128..=191 => kinds[2] += 1,
            other => panic!("neither STUN nor DTLS nor SRTP: first byte {other}"),
        }
        assert!(!shows_a_frame(datagram), "a plaintext frame on the wire");
    }
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
}

/// Every payload is a sealed frame or part of one.
fn check_payloads(payloads: &Payloads, wanted: WireCodec) {
    let of_codec: Vec<&[u8]> = payloads.iter().filter(|(c, _)| *c == wanted).map(|(_, p)| p.as_slice()).collect();
    assert!(of_codec.len() > 20, "{} packets of {wanted:?}", of_codec.len());
    let mut ciphertext = Vec::new();
    for payload in of_codec {
        assert!(!shows_a_frame(payload), "a plaintext frame inside SRTP");
        let (starts, codec, frame) = match wanted {
            WireCodec::Opus => (true, Codec::Opus, payload),
            _ => {
                let (starts, frame) = split_vp8(payload).unwrap();
                (starts, Codec::Vp8, frame)
            }
        };
        if starts {
            // A constant envelope, then an SFrame header; the rest is ciphertext.
            let sealed = &frame[codec::locate(codec, frame).unwrap().range];
            ciphertext.extend_from_slice(&sealed[header::parse(sealed).unwrap().1..]);
        } else {
            ciphertext.extend_from_slice(frame);
        }
    }
    let unevenness = unevenness(&ciphertext);
    assert!(unevenness < 1.6, "{unevenness} over {} bytes", ciphertext.len());
}

#[test]
fn full_bots_send_only_sealed_audio_and_video() {
    let (datagrams, payloads) = run(&["--scenario", "everyone", "--participants", "2", "--canaries", "1"]);
    check_wire(&datagrams);
    check_payloads(&payloads, WireCodec::Opus);
    check_payloads(&payloads, WireCodec::Vp8);
}

#[test]
fn light_bots_send_only_sealed_frames() {
    let (datagrams, payloads) = run(&["--scenario", "one-to-many", "--subscribers", "1", "--canaries", "0", "--light"]);
    check_wire(&datagrams);
    check_payloads(&payloads, WireCodec::Opus);
    check_payloads(&payloads, WireCodec::Vp8);
}

#[test]
fn single_packets_are_sealed_frames() {
    let (datagrams, payloads) = run(&["--subscribers", "1", "--canaries", "1", "--burst", "4"]);
    check_wire(&datagrams);
    check_payloads(&payloads, WireCodec::Vp8);
}

#[test]
fn canaries_send_only_sealed_audio() {
    // No other bot sends audio.
    let file = std::env::temp_dir().join(format!("tacet-wire-{}.toml", std::process::id()));
    std::fs::write(
        &file,
        "name = 'canaries'\npublishers = 1\nparticipants = 1\ncanaries = 2\n[video]\nframes_per_second = 5\n",
    )
    .unwrap();
    let (datagrams, payloads) = run(&["--scenario", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    check_wire(&datagrams);
    check_payloads(&payloads, WireCodec::Opus);
}

#[test]
fn checks_detect_unsealed_frames() {
    let frame = [MARK, &[0x5a; 500]].concat();
    let payloads: Payloads = (0..30).map(|_| (WireCodec::Opus, frame.clone())).collect();
    assert!(shows_a_frame(&frame) && shows_a_frame(&frame[100..120]) && shows_a_frame(&frame[3..13]));
    assert!(std::panic::catch_unwind(|| check_payloads(&payloads, WireCodec::Opus)).is_err());
    assert!(std::panic::catch_unwind(|| check_wire(&[frame])).is_err());
    let text: Vec<u8> = "It was the best of times, it was the worst of times. ".bytes().cycle().take(20_000).collect();
    assert!(unevenness(&text) > 10.0);
}
