//! The signaling server: one thread that owns all state and handles messages of clients and events of the SFU.
//!
//! It sends the commands of every embedder, in this order: `AddParticipant` when a client joins, `Connect` with the
//! client's transport parameters, `Publish` for each track, and for each receiver of it `AddSlot`, `SetSlot` and, after the
//! client has applied the slot, `ActivateSlot`; `RemoveParticipant` when the connection ends.

use crate::message::{Hex, ToClient, ToServer, receive, send};
use anyhow::{Context, Result, bail};
use sfu::{
    Command, Event, Mid, ParticipantId, RoomId, Sfu, SfuConfig, Ssrc, TrackId,
    command::{Publication, RemoteTransport},
    event::TransportState,
    media::Codec,
    metrics::Counter,
};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

/// The only room of this server, on the only worker of its SFU.
const ROOM: RoomId = RoomId(1);
const WORKER: usize = 0;
/// Sizes in the messages between devices, in bytes: see `docs/embedding.md`, "A server of your own".
const KEYS_HEADER: usize = 171;
const KEYS_ENTRY: usize = 86;

/// An input of the server.
enum Input {
    Came(ParticipantId, TcpStream),
    Said(ParticipantId, ToServer),
    Gone(ParticipantId),
    Sfu(Event),
    Stop(mpsc::Sender<String>),
}

/// The running server.
pub(crate) struct Handle {
    address: SocketAddr,
    inputs: mpsc::Sender<Input>,
}

/// Starts the SFU and the server.
pub(crate) fn start() -> Result<Handle> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (inputs, inbox) = mpsc::channel();
    // Runs on the worker's thread and must not block.
    let events = inputs.clone();
    let on_event = move |_worker, event| events.send(Input::Sfu(event)).unwrap_or_default();
    let sfu = Sfu::start(&SfuConfig::default(), on_event)?;
    println!("server: signaling on {address}, media on UDP port {}", sfu.local_ports()[WORKER]);
    let connections = inputs.clone();
    thread::spawn(move || {
        for (number, stream) in (1..).zip(listener.incoming().map_while(Result::ok)) {
            let inputs = connections.clone();
            thread::spawn(move || listen(ParticipantId(number), stream, &inputs));
        }
    });
    thread::spawn(move || {
        let mut server = Server { sfu, members: BTreeMap::new() };
        while let Ok(input) = inbox.recv() {
            if let Input::Stop(report) = input {
                let forwarded = server.sfu.stats().get(Counter::RtpOut);
                let _ = report.send(format!("{forwarded} packets forwarded, none of which it could read"));
                break;
            }
            server.handle(input);
        }
    });
    Ok(Handle { address, inputs })
}

impl Handle {
    /// Address that clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server and the SFU; returns the final report.
    pub(crate) fn stop(self) -> String {
        let (report, answer) = mpsc::channel();
        let _ = self.inputs.send(Input::Stop(report));
        answer.recv().unwrap_or_else(|_| "gone already".to_owned())
    }
}

/// Forwards the messages of one client to the server.
fn listen(who: ParticipantId, stream: TcpStream, inputs: &mpsc::Sender<Input>) {
    let Ok(reader) = stream.try_clone() else { return };
    let _ = inputs.send(Input::Came(who, stream));
    for message in receive(reader) {
        // Stops reading after an invalid message.
        let Ok(message) = message else { break };
        let _ = inputs.send(Input::Said(who, message));
    }
    let _ = inputs.send(Input::Gone(who));
}

struct Server {
    sfu: Sfu,
    members: BTreeMap<ParticipantId, Member>,
}

struct Member {
    stream: TcpStream,
    /// Its entry in announce messages.
    announce: Vec<u8>,
    /// Whether it was welcomed, and may learn about others.
    seated: bool,
    track: Option<TrackId>,
    /// Slots, and the publishers in them.
    slots: Vec<(Mid, TrackId)>,
}

impl Server {
    fn handle(&mut self, input: Input) {
        let (who, result) = match input {
            Input::Came(who, stream) => {
                let (announce, slots) = (Vec::new(), Vec::new());
                self.members.insert(who, Member { stream, announce, seated: false, track: None, slots });
                return;
            }
            Input::Said(who, message) => (who, self.on_message(who, message)),
            Input::Gone(who) => return self.on_gone(who),
            Input::Sfu(event) => return self.on_event(event),
            Input::Stop(_) => return,
        };
        if let Err(error) = result {
            self.tell(who, &ToClient::Refused { why: format!("{error:#}") });
        }
    }

