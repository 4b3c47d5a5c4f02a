//! The cast of a run: every bot with its room, what it sends and when it joins.

use crate::scenario::{Join, Scenario};

/// Kind of a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Publisher,
    Subscriber,
    Participant,
    Canary,
}

/// When a bot joins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// Before all bots that receive.
    First,
    /// After those, before the measured time.
    Second,
    /// Seconds after the start of the measured time.
    Storm(f64),
}

/// One bot's part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) room: usize,
    /// Number among all bots of the run.
    pub(crate) number: usize,
    /// Number among those of its room that send.
    pub(crate) sender: Option<usize>,
    pub(crate) when: When,
    /// Whether it leaves and joins again.
    pub(crate) churns: bool,
    /// Number of tracks that it must have in slots before it is ready; 0 if that changes all the time.
    pub(crate) needs: usize,
}

impl Part {
    pub(crate) fn receives(&self) -> bool {
        self.kind != Kind::Publisher
    }

    /// Its name in errors and in the roster.
    pub(crate) fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Publisher => "publisher",
            Kind::Subscriber => "subscriber",
            Kind::Participant => "participant",
            Kind::Canary => "canary",
        };
        format!("{kind} {} of room {}", self.number + 1, self.room + 1)
    }
}

/// Whether canaries send audio: only where other bots send and receive, too.
pub(crate) fn canaries_send(scenario: &Scenario) -> bool {
    scenario.participants > 0
}

/// Senders of a room, canaries included.
pub(crate) fn senders(scenario: &Scenario, room: usize) -> usize {
    let canaries = if canaries_send(scenario) { canaries_of(scenario, room) } else { 0 };
    scenario.publishers + scenario.participants + canaries
}

fn canaries_of(scenario: &Scenario, room: usize) -> usize {
    (0..scenario.canaries).filter(|canary| canary % scenario.rooms.max(1) == room).count()
}

/// All parts, by room: bots that only send first, canaries last.
pub(crate) fn cast(scenario: &Scenario) -> Vec<Part> {
    let mut parts = Vec::with_capacity(scenario.bots());
    let joiners = scenario.subscribers + scenario.participants;
    let storming = scenario.rooms * joiners;
    let mut stormed = 0;
    let mut when = |scenario: &Scenario| match scenario.join {
        Join::Storm { over_s } => {
            stormed += 1;
            When::Storm(over_s * (stormed - 1) as f64 / storming.max(1) as f64)
        }
        _ => When::Second,
    };
    for room in 0..scenario.rooms {
        let mut sender = 0;
        let mut add = |kind: Kind, when: When| {
            let sends = matches!(kind, Kind::Publisher | Kind::Participant);
            let churns = scenario.churn.is_some() && kind != Kind::Publisher;
            let number = parts.len();
            parts.push(Part { kind, room, number, sender: sends.then_some(sender), when, churns, needs: 0 });
            sender += usize::from(sends);
        };
        (0..scenario.publishers).for_each(|_| add(Kind::Publisher, When::First));
        for _ in 0..scenario.participants {
            add(Kind::Participant, when(scenario));
        }
        for _ in 0..scenario.subscribers {
            add(Kind::Subscriber, when(scenario));
        }
    }
    let mut canary_sender = vec![scenario.publishers + scenario.participants; scenario.rooms];
    for canary in 0..scenario.canaries {
        let room = canary % scenario.rooms.max(1);
        let next = canary_sender.get_mut(room).filter(|_| canaries_send(scenario));
        let sender = next.map(|next| {
            *next += 1;
            *next - 1
        });
        let number = parts.len();
        parts.push(Part { kind: Kind::Canary, room, number, sender, when: When::Second, churns: false, needs: 0 });
    }
    for part in &mut parts {
        part.needs = needs(scenario, part);
    }
    parts
}

/// Number of tracks that are certainly published once all bots have joined that do so before the measured time.
fn needs(scenario: &Scenario, part: &Part) -> usize {
    if !part.receives() || part.churns || part.when != When::Second {
        return 0;
    }
    let staying = match (scenario.churn, scenario.join) {
        (Some(_), _) | (_, Join::Storm { .. }) => scenario.publishers,
        _ => scenario.publishers + scenario.participants,
    };
    let itself = usize::from(part.kind == Kind::Participant);
    let canaries = if canaries_send(scenario) { canaries_of(scenario, part.room) } else { 0 };
    // A canary sends at most one stream. Canaries join last.
    let of_canaries = if part.kind == Kind::Canary { canaries.saturating_sub(1) } else { 0 };
    scenario.slots(staying - itself) + of_canaries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Audio, Churn, Layers, Video};

    fn scenario() -> Scenario {
        Scenario {
            name: "test".to_owned(),
            rooms: 2,
            publishers: 1,
            subscribers: 2,
            participants: 3,
            canaries: 3,
            audio: Some(Audio::default()),
            video: Some(Video { layers: Some(Layers::Simulcast), ..Video::default() }),
            ..Scenario::default()
        }
    }

    fn of(parts: &[Part], kind: Kind, room: usize) -> Vec<Part> {
        parts.iter().filter(|part| part.kind == kind && part.room == room).copied().collect()
    }

    #[test]
    fn parts_of_every_room() {
        let parts = cast(&scenario());
        assert_eq!(parts.len(), scenario().bots());
        for room in 0..2 {
            assert_eq!(of(&parts, Kind::Publisher, room).len(), 1);
            assert_eq!(of(&parts, Kind::Subscriber, room).len(), 2);
            assert_eq!(of(&parts, Kind::Participant, room).len(), 3);
            let mut senders: Vec<_> =
                parts.iter().filter(|part| part.room == room).filter_map(|part| part.sender).collect();
            senders.sort_unstable();
            assert_eq!(senders, (0..super::senders(&scenario(), room)).collect::<Vec<_>>());
        }
        assert_eq!([of(&parts, Kind::Canary, 0).len(), of(&parts, Kind::Canary, 1).len()], [2, 1]);
    }

    #[test]
    fn needs_counts_expected_tracks() {
        let parts = cast(&scenario());
        // Audio and video of each other sender.
        assert_eq!(of(&parts, Kind::Subscriber, 0)[0].needs, 8);
        assert_eq!(of(&parts, Kind::Participant, 0)[0].needs, 6);
        assert_eq!(of(&parts, Kind::Canary, 0)[0].needs, 9, "and the audio of the other canary");
        assert_eq!(of(&parts, Kind::Publisher, 0)[0].needs, 0);
        let churning = cast(&Scenario { churn: Some(Churn { mean_stay_s: 5.0 }), ..scenario() });
        assert_eq!(of(&churning, Kind::Subscriber, 0)[0].needs, 0);
        assert!(of(&churning, Kind::Subscriber, 0)[0].churns && !of(&churning, Kind::Publisher, 0)[0].churns);
    }

    #[test]
    fn storm_is_spread_evenly() {
        let storm = Scenario { join: Join::Storm { over_s: 5.0 }, rooms: 1, participants: 0, ..scenario() };
        let parts = cast(&storm);
        let times: Vec<When> = of(&parts, Kind::Subscriber, 0).iter().map(|part| part.when).collect();
        assert_eq!(times, [When::Storm(0.0), When::Storm(2.5)]);
        assert_eq!(of(&parts, Kind::Canary, 0)[0].when, When::Second, "canaries are there before");
    }
}
