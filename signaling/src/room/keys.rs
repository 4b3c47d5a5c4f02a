//! Key traffic: split by recipient, handed on unread.

use super::{ErrorCode, Refusal, Room, refusal, wake};
use std::{collections::BTreeMap, sync::Arc, time::Instant};
use tacet_proto::{
    ParticipantId, Seat,
    binary::{self, BinaryError, ClientBinary, WANTED_KEY_BYTES},
};

impl Room {
    /// A binary message after `hello`.
    pub fn binary(&mut self, now: Instant, from: ParticipantId, message: &[u8]) {
        let (id, body) = match binary::parse_client(message) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.refuse(from, request_number(message), malformed(error));
                return;
            }
        };
        let Some(member) = self.members.get(&from) else {
            self.refuse(from, number(id), refusal(ErrorCode::NotMember, "join first"));
            return;
        };
        let own_seat = member.announced.seat;
        match body {
            ClientBinary::KeyBatch(batch) => {
                let mut entries: BTreeMap<Seat, &[u8]> = BTreeMap::new();
                for (seat, entry) in batch.recipients().filter(|(seat, _)| *seat != own_seat) {
                    // One key for each recipient: a batch cannot fill somebody's queue by naming it twice.
                    entries.entry(seat).or_insert(entry);
                }
                let header: Arc<[u8]> = batch.header.into();
                for member in self.members.values_mut() {
                    if let Some(entry) = entries.get(&member.announced.seat) {
                        member.backlog.keys(now, Arc::clone(&header), entry);
                        wake(&mut self.wake, &member.backlog);
                    }
                }
            }
            ClientBinary::KeyRequest(wanted) => {
                let mut by_seat: BTreeMap<Seat, Vec<u8>> = BTreeMap::new();
                for wanted in wanted.chunks_exact(WANTED_KEY_BYTES) {
                    if let Some(seat) = binary::wanted_seat(wanted).filter(|seat| *seat != own_seat) {
                        by_seat.entry(seat).or_default().extend_from_slice(wanted);
                    }
                }
                for member in self.members.values_mut() {
                    if let Some(wanted) = by_seat.remove(&member.announced.seat) {
                        member.backlog.key_request(now, own_seat, wanted);
                        wake(&mut self.wake, &member.backlog);
                    }
                }
            }
        }
        if let (Some(id), Some(answer)) = (number(id), super::DONE) {
            self.send(from, Some(id), answer);
        }
        self.settle(now);
    }
}

/// A request number of zero asks for no answer.
fn number(id: u32) -> Option<u32> {
    Some(id).filter(|id| *id != 0)
}

/// The request number of a binary message that may be malformed otherwise.
pub(crate) fn request_number(message: &[u8]) -> Option<u32> {
    let (_, rest) = message.split_first()?;
    let (id, _) = rest.split_first_chunk()?;
    number(u32::from_be_bytes(*id))
}

/// What a client is told of a malformed binary message.
pub(crate) fn malformed(error: BinaryError) -> Refusal {
    match error {
        BinaryError::UnknownType => refusal(ErrorCode::UnknownType, "unknown binary type"),
        BinaryError::Truncated => refusal(ErrorCode::BadMessage, "binary message too short"),
        BinaryError::Trailing => refusal(ErrorCode::BadMessage, "binary message too long"),
        BinaryError::Count | BinaryError::Display => refusal(ErrorCode::BadMessage, "count out of range"),
    }
}
