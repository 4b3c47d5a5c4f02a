//! Accounts with devices, and a server between them that does what a test tells it to.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub, missing_docs)]

use e2ee_identity::{
    AccountId, AccountName, DeviceCert, DeviceKeys, DeviceKind, DeviceList, DevicePublic, IdentityKey, ListMark,
};
use e2ee_messages::{
    Bundle, Contact, Fetched, Message, MessageId, Messenger, OpenError, PrekeyError, Received, Row, SealError, Sealed,
    StateKey, Stock, Time, Upload,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

pub const START: Time = Time(1_800_000_000_000);
pub const CHECKPOINT: [u8; 40] = [0xc4; 40];
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reproducible randomness.
pub struct Seeded(pub ChaCha8Rng);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % limit as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    pub fn id(&mut self) -> MessageId {
        MessageId(self.bytes())
    }
}

impl e2ee_core::Random for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill_bytes(buffer);
    }
}

/// What the server keeps of a device's prekeys.
#[derive(Default)]
pub struct Shelf {
    pub latest: BTreeMap<u8, Vec<u8>>,
    pub one_time: VecDeque<Vec<u8>>,
    pub one_time_kem: VecDeque<Vec<u8>>,
}

impl Shelf {
    pub fn take(&mut self, upload: Upload) {
        if upload.replaces_one_time {
            self.one_time.clear();
            self.one_time_kem.clear();
        }
        for prekey in upload.prekeys {
            match prekey[1] {
                2 => self.one_time.push_back(prekey),
                3 => self.one_time_kem.push_back(prekey),
                kind => drop(self.latest.insert(kind, prekey)),
            }
        }
    }

    pub fn stock(&self) -> Stock {
        Stock { one_time: self.one_time.len(), one_time_kem: self.one_time_kem.len() }
    }

    /// Hands a bundle out.
    pub fn bundle(&mut self) -> Vec<u8> {
        let latest = |kind: u8| self.latest.get(&kind).cloned().unwrap_or_default();
        let (signed, last_resort, sealing) = (latest(1), latest(4), latest(5));
        let one_time = self.one_time.pop_front().unwrap_or_default();
        let kem = self.one_time_kem.pop_front().unwrap_or(last_resort);
        [signed, one_time, kem, sealing].concat()
    }
}

/// One outer on its way.
#[derive(Clone)]
pub struct Delivery {
    pub to: DevicePublic,
    pub outer: Vec<u8>,
    pub blob: Vec<u8>,
}

#[derive(Default)]
pub struct Server {
    pub shelves: BTreeMap<DevicePublic, Shelf>,
    pub queue: Vec<Delivery>,
    /// All that it ever saw.
    pub recorded: Vec<Delivery>,
}

impl Server {
    pub fn post(&mut self, sealed: &Sealed) {
        for (to, outer) in &sealed.outers {
            let delivery = Delivery { to: *to, outer: outer.clone(), blob: sealed.blob.clone() };
            self.recorded.push(delivery.clone());
            self.queue.push(delivery);
        }
    }

    pub fn bundle(&mut self, device: &DevicePublic, now: Time) -> Result<Bundle, PrekeyError> {
        Bundle::parse(&self.shelves.entry(*device).or_default().bundle(), device, now.day())
    }

    pub fn fetch(&mut self, devices: &[DevicePublic], now: Time) -> Vec<(DevicePublic, Fetched)> {
        let fetched = |bundle: Result<_, _>| bundle.map_or(Fetched::Unusable, Fetched::Bundle);
        devices.iter().map(|device| (*device, fetched(self.bundle(device, now)))).collect()
    }

    /// Takes what waits for a device.
    pub fn waiting(&mut self, device: &DevicePublic) -> Vec<Delivery> {
        let (mine, others) = std::mem::take(&mut self.queue).into_iter().partition(|it| it.to == *device);
        self.queue = others;
        mine
    }
}

/// An account, as the directory shows it.
pub struct Account {
    pub name: AccountName,
    pub id: AccountId,
    pub identity: IdentityKey,
    pub certs: Vec<DeviceCert>,
    pub mark: Option<ListMark>,
    pub list: Option<Vec<u8>>,
}

impl Account {
    pub fn new(name: &str, random: &mut Seeded) -> Self {
        Self {
            name: AccountName::new("https://call.example", name).unwrap(),
            id: AccountId(random.bytes()),
            identity: IdentityKey::draw(random),
            certs: Vec::new(),
            mark: None,
            list: None,
        }
    }

