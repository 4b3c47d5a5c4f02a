//! The private halves of a device's prekeys, from their making to their erasure.
//!
//! | prekeys | new | public half used by others | private half erased |
//! |---|---|---|---|
//! | signed, last-resort, sealing | every 7 days | 21 days | after 35 days |
//! | one-time | all of them every 7 days, and when a third is left | once, within 21 days | when used, or after 35 days |
//!
//! 35 days are the 21 in which others use a prekey, and the 14 that a message waits for its recipient.

use crate::{
    agreement::AgreementSecret,
    kem::KemSecret,
    prekey::{self, PREKEY_DAYS, PrekeyId, PrekeyKind, PrivateHalf},
    state::{Writer, read_list},
};
use alloc::vec::Vec;
use e2ee_core::{Random, Reader};
use e2ee_identity::DeviceKeys;
use zeroize::Zeroizing;

/// Number of one-time X25519 prekeys that a device keeps at the server.
pub const ONE_TIME_PREKEYS: usize = 50;
/// Number of one-time ML-KEM prekeys that a device keeps at the server.
pub const ONE_TIME_KEMS: usize = 16;
/// Days after which prekeys are replaced.
pub const RENEWAL_DAYS: u32 = 7;
/// Days for which the server keeps a message.
pub const QUEUE_DAYS: u32 = 14;
/// Days after which a private half is erased, used or not.
const KEPT_DAYS: u32 = PREKEY_DAYS + QUEUE_DAYS;
/// Maximum number of private halves of one-time prekeys of a kind. A server that claims to have none left gets no more.
const MAX_HALVES: usize = 512;
/// Version of the row.
const VERSION: u8 = 1;

struct Half<S> {
    id: PrekeyId,
    day: u32,
    secret: S,
}

/// The private halves. A row of the device's state.
#[derive(Default)]
pub(crate) struct Prekeys {
    signed: Vec<Half<AgreementSecret>>,
    one_time: Vec<Half<AgreementSecret>>,
    one_time_kem: Vec<Half<KemSecret>>,
    last_resort: Vec<Half<KemSecret>>,
    sealing: Vec<Half<AgreementSecret>>,
}

/// How many one-time prekeys the server says it has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// X25519.
    pub one_time: usize,
    /// ML-KEM-768.
    pub one_time_kem: usize,
}

/// New prekeys for the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    /// Signed prekeys. Of each kind but the one-time ones, one replaces its predecessor.
    pub prekeys: Vec<Vec<u8>>,
    /// Whether the server is to drop the one-time prekeys that it has: they are old.
    pub replaces_one_time: bool,
}

/// Whether the newest of these is due to be replaced. An empty set is.
fn is_due<S>(halves: &[Half<S>], today: u32) -> bool {
    halves.last().is_none_or(|newest| today.saturating_sub(newest.day) >= RENEWAL_DAYS)
}

fn find<S>(halves: &[Half<S>], id: PrekeyId) -> Option<&S> {
    halves.iter().find(|half| half.id == id).map(|half| &half.secret)
}

/// An id that no half has.
fn fresh_id<S>(halves: &[Half<S>], random: &mut (impl Random + ?Sized)) -> PrekeyId {
    let mut id = [0; 4];
    random.fill(&mut id);
    // Odd, hence never zero.
    let mut id = PrekeyId(u32::from_be_bytes(id) | 1);
    while find(halves, id).is_some() {
        id.0 = id.0.wrapping_add(2);
    }
    id
}

impl Prekeys {
    /// Erases what is too old and makes what is due.
    pub(crate) fn renew(
        &mut self,
        keys: &DeviceKeys,
        stock: Stock,
        today: u32,
        random: &mut (impl Random + ?Sized),
    ) -> Upload {
        self.erase_old(today);
        let mut upload = Upload::default();
        if is_due(&self.signed, today) {
            let secret = AgreementSecret::draw(random);
            upload.add(keys, PrekeyKind::Signed, &mut self.signed, secret, today, random);
        }
        if is_due(&self.last_resort, today) {
            let secret = KemSecret::draw(random);
            upload.add(keys, PrekeyKind::LastResortKem, &mut self.last_resort, secret, today, random);
        }
        if is_due(&self.sealing, today) {
            let secret = AgreementSecret::draw(random);
            upload.add(keys, PrekeyKind::Sealing, &mut self.sealing, secret, today, random);
        }
        upload.replaces_one_time = is_due(&self.one_time, today) || is_due(&self.one_time_kem, today);
        let stock = if upload.replaces_one_time { Stock::default() } else { stock };
        for _ in 0..missing(stock.one_time, ONE_TIME_PREKEYS, self.one_time.len()) {
            let secret = AgreementSecret::draw(random);
            upload.add(keys, PrekeyKind::OneTime, &mut self.one_time, secret, today, random);
        }
        for _ in 0..missing(stock.one_time_kem, ONE_TIME_KEMS, self.one_time_kem.len()) {
            let secret = KemSecret::draw(random);
            upload.add(keys, PrekeyKind::OneTimeKem, &mut self.one_time_kem, secret, today, random);
        }
        upload
    }

