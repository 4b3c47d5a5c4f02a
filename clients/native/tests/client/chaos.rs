//! Blows in an order that a seed decides: connections are cut, media lost, clients left without a network, the server is
//! restarted. Afterwards everyone is where it was and hears everyone else, and no key was replaced for it.
//!
//! `make chaos` strikes for longer: `CHAOS_BLOWS`, `CHAOS_LONGEST` (of one outage, in seconds), `CHAOS_SEED` and
//! `CHAOS_PEOPLE`. An outage of more than 30 s is a leave to the others, which replaces keys; ids stay even then.

use crate::{
    TIMEOUT,
    recorder::Recorder,
    server::Server,
    tcp_proxy::TcpProxy,
    tone::{play, strength},
    udp_relay::UdpRelay,
};
use std::{
    collections::{BTreeMap, VecDeque},
    env,
    sync::{Arc, Mutex},
    time::Duration,
};
use tacet_impair::Random;
use tacet_native::client::{AudioOptions, ClientEvent, ClientOptions, ConnectionState, Events, Participant};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

const NAMES: [&str; 8] = ["Ada", "Bob", "Cleo", "Dan", "Eve", "Fay", "Gus", "Hal"];
/// Blocks of 20 ms that are listened to.
const LISTENED: usize = 20;
/// Outages up to this are certainly shorter than the hold of a silent participant's place, detection included.
const SHORTER_THAN_THE_HOLD: u64 = 20;

/// A whole number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// The tone that a person plays.
fn hertz(person: usize) -> f32 {
    440.0 + 220.0 * person as f32
}

/// What a person has seen and hears.
#[derive(Default)]
struct Experience {
    roster: BTreeMap<String, Participant>,
    state: Option<ConnectionState>,
    leaves: Vec<String>,
    generations: usize,
    audio: VecDeque<Vec<f32>>,
    over: Option<ClientEvent>,
}

impl Experience {
    fn take(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::MixedAudio(block) => {
                self.audio.push_back(block.samples);
                if self.audio.len() > LISTENED {
                    self.audio.pop_front();
                }
            }
            ClientEvent::ParticipantJoined(person) => {
                self.roster.insert(person.name.clone(), person);
            }
            ClientEvent::ParticipantLeft(person) => {
                self.roster.remove(&person.name);
                self.leaves.push(person.name);
            }
            ClientEvent::Connection(state) => self.state = Some(state),
            ClientEvent::Generation { .. } => self.generations += 1,
            ended @ ClientEvent::Ended(_) => self.over = Some(ended),
            _ => {}
        }
    }

    fn hears(&self, hertz: f32) -> bool {
        let heard: Vec<f32> = self.audio.iter().flatten().copied().collect();
        self.audio.len() == LISTENED && strength(&heard, hertz) > 0.1
    }
}

/// A participant behind its own network.
struct Person {
    number: usize,
    experience: Arc<Mutex<Experience>>,
    signaling: TcpProxy,
    media: UdpRelay,
    tasks: [JoinHandle<()>; 2],
}

impl Person {
    async fn join(server: &Server, number: usize) -> Self {
        let signaling = TcpProxy::to(server.address).await;
        let media = UdpRelay::to(server.media_port).await;
        let recorder = Recorder { relay: Some(media.address), ..Recorder::default() };
        let options = ClientOptions::new(NAMES[number]);
        let (client, events) = recorder.join(&server.link_through(signaling.address), options).await;
        let playing = play(client.publish_audio(AudioOptions::default()).await.unwrap(), hertz(number));
        let experience = Arc::<Mutex<Experience>>::default();
        let reading = tokio::spawn(read(events, experience.clone(), client));
        Self { number, experience, signaling, media, tasks: [playing, reading] }
    }

    /// What is not as it should be, if anything.
    fn complaint(&self, people: usize) -> Option<String> {
        let experience = self.experience.lock().unwrap();
        assert_eq!(experience.over, None, "only a person ends a call");
        if experience.state != Some(ConnectionState::Connected) {
            return Some(format!("{} is {:?}", NAMES[self.number], experience.state));
        }
        (0..people).filter(|other| *other != self.number).find_map(|other| {
            let (name, own) = (NAMES[other], NAMES[self.number]);
            if !experience.roster.contains_key(name) {
                return Some(format!("{own} does not see {name}"));
            }
            (!experience.hears(hertz(other))).then(|| format!("{own} does not hear {name}"))
        })
    }

    fn ids(&self) -> Vec<Participant> {
        self.experience.lock().unwrap().roster.values().cloned().collect()
    }

    fn generations(&self) -> usize {
        self.experience.lock().unwrap().generations
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Reads a client's events for as long as it lives.
async fn read<C>(mut events: Events, experience: Arc<Mutex<Experience>>, _client: C) {
    while let Some(event) = events.next().await {
        experience.lock().unwrap().take(event);
    }
}

/// Waits until there is no complaint.
async fn settle(people: &[Person], limit: Duration) {
    let start = Instant::now();
    while let Some(complaint) = people.iter().find_map(|person| person.complaint(people.len())) {
        assert!(start.elapsed() < limit, "{complaint}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn strike(server: Server, people: &[Person], random: &mut Random, longest: u64) -> Server {
    let victim = &people[random.below(people.len() as u64) as usize];
    let outage = Duration::from_millis(500 + random.below(longest * 1_000 - 500));
    match random.below(5) {
        0 => victim.signaling.cut(),
        1 => {
            victim.signaling.redirect(None);
            sleep(outage).await;
            victim.signaling.redirect(Some(server.address));
        }
        2 => {
            victim.media.set_open(false);
            sleep(outage).await;
            victim.media.set_open(true);
        }
        3 => {
            victim.signaling.redirect(None);
            victim.media.set_open(false);
            sleep(outage).await;
            victim.media.set_open(true);
            victim.signaling.redirect(Some(server.address));
        }
        _ => {
            people.iter().for_each(|person| person.signaling.redirect(None));
            let server = server.restart().await;
            for person in people {
                person.media.redirect(server.media_port);
                person.signaling.redirect(Some(server.address));
            }
            return server;
        }
    }
    server
}

#[tokio::test]
async fn everyone_is_back_after_any_blows() {
    let (count, blows) = (setting("CHAOS_PEOPLE", 3) as usize, setting("CHAOS_BLOWS", 6));
    let (longest, seed) = (setting("CHAOS_LONGEST", 3), setting("CHAOS_SEED", 12));
    println!("CHAOS_SEED={seed} CHAOS_PEOPLE={count} CHAOS_BLOWS={blows} CHAOS_LONGEST={longest}");
    let mut random = Random::new(seed);
    let mut server = Server::start();
    let mut people = Vec::new();
    for number in 0..count {
        people.push(Person::join(&server, number).await);
    }
    settle(&people, TIMEOUT).await;
    let ids: Vec<_> = people.iter().map(Person::ids).collect();
    let generations: Vec<_> = people.iter().map(Person::generations).collect();

    for blow in 0..blows {
        server = strike(server, &people, &mut random, longest).await;
        if random.below(2) == 0 || blow + 1 == blows {
            settle(&people, TIMEOUT).await;
        }
    }

    assert_eq!(people.iter().map(Person::ids).collect::<Vec<_>>(), ids, "everyone has its id");
    if longest <= SHORTER_THAN_THE_HOLD {
        for (person, before) in people.iter().zip(generations) {
            assert!(person.experience.lock().unwrap().leaves.is_empty(), "no one left");
            assert_eq!(person.generations(), before, "no key was replaced");
        }
    }
}
