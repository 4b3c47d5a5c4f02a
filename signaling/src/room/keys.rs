//! Key traffic: split by recipient and forwarded unread.

use super::{ErrorCode, Room, refusal, wake};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tacet_proto::{
    ParticipantId, Seat,
    binary::{BatchEntry, ClientBinary, KeyBatch, WantedKey},
};

impl Room {
    /// Handles a binary message after `hello`. `id` is its request number, if it asks for an answer.
    pub fn binary(&mut self, now: Instant, from: ParticipantId, id: Option<u32>, message: ClientBinary) {
        self.heard(now, from);
        let Some(member) = self.members.get(&from) else {
            self.refuse(from, id, refusal(ErrorCode::NotMember, "join first"));
            return;
        };
        let own_seat = member.announced.seat;
        match message {
            ClientBinary::KeyBatch(batch) => self.key_batch(now, own_seat, batch),
            ClientBinary::KeyRequest(wanted) => self.key_request(now, own_seat, wanted),
        }
        if let (Some(id), Some(answer)) = (id, super::DONE) {
            self.send(from, Some(id), answer);
        }
        self.settle(now);
    }

    /// Queues for each recipient its entry of a batch.
    fn key_batch(&mut self, now: Instant, sender: Seat, KeyBatch { header, entries }: KeyBatch) {
        let mut by_seat: BTreeMap<Seat, BatchEntry> = BTreeMap::new();
        for entry in entries {
            // One key for each recipient: naming a seat twice cannot fill its queue.
            by_seat.entry(entry.recipient()).or_insert(entry);
        }
        by_seat.remove(&sender);
        let header = Arc::new(header);
        for member in self.members.values_mut() {
            if let Some(entry) = by_seat.remove(&member.announced.seat) {
                member.backlog.keys(now, Arc::clone(&header), entry);
                wake(&mut self.wake, member.backlog.due());
            }
        }
    }

    /// Asks each owner of a wanted key.
    fn key_request(&mut self, now: Instant, requester: Seat, wanted: Vec<WantedKey>) {
        let mut by_seat: BTreeMap<Seat, Vec<WantedKey>> = BTreeMap::new();
        for wanted in wanted {
            by_seat.entry(wanted.owner()).or_default().push(wanted);
        }
        by_seat.remove(&requester);
        for member in self.members.values_mut() {
            if let Some(wanted) = by_seat.remove(&member.announced.seat) {
                member.backlog.key_request(now, requester, wanted);
                wake(&mut self.wake, member.backlog.due());
            }
        }
    }
}
