//! Key traffic: split by recipient and forwarded. Nothing of it is read but what names its sender.

use super::{ErrorCode, Refusal, Room, identity::check_wanted, refusal, wake};
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
        let Some(member) = self.members.get(&from) else {
            self.refuse(from, id, refusal(ErrorCode::NotMember, "join first"));
            return;
        };
        let own_seat = member.announced.seat;
        let passed_on = match message {
            ClientBinary::KeyBatch(batch) => self.key_batch(now, from, own_seat, batch),
            ClientBinary::KeyRequest(wanted) => self.key_request(now, own_seat, wanted),
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
        from: ParticipantId,
        seat: Seat,
        KeyBatch { header, entries }: KeyBatch,
    ) -> Result<(), Refusal> {
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

    /// Asks each owner of a wanted key.
    fn key_request(&mut self, now: Instant, requester: Seat, wanted: Vec<WantedKey>) -> Result<(), Refusal> {
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
