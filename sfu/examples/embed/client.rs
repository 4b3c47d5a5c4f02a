//! A client: signaling over TCP, media over UDP, and a device that seals or opens frames.

use crate::{
    FRAMES,
    device::Device,
    message::{Hex, ToClient, ToServer, receive, send},
};
use anyhow::{Context, Result, bail};
use e2ee_frames::{Action, Event, ParticipantId, Seat};
use rtc_client::{ClientState, Identity, Received, RemoteParameters, RtcClient};
use rtp_wire::rtp::RtpPacket;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Role of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sends frames until all others have left.
    Speaks,
    /// Opens [`FRAMES`] frames and leaves.
    Listens,
}

/// Timeout of each step. Far more than any step needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval between frames of a speaker.
const PACE: Duration = Duration::from_millis(20);
/// Maximum time to wait for a datagram.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// SSRC of every speaker: SSRCs only need to be unique per participant.
const SSRC: u32 = 7;

/// Takes part in the call.
pub(crate) fn run(name: &'static str, role: Role, server: SocketAddr, invite: &[u8; 32]) -> Result<()> {
    let signaling = TcpStream::connect(server)?;
    let (messages, inbox) = mpsc::channel();
    let reader = signaling.try_clone()?;
    thread::spawn(move || receive(reader).try_for_each(|message| messages.send(message)));
    let device = Device::new(name, invite)?;
    let identity = Identity::generate()?;
    let mut client = Client {
        name,
        role,
        signaling,
        device,
        identity,
        path: None,
        names: BTreeMap::new(),
        have_left: 0,
        may_speak: false,
        sequence: 0,
        opened: 0,
    };
    // The first action of a new session is its announce.
    let actions = client.device.tick()?;
    client.carry_out(actions)?;
    let (start, mut next_frame) = (Instant::now(), Instant::now());
    while !client.is_done() {
        if start.elapsed() > PATIENCE {
            bail!("not done after {PATIENCE:?}: {} frames opened", client.opened);
        }
        while let Ok(message) = inbox.try_recv() {
            client.on_message(message?)?;
        }
        let actions = client.device.tick()?;
        client.carry_out(actions)?;
        client.step()?;
        if next_frame <= Instant::now() {
            next_frame += PACE;
            client.speak()?;
        }
    }
    println!("{name}: leaves");
    client.leave()
}

struct Client {
    name: &'static str,
    role: Role,
    signaling: TcpStream,
    device: Device,
    identity: Identity,
    path: Option<Path>,
    /// Participants that have proven that they have the link.
    names: BTreeMap<u32, String>,
    have_left: usize,
    /// Whether there is a key to seal frames with.
    may_speak: bool,
    sequence: u16,
    opened: usize,
}

/// The media path.
struct Path {
    socket: UdpSocket,
    transport: RtcClient,
}

impl Client {
    fn is_done(&self) -> bool {
        match self.role {
            Role::Speaks => self.have_left == 2,
            Role::Listens => self.opened == FRAMES,
        }
    }

    fn on_message(&mut self, message: ToClient) -> Result<()> {
        let actions = match message {
            ToClient::Welcome { seat, ufrag, pwd, fingerprint, candidates } => {
                let Ok(fingerprint) = fingerprint.0.try_into() else { bail!("a fingerprint has 32 bytes") };
                self.connect(&RemoteParameters { ufrag, pwd, fingerprint, candidates })?;
                self.device.happened(Event::Joined { seat: Seat(seat) })?
            }
            ToClient::Announces(body) => self.device.happened(Event::Announces(&body.0))?,
            ToClient::Keys(body) => self.device.happened(Event::Keys(&body.0))?,
            ToClient::Connected if self.role == Role::Speaks => {
                send(&self.signaling, &ToServer::Publish { ssrc: SSRC })?;
                self.device.speak()?
            }
            ToClient::Connected => return Ok(()),
            ToClient::Slot { mid, ssrc } => {
                println!("{}: will receive in slot {mid}, under SSRC {ssrc:#010x}", self.name);
                return send(&self.signaling, &ToServer::SlotApplied { mid });
            }
            ToClient::Left { participant } => {
                self.have_left += 1;
                self.device.happened(Event::Left(&[ParticipantId(participant)]))?
            }
            ToClient::Refused { why } => bail!("the server refuses: {why}"),
        };
        self.carry_out(actions)
    }

