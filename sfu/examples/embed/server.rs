//! The signaling server: one thread that owns all state, told what clients say and what the SFU tells.
//!
//! It does in this order what every embedder does: `AddParticipant` when somebody comes, `Connect` with the client's
//! half of the transport, `Publish` for each track, and for each receiver of it `AddSlot`, `SetSlot` and, when the
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

/// The one room of this server, which lives on the one worker of its SFU.
const ROOM: RoomId = RoomId(1);
const WORKER: usize = 0;
/// Sizes in the bodies that devices send each other: see `docs/embedding.md`, "A server of your own".
const KEYS_HEADER: usize = 171;
const KEYS_ENTRY: usize = 86;

/// What happens to the server.
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

/// Starts SFU and server.
pub(crate) fn start() -> Result<Handle> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (inputs, inbox) = mpsc::channel();
    // Called on the worker's thread, which must not wait: it only passes the event on.
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
    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the server, which has closed the SFU then; gives what there is to say.
    pub(crate) fn stop(self) -> String {
        let (report, answer) = mpsc::channel();
        let _ = self.inputs.send(Input::Stop(report));
        answer.recv().unwrap_or_else(|_| "gone already".to_owned())
    }
}

/// Passes on what one client says.
fn listen(who: ParticipantId, stream: TcpStream, inputs: &mpsc::Sender<Input>) {
    let Ok(reader) = stream.try_clone() else { return };
    let _ = inputs.send(Input::Came(who, stream));
    for message in receive(reader) {
        // Who says what is no message is not listened to any more.
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
    /// Its entry in the bodies of announces.
    announce: Vec<u8>,
    /// It was welcomed, and may be told of others.
    seated: bool,
    track: Option<TrackId>,
    /// Slots, and what comes in them.
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
                let publication = Publication { codec: Codec::Opus, mid, ssrc: Ssrc(ssrc), rtx: None };
                self.command(Command::Publish { participant, track, publication });
                let others: Vec<_> = self.seated().filter(|other| *other != participant).collect();
                others.into_iter().try_for_each(|receiver| self.offer(receiver, track))?;
            }
            ToServer::SlotApplied { mid } => {
                let mid = Mid::new(&mid).context("no MID")?;
                self.command(Command::ActivateSlot { participant, mid });
            }
            ToServer::Keys(batch) => {
                // header ‖ entries, each of which begins with the recipient's seat.
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
                    self.command(Command::SetSlot { participant, mid, track: Some(*track) });
                }
            }
            Event::TransportState { participant, state: TransportState::Connected } => {
                self.tell(participant, &ToClient::Connected);
            }
            Event::Refused { participant, error, .. } => {
                self.tell(participant, &ToClient::Refused { why: error.to_string() });
            }
            // A client that is gone for good closes its connection, too; and this example shows no speakers.
            other => println!("server: {other:?}"),
        }
    }

    /// Tells a newcomer of those who are there, and them of it; then what they send is offered to it.
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
                // It cannot fail: there are far fewer participants than MIDs.
                let _ = self.offer(newcomer, track);
            }
        }
    }

    /// Gives a receiver a slot for a track.
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
        // Refused only to who gives thousands at once. What the worker refuses comes as an event.
        if let Err(error) = self.sfu.command(WORKER, command) {
            println!("server: a command was not taken: {error}");
        }
    }

    fn tell(&self, participant: ParticipantId, message: &ToClient) {
        if let Some(member) = self.members.get(&participant) {
            // Whoever cannot be told has hung up, which the listening thread notices.
            let _ = send(&member.stream, message);
        }
    }
}

/// Seats are numbers of 12 bits, which participants of this example never exceed.
fn seat(participant: ParticipantId) -> Result<u16> {
    u16::try_from(participant.0).ok().filter(|seat| *seat < 4_096).context("the server is full")
}
