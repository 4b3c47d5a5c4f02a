//! Requests of others for keys of this participant, served fairly by the number of keys.
//!
//! Fair queueing (Demers, Keshav and Shenker, 1989): in *virtual time*, which counts keys, a request starts where its requester's
//! last one ended, or now if that is later, and takes as long as it has keys. The one that ends first is served first. So one that
//! asks for a key now and then is served before all that keep asking for many, and these share what is left.

use std::collections::BTreeMap;
use tacet_proto::{Seat, binary::WantedKey};

/// Maximum number of wanted keys of one requester that wait.
pub(super) const MAX_WAITING_WANTED: usize = 64;

/// Waiting requests by requester.
#[derive(Debug, Default)]
pub(super) struct KeyRequests {
    waiting: BTreeMap<Seat, Waiting>,
    /// Where each requester's last request ended, as far as that lies ahead.
    ends: BTreeMap<Seat, u64>,
    /// Latest start of a request that was served.
    now: u64,
}

#[derive(Debug)]
struct Waiting {
    start: u64,
    wanted: Vec<WantedKey>,
}

impl Waiting {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.wanted.len() as u64)
    }
}

impl KeyRequests {
    /// Lets a request wait. It is put together with what its requester already waits for; the excess is dropped.
    pub(super) fn add(&mut self, requester: Seat, wanted: Vec<WantedKey>) {
        let start = self.ends.get(&requester).copied().unwrap_or_default().max(self.now);
        let waiting = self.waiting.entry(requester).or_insert(Waiting { start, wanted: Vec::new() });
        for wanted in wanted {
            if waiting.wanted.len() < MAX_WAITING_WANTED && !waiting.wanted.contains(&wanted) {
                waiting.wanted.push(wanted);
            }
        }
    }

    /// Forgets a requester.
    pub(super) fn remove(&mut self, requester: Seat) {
        self.waiting.remove(&requester);
        self.ends.remove(&requester);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the request that comes next.
    pub(super) fn next(&mut self) -> Option<(Seat, Vec<WantedKey>)> {
        let first = self.waiting.iter().min_by_key(|(_, waiting)| waiting.end());
        let requester = first.map(|(requester, _)| *requester)?;
        let waiting = self.waiting.remove(&requester)?;
        self.now = self.now.max(waiting.start);
        self.ends.insert(requester, waiting.end());
        self.ends.retain(|_, end| *end > self.now);
        Some((requester, waiting.wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tacet_proto::binary::WANTED_KEY_BYTES;

    fn wanted(count: u8) -> Vec<WantedKey> {
        (0..count).map(|mark| WantedKey([mark; WANTED_KEY_BYTES])).collect()
    }

    #[test]
    fn requests_of_one_requester_are_put_together_and_bounded() {
        let mut requests = KeyRequests::default();
        requests.add(Seat(1), wanted(3));
        requests.add(Seat(1), wanted(200));
        let (requester, keys) = requests.next().unwrap_or((Seat(0), vec![]));
        assert_eq!((requester, keys.len()), (Seat(1), MAX_WAITING_WANTED));
        assert!(requests.is_empty() && requests.next().is_none());
    }

    /// Three ask for all they can all the time. One that asks for a key now and then waits for at most one of them.
    #[test]
    fn few_keys_go_before_many() {
        let mut requests = KeyRequests::default();
        let (mut served, mut asked, mut longest) = ([0; 4], None, 0);
        for round in 0..400 {
            for greedy in 0..3 {
                requests.add(Seat(greedy), wanted(64));
            }
            if asked.is_none() && round % 4 == 0 {
                requests.add(Seat(3), wanted(1));
                asked = Some(round);
            }
            let Some((requester, _)) = requests.next() else { panic!("nothing waits") };
            if let Some(count) = served.get_mut(usize::from(requester.0)) {
                *count += 1;
            }
            if requester == Seat(3) {
                longest = longest.max(asked.take().map_or(0, |since| round - since));
            }
        }
        assert!(longest <= 1, "waited for {longest}");
        assert!(served[..3].iter().all(|count| (95..=105).contains(count)), "{served:?}");
    }
}
