//! What was lately written to an account, to be sent again to a device that has lost its session.
//!
//! A device that lost its state could not open what was on its way. The messages of the last day go out again under their
//! ids, so that a device that has them already shows none twice.

use crate::{
    blob::{MAX_BODY_BYTES, MessageId},
    state::{Writer, read_list},
    time::{DAY, Time},
};
use alloc::vec::Vec;
use e2ee_core::Reader;
use zeroize::Zeroizing;

/// Maximum number of messages that are kept for an account.
pub const MAX_WAITING: usize = 50;
/// Version of the row.
const VERSION: u8 = 1;

struct Entry {
    id: MessageId,
    body: Zeroizing<Vec<u8>>,
    since: Time,
}

/// The messages of one account. A row of the device's state.
#[derive(Default)]
pub(crate) struct Outbox(Vec<Entry>);

impl Outbox {
    /// Keeps a message for a day, of all no more than [`MAX_WAITING`].
    pub(crate) fn put(&mut self, id: MessageId, body: &[u8], now: Time) {
        self.forget(now);
        // Sent again, or to another device.
        if self.0.iter().any(|entry| entry.id == id) {
            return;
        }
        self.0.push(Entry { id, body: Zeroizing::new(body.to_vec()), since: now });
        self.0.drain(..self.0.len().saturating_sub(MAX_WAITING));
    }

    fn forget(&mut self, now: Time) {
        self.0.retain(|entry| now.since(entry.since) < DAY);
    }

    /// The messages of the last day, oldest first.
    pub(crate) fn recent(&self, now: Time) -> impl Iterator<Item = (MessageId, &[u8])> {
        self.0.iter().filter(move |entry| now.since(entry.since) < DAY).map(|entry| (entry.id, entry.body.as_slice()))
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.list(&self.0, |writer, entry| {
            writer.bytes(&entry.id.0);
            writer.u64(entry.since.0);
            // At most 8,172.
            writer.u32(u32::try_from(entry.body.len()).unwrap_or(u32::MAX));
            writer.bytes(&entry.body);
        });
        writer.finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let entries = read_list(&mut reader, MAX_WAITING, |reader| {
            let (id, since) = (MessageId(reader.array()?), Time(reader.u64()?));
            let length = usize::try_from(reader.u32()?).ok().filter(|length| *length <= MAX_BODY_BYTES)?;
            Some(Entry { id, since, body: Zeroizing::new(reader.take(length)?.to_vec()) })
        })?;
        reader.end()?;
        Some(Self(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn outbox_keeps_fifty_messages_for_a_day() {
        let (mut outbox, start) = (Outbox::default(), Time(1_800_000_000_000));
        let id = |n: u8| MessageId([n; 16]);
        for n in 0..=50 {
            outbox.put(id(n), &[n], start + Duration::from_secs(n.into()));
            outbox.put(id(n), b"sent to another device", start);
        }
        let kept = |outbox: &Outbox, now| outbox.recent(now).map(|(id, body)| (id.0[0], body[0])).collect::<Vec<_>>();
        assert_eq!(kept(&outbox, start), (1..=50).map(|n| (n, n)).collect::<Vec<_>>());
        let restored = Outbox::from_bytes(&outbox.to_bytes()).unwrap();
        assert_eq!(kept(&restored, start + DAY + Duration::from_secs(48)), [(49, 49), (50, 50)]);
        outbox.put(id(60), &[60], start + DAY + Duration::from_secs(50));
        assert_eq!(outbox.0.len(), 1);
    }
}
