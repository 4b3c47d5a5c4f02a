//! Records of calls in rooms of accounts: exact for a day, then without people and times of day, for thirty days.
//!
//! No address is ever recorded. After a day the ids of members are replaced by their number, and the time by the day. Not by
//! pseudonyms: those of one day could be joined with each other, and a key would have to be kept to make them.

use crate::{
    database::{self, Space, Table},
    error::StoreError,
    owner::{OWNER_BYTES, Owner},
    row::Plaintext,
    store::{Store, Stored},
    time::{Day, Time},
};
use e2ee_core::{Reader, array::concat};

/// How long a record is exact, in seconds.
const EXACT_SECONDS: u64 = 86_400;
/// How long a record is kept, in days after the call's.
const KEPT_DAYS: u32 = 30;
/// Durations are rounded up to multiples of this.
const STEP_MINUTES: u16 = 5;
/// Members that are recorded; more than a room has.
const MAX_MEMBERS: usize = 4_096;
/// Records that one transaction makes inexact.
const BATCH: usize = 100;

const EXACT: u8 = 1;
const INEXACT: u8 = 2;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub when: When,
    /// How long it took, in minutes; a multiple of five.
    pub minutes: u16,
    /// How it ended. Numbers are the application's.
    pub result: u8,
    /// Who took part.
    pub members: Members,
}

/// When a call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The second.
    At(Time),
    /// Only the day, after a day.
    On(Day),
}

/// Who took part in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Accounts.
    Accounts(Vec<Owner>),
    /// Only how many, after a day.
    Number(u16),
}

fn write_exact(began: Time, minutes: u16, result: u8, members: &[Owner]) -> Vec<u8> {
    let mut value = [&[EXACT][..], &began.as_secs().to_be_bytes(), &minutes.to_be_bytes(), &[result]].concat();
    members.iter().for_each(|member| value.extend_from_slice(member.id()));
    value
}

fn write_inexact(day: Day, minutes: u16, result: u8, members: u16) -> Vec<u8> {
    let (minutes, members) = (minutes.to_be_bytes(), members.to_be_bytes());
    [&[INEXACT][..], &day.to_bytes(), &minutes, &[result], &members].concat()
}

fn parse(bytes: &[u8]) -> Option<Call> {
    let mut reader = Reader::new(bytes);
    let is_exact = match reader.u8()? {
        EXACT => true,
        INEXACT => false,
        _ => return None,
    };
    let when = if is_exact { When::At(Time::from_secs(reader.u64()?)) } else { When::On(Day(reader.u32()?)) };
    let (minutes, result) = (reader.u16()?, reader.u8()?);
    let members = if is_exact {
        let (ids, rest) = bytes.get(12..)?.as_chunks::<OWNER_BYTES>();
        rest.is_empty().then_some(())?;
        Members::Accounts(ids.iter().copied().map(Owner::from_id).collect())
    } else {
        let number = reader.u16()?;
        reader.end()?;
        Members::Number(number)
    };
    Some(Call { when, minutes, result, members })
}

impl Store {
    /// Records a call of a room that has ended. `minutes` are rounded up.
    ///
    /// # Errors
    /// [`StoreError::UnknownOwner`] if the room has none; [`StoreError::TooLong`]; the database fails.
    pub fn record_call(
        &self,
        room: Owner,
        began: Time,
        minutes: u16,
        result: u8,
        members: &[Owner],
        now: Time,
    ) -> Result<(), StoreError> {
        if members.len() > MAX_MEMBERS {
            return Err(StoreError::TooLong);
        }
        let minutes = minutes.div_ceil(STEP_MINUTES).saturating_mul(STEP_MINUTES);
        let mut id = [0; 12];
        self.random().fill(&mut id);
        // Names are in clear, so they do not say more than the day.
        let name: [u8; 16] = concat(&[&began.day().to_bytes(), &id]);
        let value = write_exact(began, minutes, result, members);
        self.write(Space::Vault, now, |tx| {
            tx.put_until(Table::Call, room, &name, &value, began.day().plus(KEPT_DAYS))?;
            let exact: [u8; 40] = concat(&[&began.as_secs().to_be_bytes(), room.id(), &name]);
            Ok(tx.raw().put(Table::ExactCall, &exact, &[])?)
        })
    }

    /// The calls of a room that are known, by day.
    ///
    /// # Errors
    /// The database fails; a record is corrupt.
    pub fn calls(&self, room: Owner, now: Time) -> Result<Vec<Call>, StoreError> {
        let rows = self.read(Space::Vault, now, |tx| tx.page(Table::Call, room, b"", None, usize::MAX))?;
        rows.into_iter().map(|(_, row)| read(&row?)).collect()
    }

    /// Makes all records inexact whose calls began a day ago or earlier. To be called every few minutes.
    ///
    /// # Errors
    /// The database fails: call this again.
    pub fn blur_calls(&self, now: Time) -> Result<(), StoreError> {
        let Some(last) = now.as_secs().checked_sub(EXACT_SECONDS) else { return Ok(()) };
        let end = last.saturating_add(1).to_be_bytes();
        loop {
            let exact =
                database::read(self.database(Space::Vault), |tx| tx.range(Table::ExactCall, &[], Some(&end), BATCH))?;
            if exact.is_empty() {
                return Ok(());
            }
            self.write(Space::Vault, now, |tx| {
                for (key, _) in &exact {
                    let (room, name) = parse_index(key).ok_or(StoreError::Corrupt(Stored::Row(Table::ExactCall)))?;
                    // Its room may be deleted, or the row be gone.
                    if let Some(row) = tx.get(Table::Call, room, &name)?
                        && let Call { when: When::At(began), minutes, result, members: Members::Accounts(members) } =
                            read(&row)?
                    {
                        let members = u16::try_from(members.len()).unwrap_or(u16::MAX);
                        tx.put(Table::Call, room, &name, &write_inexact(began.day(), minutes, result, members))?;
                    }
                    tx.raw().delete(Table::ExactCall, key)?;
                }
                Ok(())
            })?;
            self.database(Space::Vault).scrub()?;
        }
    }
}

/// The room and name of a record that is exact.
fn parse_index(key: &[u8]) -> Option<(Owner, [u8; 16])> {
    let mut reader = Reader::new(key.get(8..)?);
    let (room, name) = (Owner::from_id(reader.array()?), reader.array()?);
    reader.end()?;
    Some((room, name))
}

fn read(row: &Plaintext) -> Result<Call, StoreError> {
    parse(row).ok_or(StoreError::Corrupt(Stored::Row(Table::Call)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_are_written() {
        let (began, members) = (Time::from_secs(1_783_339_200), vec![Owner::from_id([1; 16]), Owner::from_id([2; 16])]);
        let exact = Call { when: When::At(began), minutes: 45, result: 1, members: Members::Accounts(members.clone()) };
        assert_eq!(parse(&write_exact(began, 45, 1, &members)), Some(exact));
        let inexact = Call { when: When::On(began.day()), minutes: 45, result: 1, members: Members::Number(2) };
        assert_eq!(parse(&write_inexact(began.day(), 45, 1, 2)), Some(inexact));
        for bytes in [&[][..], &[3; 20], &[1; 13], &[2; 11]] {
            assert_eq!(parse(bytes), None);
        }
    }
}