    fn erase_old(&mut self, today: u32) {
        fn erase<S>(halves: &mut Vec<Half<S>>, today: u32) {
            halves.retain(|half| today.saturating_sub(half.day) <= KEPT_DAYS);
        }
        erase(&mut self.signed, today);
        erase(&mut self.one_time, today);
        erase(&mut self.one_time_kem, today);
        erase(&mut self.last_resort, today);
        erase(&mut self.sealing, today);
    }

    pub(crate) fn signed(&self, id: PrekeyId) -> Option<&AgreementSecret> {
        find(&self.signed, id)
    }

    pub(crate) fn one_time(&self, id: PrekeyId) -> Option<&AgreementSecret> {
        find(&self.one_time, id)
    }

    pub(crate) fn kem(&self, kind: PrekeyKind, id: PrekeyId) -> Option<&KemSecret> {
        match kind {
            PrekeyKind::OneTimeKem => find(&self.one_time_kem, id),
            PrekeyKind::LastResortKem => find(&self.last_resort, id),
            PrekeyKind::Signed | PrekeyKind::OneTime | PrekeyKind::Sealing => None,
        }
    }

    /// The halves to which an outer may be sealed, newest first.
    pub(crate) fn sealing(&self) -> impl Iterator<Item = &AgreementSecret> {
        self.sealing.iter().rev().map(|half| &half.secret)
    }

    /// The newest sealing prekey, with its id.
    pub(crate) fn newest_sealing(&self, keys: &DeviceKeys) -> Option<(PrekeyId, Vec<u8>)> {
        let half = self.sealing.last()?;
        Some((half.id, prekey::sign(keys, PrekeyKind::Sealing, half.id, half.day, &half.secret)))
    }

    /// Erases the one-time halves of a session that has begun. Returns whether there were any.
    pub(crate) fn use_up(&mut self, one_time: Option<PrekeyId>, kem: (PrekeyKind, PrekeyId)) -> bool {
        let before = self.one_time.len() + self.one_time_kem.len();
        self.one_time.retain(|half| Some(half.id) != one_time);
        if kem.0 == PrekeyKind::OneTimeKem {
            self.one_time_kem.retain(|half| half.id != kem.1);
        }
        self.one_time.len() + self.one_time_kem.len() < before
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        fn write<S>(writer: &mut Writer, halves: &[Half<S>], secret: fn(&S, &mut Writer)) {
            writer.list(halves, |writer, half| {
                writer.u32(half.id.0);
                writer.u32(half.day);
                secret(&half.secret, writer);
            });
        }
        let mut writer = Writer::default();
        writer.u8(VERSION);
        write(&mut writer, &self.signed, AgreementSecret::write);
        write(&mut writer, &self.one_time, AgreementSecret::write);
        write(&mut writer, &self.one_time_kem, KemSecret::write);
        write(&mut writer, &self.last_resort, KemSecret::write);
        write(&mut writer, &self.sealing, AgreementSecret::write);
        writer.finish()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        fn read<S>(reader: &mut Reader<'_>, secret: fn(&mut Reader<'_>) -> Option<S>) -> Option<Vec<Half<S>>> {
            read_list(reader, MAX_HALVES, |reader| {
                Some(Half { id: PrekeyId(reader.u32()?), day: reader.u32()?, secret: secret(reader)? })
            })
        }
        let mut reader = Reader::new(bytes);
        (reader.u8()? == VERSION).then_some(())?;
        let prekeys = Self {
            signed: read(&mut reader, AgreementSecret::read)?,
            one_time: read(&mut reader, AgreementSecret::read)?,
            one_time_kem: read(&mut reader, KemSecret::read)?,
            last_resort: read(&mut reader, KemSecret::read)?,
            sealing: read(&mut reader, AgreementSecret::read)?,
        };
        reader.end()?;
        Some(prekeys)
    }
}

/// How many one-time prekeys to make: none while more than a third is left.
fn missing(stock: usize, full: usize, halves: usize) -> usize {
    let missing = if stock * 3 < full { full - stock } else { 0 };
    missing.min(MAX_HALVES.saturating_sub(halves))
}

impl Upload {
    fn add<S: PrivateHalf>(
        &mut self,
        keys: &DeviceKeys,
        kind: PrekeyKind,
        halves: &mut Vec<Half<S>>,
        secret: S,
        day: u32,
        random: &mut (impl Random + ?Sized),
    ) {
        let id = fresh_id(halves, random);
        self.prekeys.push(prekey::sign(keys, kind, id, day, &secret));
        halves.push(Half { id, day, secret });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prekey::{CURVE_PREKEY_BYTES, KEM_PREKEY_BYTES};
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{RngCore, SeedableRng},
    };