    /// Executes the actions of the session.
    fn carry_out(&mut self, actions: Vec<Action>) -> Result<()> {
        for action in actions {
            match action {
                Action::SendAnnounce { announce, display, .. } => {
                    send(&self.signaling, &ToServer::Join { announce: Hex(announce), display: Hex(display) })?;
                }
                Action::SendKeyBatch { number, body } => {
                    send(&self.signaling, &ToServer::Keys(Hex(body)))?;
                    // This example has one connection, which loses nothing and ends with the call: what is sent is accepted.
                    let more = self.device.happened(Event::KeyBatchAccepted { number })?;
                    self.carry_out(more)?;
                }
                Action::ParticipantVerified { participant, name, .. } => {
                    println!("{}: {name} is in the call", self.name);
                    self.names.insert(participant.0, name);
                }
                Action::StreamReady { .. } => self.may_speak = true,
                Action::Problem { problem, .. } => bail!("the call is not safe: {problem:?}"),
                Action::Ended(why) => bail!("the session is over: {why:?}"),
                // A real client sends a key request here; this example is too short to lose a key.
                _ => {}
            }
        }
        Ok(())
    }

    /// Starts to connect to the SFU, and sends the client's parameters to the server.
    fn connect(&mut self, server: &RemoteParameters) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server.candidates.first().context("no candidate")?)?;
        socket.set_read_timeout(Some(POLL_INTERVAL))?;
        let transport = RtcClient::new(Instant::now(), &self.identity, server).context("no random numbers")?;
        let local = transport.local();
        let fingerprint = Hex(local.fingerprint.to_vec());
        send(&self.signaling, &ToServer::Transport { ufrag: local.ufrag, pwd: local.pwd, fingerprint })?;
        self.path = Some(Path { socket, transport });
        Ok(())
    }

    /// Sends pending datagrams of the transport, and receives one.
    fn step(&mut self) -> Result<()> {
        let Some(Path { socket, transport }) = &mut self.path else {
            thread::sleep(POLL_INTERVAL);
            return Ok(());
        };
        let now = Instant::now();
        transport.tick(now);
        while let Some(datagram) = transport.poll_transmit() {
            socket.send(&datagram)?;
        }
        let mut buffer = [0; 2_048];
        let datagram = match socket.recv(&mut buffer) {
            Ok(length) => &mut buffer[..length],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let was = transport.state();
        let frame = match transport.handle(now, datagram) {
            Ok(Received::Rtp(packet)) => Some(RtpPacket::parse(packet)?.payload.to_vec()),
            // Reports and forged packets are ignored.
            Ok(Received::Rtcp(_) | Received::Nothing) | Err(_) => None,
        };
        let state = transport.state();
        if state != was {
            println!("{}: {state:?}, with {:?}", self.name, transport.profile());
        }
        if matches!(state, ClientState::Failed | ClientState::Closed) {
            bail!("the transport is {state:?}");
        }
        frame.map_or(Ok(()), |frame| self.on_frame(frame))
    }

    /// Opens a frame. Drops frames that were sealed before this device had the key.
    fn on_frame(&mut self, mut frame: Vec<u8>) -> Result<()> {
        let Ok((range, participant)) = self.device.open(&mut frame) else { return Ok(()) };
        let text = String::from_utf8(frame[range].to_vec())?;
        // The key that opened the frame identifies its sender.
        let speaker = self.names.get(&participant).context("a frame of an unknown participant")?;
        if self.opened == 0 {
            println!("{}: the first frame of {speaker}: {text:?}", self.name);
        }
        self.opened += 1;
        Ok(())
    }

    /// Seals an audio frame and sends it in one RTP packet.
    fn speak(&mut self) -> Result<()> {
        let Some(Path { socket, transport }) = self.path.as_mut().filter(|_| self.may_speak) else { return Ok(()) };
        let frame = self.device.seal(format!("{} says {}", self.name, self.sequence).as_bytes())?;
        let mut header = vec![0x80, sfu::media::Codec::Opus.entry().pt];
        header.extend(self.sequence.to_be_bytes());
        header.extend((u32::from(self.sequence) * 960).to_be_bytes());
        header.extend(SSRC.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = Vec::new();
        transport.seal_rtp(&header, &frame, &mut packet)?;
        socket.send(&packet)?;
        Ok(())
    }

    /// Sends close_notify to the SFU. Closing the TCP connection informs the server.
    fn leave(mut self) -> Result<()> {
        if let Some(Path { socket, transport }) = &mut self.path {
            transport.close(Instant::now());
            while let Some(datagram) = transport.poll_transmit() {
                socket.send(&datagram)?;
            }
        }
        Ok(self.signaling.shutdown(std::net::Shutdown::Both)?)
    }
}
