//! Binary messages, and key traffic: split by recipient and forwarded. Nothing of it is read but what names its sender.

use super::{
    Refusal, Room,
    authorized::{Authorized, Present},
    identity::check_wanted,
    wake,
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tacet_proto::{
    ParticipantId, Seat,
    binary::{BatchEntry, ClientBinary, KeyBatch, WantedKey},
};

impl Room {
    /// Handles a binary message after `hello`. `id` is its request number, if it asks for an answer.
    pub fn binary(&mut self, now: Instant, from: ParticipantId, id: Option<u32>, message: ClientBinary) {
        self.heard(now, from);
        self.count_answer(now, from, id);
        let passed_on = match message {
            ClientBinary::KeyBatch(batch) => self.authorize(from).and_then(|by| self.key_batch(now, by, batch)),
            ClientBinary::KeyRequest(wanted) => self.authorize(from).and_then(|by| self.key_request(now, by, wanted)),
            ClientBinary::Chat { id, sealed } => self.authorize(from).map(|by| self.chat(now, &by, id, &sealed)),
        };
        match (passed_on, super::DONE) {
            (Ok(()), Some(answer)) => self.send(from, id, answer),
            (Ok(()), None) => {}
            (Err(refusal), _) => self.refuse(from, id, refusal),
        }
        self.settle(now);
    }

    /// Queues for each recipient its entry of a batch.
    fn key_batch(
        &mut self,
        now: Instant,
        by: Authorized<Present>,
        KeyBatch { header, entries }: KeyBatch,
    ) -> Result<(), Refusal> {
        let from = by.participant();
        let Some(seat) = self.seat_of(&by) else { return Ok(()) };
        self.check_batch(from, &header)?;
        let mut by_seat: BTreeMap<Seat, BatchEntry> = BTreeMap::new();
        for entry in entries {
            // One key for each recipient: naming a seat twice cannot fill its queue.
            by_seat.entry(entry.recipient()).or_insert(entry);
        }
        by_seat.remove(&seat);
        let header = Arc::new(header);
        for member in self.members.values_mut() {
            if let Some(entry) = by_seat.remove(&member.announced.seat) {
                member.backlog.key(now, from, Arc::clone(&header), entry);
                wake(&mut self.wake, member.backlog.due());
            }
        }
        Ok(())
    }

    fn seat_of(&self, by: &Authorized<Present>) -> Option<Seat> {
        self.members.get(&by.participant()).map(|member| member.announced.seat)
    }

    /// Asks each owner of a wanted key.
    fn key_request(&mut self, now: Instant, by: Authorized<Present>, wanted: Vec<WantedKey>) -> Result<(), Refusal> {
        let Some(requester) = self.seat_of(&by) else { return Ok(()) };
        check_wanted(requester, &wanted)?;
        let mut by_seat: BTreeMap<Seat, Vec<WantedKey>> = BTreeMap::new();
        for wanted in wanted {
            by_seat.entry(wanted.owner()).or_default().push(wanted);
        }
        for member in self.members.values_mut() {
            if let Some(wanted) = by_seat.remove(&member.announced.seat) {
                member.backlog.key_request(now, requester, wanted);
                wake(&mut self.wake, member.backlog.due());
            }
        }
        Ok(())
    }
}