    fn on_message(&mut self, participant: ParticipantId, message: ToServer) -> Result<()> {
        match message {
            ToServer::Join { announce, display } => {
                let member = self.members.get_mut(&participant).context("no connection")?;
                let (seat, length) = (seat(participant)?, u16::try_from(display.0.len())?);
                let number = participant.0.to_be_bytes();
                member.announce =
                    [&number[..], &seat.to_be_bytes(), &announce.0, &length.to_be_bytes(), &display.0].concat();
                self.command(Command::AddParticipant { room: ROOM, participant });
            }
            ToServer::Transport { ufrag, pwd, fingerprint } => {
                let Ok(fingerprint) = fingerprint.0.try_into() else { bail!("a fingerprint has 32 bytes") };
                self.command(Command::Connect { participant, remote: RemoteTransport { ufrag, pwd, fingerprint } });
            }
            ToServer::Publish { ssrc } => {
                let track = TrackId(participant.0);
                self.members.get_mut(&participant).context("no connection")?.track = Some(track);
                let mid = Mid::new("audio").context("a MID")?;
                let publication = Publication::single(Codec::Opus, mid, Ssrc(ssrc), None);
                self.command(Command::Publish { participant, track, publication });
                let others: Vec<_> = self.seated().filter(|other| *other != participant).collect();
                others.into_iter().try_for_each(|receiver| self.offer(receiver, track))?;
            }
            ToServer::SlotApplied { mid } => {
                let mid = Mid::new(&mid).context("no MID")?;
                self.command(Command::ActivateSlot { participant, mid });
            }
            ToServer::Keys(batch) => {
                // header ‖ entries, each of which starts with the recipient's seat.
                let (header, entries) = batch.0.split_at_checked(KEYS_HEADER).context("no key batch")?;
                for entry in entries.as_chunks::<KEYS_ENTRY>().0 {
                    let recipient = ParticipantId(u16::from_be_bytes([entry[0], entry[1]]).into());
                    self.tell(recipient, &ToClient::Keys(Hex([&[1], header, entry].concat())));
                }
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Transport { participant, local, .. } => {
                let Ok(seat) = seat(participant) else { return };
                let (ufrag, pwd, fingerprint) = (local.ufrag, local.pwd, Hex(local.fingerprint.to_vec()));
                let welcome = ToClient::Welcome { seat, ufrag, pwd, fingerprint, candidates: local.candidates };
                self.tell(participant, &welcome);
                self.introduce(participant);
            }
            Event::SlotAdded { participant, mid, ssrc, .. } => {
                self.tell(participant, &ToClient::Slot { mid: mid.as_str().to_owned(), ssrc: ssrc.0 });
                let slots = self.members.get(&participant).map(|member| &member.slots[..]).unwrap_or_default();
                if let Some((_, track)) = slots.iter().find(|(slot, _)| *slot == mid) {
                    self.command(Command::SetSlot { participant, mid, source: Some((*track).into()) });
                }
            }
            Event::TransportState { participant, state: TransportState::Connected } => {
                self.tell(participant, &ToClient::Connected);
            }
            Event::Refused { participant, error, .. } => {
                self.tell(participant, &ToClient::Refused { why: error.to_string() });
            }
            // A client that fails also closes its connection; and this example shows no speakers.
            other => println!("server: {other:?}"),
        }
    }

    /// Announces a newcomer and the others to each other, and adds slots for their tracks to the newcomer.
    fn introduce(&mut self, newcomer: ParticipantId) {
        let others: Vec<_> = self.seated().collect();
        let Some(member) = self.members.get_mut(&newcomer) else { return };
        member.seated = true;
        let announce = member.announce.clone();
        for other in others {
            let Some(member) = self.members.get(&other) else { continue };
            let (theirs, track) = (member.announce.clone(), member.track);
            self.tell(newcomer, &ToClient::Announces(Hex([&[1], &theirs[..]].concat())));
            self.tell(other, &ToClient::Announces(Hex([&[1], &announce[..]].concat())));
            if let Some(track) = track {
                // Cannot fail: there are far fewer participants than MIDs.
                let _ = self.offer(newcomer, track);
            }
        }
    }

    /// Adds a slot for a track to a receiver.
    fn offer(&mut self, participant: ParticipantId, track: TrackId) -> Result<()> {
        let member = self.members.get_mut(&participant).context("no connection")?;
        let mid = Mid::new(&format!("a{}", member.slots.len())).context("too many slots")?;
        member.slots.push((mid, track));
        self.command(Command::AddSlot { participant, mid, codec: Codec::Opus });
        Ok(())
    }

    fn on_gone(&mut self, participant: ParticipantId) {
        self.members.remove(&participant);
        self.command(Command::RemoveParticipant { participant });
        for other in self.seated().collect::<Vec<_>>() {
            self.tell(other, &ToClient::Left { participant: participant.0 });
        }
    }

    fn seated(&self) -> impl Iterator<Item = ParticipantId> {
        self.members.iter().filter(|(_, member)| member.seated).map(|(participant, _)| *participant)
    }

    fn command(&self, command: Command) {
        // Fails only with thousands of queued commands. A refusal by the worker is an event.
        if let Err(error) = self.sfu.command(WORKER, command) {
            println!("server: a command was not taken: {error}");
        }
    }

    fn tell(&self, participant: ParticipantId, message: &ToClient) {
        if let Some(member) = self.members.get(&participant) {
            // Fails if the client has closed the connection, which its reading thread notices.
            let _ = send(&member.stream, message);
        }
    }
}

/// Seats have 12 bits, which the participants of this example never exceed.
fn seat(participant: ParticipantId) -> Result<u16> {
    u16::try_from(participant.0).ok().filter(|seat| *seat < 4_096).context("the server is full")
}