    const TODAY: u32 = 20_000;
    const FULL: Stock = Stock { one_time: ONE_TIME_PREKEYS, one_time_kem: ONE_TIME_KEMS };

    fn random() -> impl FnMut(&mut [u8]) + Send {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        move |bytes: &mut [u8]| rng.fill_bytes(bytes)
    }

    fn keys() -> DeviceKeys {
        DeviceKeys::from_seeds(&[1; 32], &[2; 32])
    }

    /// How many of each kind are uploaded.
    fn kinds(upload: &Upload) -> [usize; 5] {
        let sizes = upload.prekeys.iter().map(Vec::len);
        assert!(sizes.clone().all(|size| [CURVE_PREKEY_BYTES, KEM_PREKEY_BYTES].contains(&size)));
        [1, 2, 3, 4, 5].map(|kind| upload.prekeys.iter().filter(|prekey| prekey[1] == kind).count())
    }

    #[test]
    fn prekeys_are_renewed_weekly_and_topped_up_when_few_are_left() {
        let (mut prekeys, mut random) = (Prekeys::default(), random());
        let first = prekeys.renew(&keys(), Stock::default(), TODAY, &mut random);
        assert_eq!((kinds(&first), first.replaces_one_time), ([1, 50, 16, 1, 1], true));
        // A third or more is left.
        let stock = Stock { one_time: 17, one_time_kem: 6 };
        assert_eq!(kinds(&prekeys.renew(&keys(), stock, TODAY + 6, &mut random)), [0; 5]);
        let stock = Stock { one_time: 16, one_time_kem: 5 };
        let more = prekeys.renew(&keys(), stock, TODAY + 6, &mut random);
        assert_eq!((kinds(&more), more.replaces_one_time), ([0, 34, 11, 0, 0], false));
        let week = prekeys.renew(&keys(), FULL, TODAY + 7, &mut random);
        assert_eq!((kinds(&week), week.replaces_one_time), ([1, 0, 0, 1, 1], false), "the last batch is a day old");
        let week = prekeys.renew(&keys(), FULL, TODAY + 13, &mut random);
        assert_eq!((kinds(&week), week.replaces_one_time), ([0, 50, 16, 0, 0], true));
    }

    #[test]
    fn halves_are_erased_at_use_or_after_35_days() {
        let (mut prekeys, mut random) = (Prekeys::default(), random());
        prekeys.renew(&keys(), Stock::default(), TODAY, &mut random);
        let (signed, one_time) = (prekeys.signed[0].id, prekeys.one_time[0].id);
        let (kem, last) = (prekeys.one_time_kem[0].id, prekeys.last_resort[0].id);
        assert!(prekeys.use_up(Some(one_time), (PrekeyKind::OneTimeKem, kem)));
        assert!(prekeys.one_time(one_time).is_none() && prekeys.kem(PrekeyKind::OneTimeKem, kem).is_none());
        assert!(!prekeys.use_up(None, (PrekeyKind::LastResortKem, last)), "which others use, too");
        prekeys.renew(&keys(), FULL, TODAY + 35, &mut random);
        assert!(prekeys.signed(signed).is_some() && prekeys.kem(PrekeyKind::LastResortKem, last).is_some());
        assert_eq!((prekeys.one_time.len(), prekeys.sealing().count()), (49 + 50, 2));
        prekeys.renew(&keys(), FULL, TODAY + 36, &mut random);
        assert!(prekeys.signed(signed).is_none() && prekeys.kem(PrekeyKind::LastResortKem, last).is_none());
        assert_eq!((prekeys.one_time.len(), prekeys.sealing().count()), (50, 1));
    }

    /// A server that always says that none are left gets a bounded number.
    #[test]
    fn halves_are_bounded() {
        let (mut prekeys, mut random) = (Prekeys::default(), random());
        for _ in 0..12 {
            prekeys.renew(&keys(), Stock { one_time: 0, one_time_kem: ONE_TIME_KEMS }, TODAY, &mut random);
        }
        assert_eq!(prekeys.one_time.len(), MAX_HALVES);
    }

    #[test]
    fn stored_prekeys_are_read_back() {
        let (mut prekeys, mut random) = (Prekeys::default(), random());
        prekeys.renew(&keys(), Stock::default(), TODAY, &mut random);
        let bytes = prekeys.to_bytes();
        let read = Prekeys::from_bytes(&bytes).unwrap();
        assert_eq!(*read.to_bytes(), *bytes);
        for length in 0..bytes.len() {
            assert!(Prekeys::from_bytes(&bytes[..length]).is_none());
        }
    }
}