    pub fn certify(&self, keys: &DeviceKeys) -> DeviceCert {
        let cert = keys.certify(&self.id, &self.identity.public(), START.day(), DeviceKind::NATIVE, &[0; 32]);
        DeviceCert::parse(&cert).unwrap()
    }

    /// Publishes a list with these devices.
    pub fn publish(&mut self, certs: Vec<DeviceCert>) {
        let list = self.identity.sign_devices(&self.id, &self.name, self.mark.as_ref(), &certs).unwrap();
        self.mark = Some(DeviceList::parse(&list, &self.name).unwrap().mark());
        (self.list, self.certs) = (Some(list), certs);
    }

    pub fn contact(&self) -> Contact {
        let list = DeviceList::parse(self.list.as_ref().unwrap(), &self.name).unwrap();
        Contact::new(&self.name, list, self.certs.clone()).unwrap()
    }
}

/// A device with its storage.
pub struct Device {
    pub messenger: Messenger,
    seeds: ([u8; 32], [u8; 32]),
    key: StateKey,
    /// Sealed rows, as a browser or disk keeps them.
    pub stored: BTreeMap<Row, Vec<u8>>,
    /// What the person saw, in order.
    pub shown: Vec<(AccountId, MessageId, Vec<u8>)>,
}

impl Device {
    pub fn id(&self) -> DevicePublic {
        *self.messenger.device()
    }

    pub fn keys(&self) -> DeviceKeys {
        DeviceKeys::from_seeds(&self.seeds.0, &self.seeds.1)
    }

    /// Stores what has changed, as every client does before it sends.
    pub fn store(&mut self, random: &mut Seeded) {
        for (row, bytes) in self.messenger.take_changes() {
            match bytes {
                Some(bytes) => drop(self.stored.insert(row, self.key.seal(row, &bytes, random).unwrap())),
                None => drop(self.stored.remove(&row)),
            }
        }
    }

    /// The process ends, and begins again with what is stored.
    pub fn restart(&mut self, contacts: &[Contact]) {
        let own = self.messenger.contact(&self.messenger.account()).unwrap().clone();
        let mut messenger = Messenger::new(self.keys(), own).unwrap();
        for contact in contacts {
            messenger.update(contact.clone(), &[]).unwrap();
        }
        for (row, sealed) in &self.stored {
            messenger.restore(*row, &self.key.open(*row, sealed).unwrap()).unwrap();
        }
        self.messenger = messenger;
    }

    pub fn open(&mut self, delivery: &Delivery, now: Time) -> Result<Received, OpenError> {
        let received = self.messenger.open(&delivery.outer, &delivery.blob, now)?;
        if !received.body.is_empty() {
            self.shown.push((received.account, received.id, received.body.to_vec()));
        }
        Ok(received)
    }

    pub fn texts(&self) -> Vec<String> {
        self.shown.iter().map(|(_, _, body)| String::from_utf8_lossy(body).into_owned()).collect()
    }
}

/// Everything.
pub struct World {
    pub random: Seeded,
    pub now: Time,
    pub accounts: Vec<Account>,
    /// By account.
    pub devices: Vec<Vec<Device>>,
    pub server: Server,
}

pub const NAMES: [&str; 6] = ["ada", "ben", "cleo", "dan", "eve", "fay"];

impl World {
    /// Accounts with these numbers of devices, which all know each other.
    pub fn new(seed: u64, devices: &[usize]) -> Self {
        let mut world = Self {
            random: Seeded::new(seed),
            now: START,
            accounts: Vec::new(),
            devices: Vec::new(),
            server: Server::default(),
        };
        for (name, count) in NAMES.iter().zip(devices) {
            let mut account = Account::new(name, &mut world.random);
            let seeds: Vec<_> = (0..*count).map(|_| (world.random.bytes(), world.random.bytes())).collect();
            let certs = seeds.iter().map(|(a, b)| account.certify(&DeviceKeys::from_seeds(a, b))).collect();
            account.publish(certs);
            world.devices.push(seeds.into_iter().map(|seeds| world.random.device(seeds, &account)).collect());
            world.accounts.push(account);
        }
        world.introduce();
        for (account, count) in devices.iter().enumerate() {
            (0..*count).for_each(|device| world.renew_prekeys(account, device));
        }
        world
    }

    /// Tells all devices of all accounts' lists.
    pub fn introduce(&mut self) {
        let contacts = self.contacts();
        for device in self.devices.iter_mut().flatten() {
            for contact in &contacts {
                device.messenger.update(contact.clone(), &[]).unwrap();
            }
            device.store(&mut self.random);
        }
    }

    pub fn contacts(&self) -> Vec<Contact> {
        self.accounts.iter().map(Account::contact).collect()
    }

    /// Adds a device to an account.
    pub fn add_device(&mut self, account: usize) {
        let seeds = (self.random.bytes(), self.random.bytes());
        let owner = &mut self.accounts[account];
        let cert = owner.certify(&DeviceKeys::from_seeds(&seeds.0, &seeds.1));
        let certs = [&owner.certs[..], &[cert]].concat();
        owner.publish(certs);
        let device = self.random.device(seeds, owner);
        self.devices[account].push(device);
        self.introduce();
        self.renew_prekeys(account, self.devices[account].len() - 1);
    }

    /// Takes a device off an account's list. It goes on with what it knows.
    pub fn remove_device(&mut self, account: usize, device: usize) -> Device {
        let removed = self.devices[account].remove(device);
        let mut certs = self.accounts[account].certs.clone();
        certs.retain(|cert| cert.device != removed.id());
        self.accounts[account].publish(certs);
        self.introduce();
        removed
    }

    pub fn renew_prekeys(&mut self, account: usize, device: usize) {
        let device = &mut self.devices[account][device];
        let shelf = self.server.shelves.entry(device.id()).or_default();
        shelf.take(device.messenger.renew_prekeys(shelf.stock(), self.now, &mut self.random));
        device.store(&mut self.random);
    }

    /// One device writes to an account: it fetches the bundles that it needs, seals, stores, posts.
    pub fn write(&mut self, (account, device): (usize, usize), to: usize, text: &str) -> Result<MessageId, SealError> {
        let id = self.random.id();
        let to = self.accounts[to].id;
        let from = &mut self.devices[account][device];
        let needed = from.messenger.bundles_needed(&to, self.now)?;
        let fetched = self.server.fetch(&needed, self.now);
        let message = Message { id, body: text.as_bytes(), checkpoint: &CHECKPOINT, durable: true };
        let sealed = from.messenger.seal(&to, &message, &fetched, self.now, &mut self.random)?;
        from.store(&mut self.random);
        self.server.post(&sealed);
        Ok(id)
    }

    /// A device opens all that waits for it.
    pub fn read(&mut self, account: usize, device: usize) -> Vec<Result<Received, OpenError>> {
        let device = &mut self.devices[account][device];
        let waiting = self.server.waiting(&device.id());
        let opened = waiting.iter().map(|delivery| device.open(delivery, self.now)).collect();
        device.store(&mut self.random);
        opened
    }

    /// A device replaces the sessions that are lost, and sends again what others have missed.
    pub fn heal(&mut self, account: usize, device: usize) {
        let device = &mut self.devices[account][device];
        for (account, peer) in device.messenger.resets_due(self.now) {
            let fetched = self.server.fetch(&[peer], self.now);
            let message = Message { id: self.random.id(), body: b"", checkpoint: &CHECKPOINT, durable: false };
            let to = (&account, &peer);
            let sealed = device.messenger.seal_to(to, &message, &fetched, self.now, &mut self.random).unwrap();
            device.store(&mut self.random);
            self.server.post(&sealed);
        }
        for (account, peer) in device.messenger.resends_due() {
            let needed = device.messenger.bundles_needed(&account, self.now).unwrap();
            let fetched = self.server.fetch(&needed, self.now);
            let to = (&account, &peer);
            let sealed = device.messenger.resend(to, &CHECKPOINT, &fetched, self.now, &mut self.random).unwrap();
            device.store(&mut self.random);
            sealed.iter().for_each(|sealed| self.server.post(sealed));
        }
    }

    /// Everyone reads and heals until nothing waits.
    pub fn settle(&mut self) {
        // What a hostile server has redirected to a removed device waits for no one.
        let listed: BTreeSet<_> = self.devices.iter().flatten().map(Device::id).collect();
        self.server.queue.retain(|delivery| listed.contains(&delivery.to));
        for _ in 0..20 {
            for account in 0..self.devices.len() {
                for device in 0..self.devices[account].len() {
                    let _ = self.read(account, device);
                    self.heal(account, device);
                }
            }
            if self.server.queue.is_empty() {
                return;
            }
        }
        panic!("messages go round and round");
    }
}

impl Seeded {
    fn device(&mut self, seeds: ([u8; 32], [u8; 32]), account: &Account) -> Device {
        let keys = DeviceKeys::from_seeds(&seeds.0, &seeds.1);
        let messenger = Messenger::new(keys, account.contact()).unwrap();
        Device { messenger, seeds, key: StateKey::draw(self), stored: BTreeMap::new(), shown: Vec::new() }
    }
}
