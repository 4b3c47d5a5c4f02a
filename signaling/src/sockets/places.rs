//! The places of all connections. No I/O: the time is an argument.

use crate::{
    config::Config,
    metrics::Metrics,
    network::{is_within, network},
};
use futures_util::task::AtomicWaker;
use ipnet::IpNet;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Time from accepting a connection until a complete request head, with the TLS handshake.
pub(crate) const HEAD: Duration = Duration::from_secs(10);
/// Time from the head until the complete body, which is at most 16 KiB.
pub(crate) const BODY: Duration = Duration::from_secs(10);
/// Time without progress between an answer and the next head, while the answer is sent or the connection is idle.
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// The same for a trusted proxy, which keeps its connections for later requests.
pub(crate) const IDLE_PROXY: Duration = Duration::from_secs(90);
/// Time in which an answer must have been sent, however slowly the client reads.
pub(crate) const ANSWER: Duration = Duration::from_secs(120);
/// Connections that a browser opens for one page. An address with more that wait is the first to lose one.
const BROWSER: usize = 8;

/// How many connections there may be.
#[derive(Clone, Debug)]
pub(crate) struct SocketSettings {
    /// In all.
    pub(crate) total: usize,
    /// From one address; `None` is no limit.
    pub(crate) per_address: Option<usize>,
    /// Networks that only the total limits: trusted proxies, and what the operator exempts.
    pub(crate) exempt: Vec<IpNet>,
}

impl SocketSettings {
    /// The settings of an operator.
    pub(crate) fn of(config: &Config) -> Self {
        let exempt = config.trusted_proxies.iter().chain(&config.exempt).copied().collect();
        Self { total: config.sockets, per_address: config.sockets_per_address, exempt }
    }
}

/// Why there is no place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMany {
    /// Its address has its maximum number, and none of these waits.
    OfAddress,
    /// The server has its maximum number, and none of these waits.
    InAll,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Sending its first request head, or the TLS handshake before it.
    Head,
    /// Sending a body.
    Body,
    /// Waiting for the server.
    Handling,
    /// Reading an answer, or idle.
    Answered {
        /// When the answer began.
        since: Instant,
    },
    /// A WebSocket, which has its own deadlines and is in no room yet.
    WebSocket,
    /// In a room.
    Member,
}

impl Phase {
    /// Whether the connection may be closed to make space for another one.
    fn waits(self) -> bool {
        self != Self::Member
    }
}

/// All connections of a listener.
#[derive(Debug)]
pub(crate) struct Sockets {
    settings: SocketSettings,
    metrics: Arc<Metrics>,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    next: u64,
    entries: HashMap<u64, Entry>,
    groups: HashMap<Option<IpAddr>, Group>,
    /// The group that loses a connection first is the last.
    order: BTreeSet<Rank>,
    /// Connections that are revoked and not closed yet.
    closing: usize,
}

/// Where a group stands: how many more than a browser's connections wait, and since when the oldest does.
type Rank = (usize, Reverse<(Instant, u64)>, Option<IpAddr>);

/// The connections of one address; `None` are all that are exempt.
#[derive(Debug, Default)]
struct Group {
    open: usize,
    waiting: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Entry {
    group: Option<IpAddr>,
    /// The client that an exempt proxy's connection counts for at the moment.
    client: Option<IpAddr>,
    phase: Phase,
    since: Instant,
    state: Arc<State>,
}

/// What a connection's stream and its place share.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) revoked: AtomicBool,
    /// Something was written since the last look.
    pub(super) wrote: AtomicBool,
    pub(super) reader: AtomicWaker,
    pub(super) writer: AtomicWaker,
}

impl State {
    fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
        self.reader.wake();
        self.writer.wake();
    }
}

/// The place of one connection, which dropping it frees.
#[derive(Debug)]
pub(crate) struct Place {
    ticket: Ticket,
    pub(super) state: Arc<State>,
}

/// Says what a connection is doing. Cheap to clone; without effect once the connection has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    sockets: Arc<Sockets>,
    number: u64,
}

impl Sockets {
    pub(crate) fn new(settings: SocketSettings, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { settings, metrics, all: Mutex::default() })
    }

    /// The maximum number of connections.
    pub(crate) fn total(&self) -> usize {
        self.settings.total
    }

    /// Connections that are closed and whose files may still be open.
    pub(crate) fn closing(&self) -> usize {
        self.all().closing
    }

    /// A place for a connection that was just accepted. If there is none left, the connection that waits for longest goes:
    /// of the same address if that has too many, otherwise of the address with the most.
    ///
    /// # Errors
    /// There are too many, and none of them waits.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Place, TooMany> {
        let group = (!self.is_exempt(address)).then(|| network(address));
        let mut all = self.all();
        let full = |open: usize| group.is_some() && self.settings.per_address.is_some_and(|most| open >= most);
        if full(all.groups.get(&group).map_or(0, |group| group.open)) {
            let oldest = all.groups.get(&group).and_then(|group| group.waiting.first()).map(|(_, number)| *number);
            self.replace(&mut all, oldest.ok_or(TooMany::OfAddress)?);
        }
        if all.entries.len() >= self.settings.total {
            let oldest = all.order.last().map(|(_, Reverse((_, number)), _)| *number);
            self.replace(&mut all, oldest.ok_or(TooMany::InAll)?);
        }
        let number = all.next;
        all.next = number.wrapping_add(1);
        let state = Arc::new(State::default());
        let entry = Entry { group, client: None, phase: Phase::Head, since: now, state: Arc::clone(&state) };
        all.entries.insert(number, entry);
        all.open(group);
        all.wait(group, (now, number), true);
        self.show(&all);
        Ok(Place { ticket: Ticket { sockets: Arc::clone(self), number }, state })
    }

    /// Ends connections that are past their deadline. Call it regularly.
    pub(crate) fn expire(&self, now: Instant) {
        let mut all = self.all();
        let mut late = Vec::new();
        let mut progressed = Vec::new();
        for (number, entry) in &all.entries {
            let idle = if entry.group.is_none() { IDLE_PROXY } else { IDLE };
            let waited = now.saturating_duration_since(entry.since);
            let is_late = match entry.phase {
                Phase::Head => waited >= HEAD,
                Phase::Body => waited >= BODY,
                Phase::Answered { since } if entry.state.wrote.swap(false, Ordering::Relaxed) => {
                    progressed.push(*number);
                    now.saturating_duration_since(since) >= ANSWER
                }
                Phase::Answered { .. } => waited >= idle,
                Phase::Handling | Phase::WebSocket | Phase::Member => false,
            };
            if is_late {
                late.push(*number);
            }
        }
        for number in progressed {
            all.change(number, now, None);
        }
        for number in late {
            all.revoke(number);
            self.metrics.sockets_late.fetch_add(1, Ordering::Relaxed);
        }
        self.show(&all);
    }

    fn replace(&self, all: &mut All, number: u64) {
        all.revoke(number);
        self.metrics.sockets_replaced.fetch_add(1, Ordering::Relaxed);
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        is_within(&self.settings.exempt, address)
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, all: &All) {
        self.metrics.sockets_open.store(all.entries.len() as u64, Ordering::Relaxed);
    }
}

impl All {
    fn open(&mut self, group: Option<IpAddr>) {
        let group = self.groups.entry(group).or_default();
        group.open = group.open.saturating_add(1);
    }

    fn close(&mut self, key: Option<IpAddr>) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        group.open = group.open.saturating_sub(1);
        if group.open == 0 {
            self.groups.remove(&key);
        }
    }

    /// Enters a connection among those that wait, or takes it out.
    fn wait(&mut self, key: Option<IpAddr>, connection: (Instant, u64), waits: bool) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        if let Some(rank) = group.rank(key) {
            self.order.remove(&rank);
        }
        if waits {
            group.waiting.insert(connection);
        } else {
            group.waiting.remove(&connection);
        }
        if let Some(rank) = group.rank(key) {
            self.order.insert(rank);
        }
    }

    /// The connection does something else from now on, or if `phase` is `None` the same again.
    fn change(&mut self, number: u64, now: Instant, phase: Option<Phase>) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let (before, group) = ((entry.since, entry.phase), entry.group);
        entry.since = now;
        entry.phase = phase.unwrap_or(entry.phase);
        let waits = entry.phase.waits();
        if before.1.waits() {
            self.wait(group, (before.0, number), false);
        }
        if waits {
            self.wait(group, (now, number), true);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        if entry.phase.waits() {
            self.wait(entry.group, (entry.since, number), false);
        }
        self.close(entry.group);
        if entry.client.is_some() {
            self.close(entry.client);
        }
        Some(entry)
    }

    fn revoke(&mut self, number: u64) {
        if let Some(entry) = self.remove(number) {
            self.closing = self.closing.saturating_add(1);
            entry.state.revoke();
        }
    }
}

impl Group {
    fn rank(&self, key: Option<IpAddr>) -> Option<Rank> {
        // Those that are exempt are many for good reason.
        let excess = if key.is_some() { self.waiting.len().saturating_sub(BROWSER) } else { 0 };
        Some((excess, Reverse(*self.waiting.first()?), key))
    }
}

impl Ticket {
    /// A request head is complete, and a body may follow.
    pub(crate) fn head_complete(&self, now: Instant) {
        self.change(now, Phase::Body);
    }

    /// A request is complete.
    pub(crate) fn body_complete(&self, now: Instant) {
        self.change(now, Phase::Handling);
    }

    /// The answer is on its way.
    pub(crate) fn answered(&self, now: Instant) {
        let mut all = self.sockets.all();
        let Some(entry) = all.entries.get_mut(&self.number) else { return };
        // After an upgrade, which may be faster, there is no further request.
        if entry.phase != Phase::Handling {
            return;
        }
        let client = entry.client.take();
        all.change(self.number, now, Some(Phase::Answered { since: now }));
        if client.is_some() {
            all.close(client);
        }
    }

    /// The answer is an upgrade: from now on it is a WebSocket.
    pub(crate) fn upgraded(&self, now: Instant) {
        self.change(now, Phase::WebSocket);
    }

    /// The WebSocket has shown a credential: it is not closed for others' sake any more. Returns whether it is still open.
    pub(crate) fn member(&self, now: Instant) -> bool {
        let mut all = self.sockets.all();
        all.change(self.number, now, Some(Phase::Member));
        all.entries.contains_key(&self.number)
    }

    /// Counts the connection for this client, until its request is answered or it ends, if it came from a proxy.
    ///
    /// # Errors
    /// The client has its maximum number of connections.
    pub(crate) fn is_of(&self, client: IpAddr) -> Result<(), TooMany> {
        if self.sockets.is_exempt(client) {
            return Ok(());
        }
        let client = Some(network(client));
        let mut all = self.sockets.all();
        let open = all.groups.get(&client).map_or(0, |group| group.open);
        let Some(entry) = all.entries.get_mut(&self.number) else { return Ok(()) };
        if entry.group.is_some() || entry.client.is_some() {
            return Ok(());
        }
        if self.sockets.settings.per_address.is_some_and(|most| open >= most) {
            return Err(TooMany::OfAddress);
        }
        entry.client = client;
        all.open(client);
        Ok(())
    }

    fn change(&self, now: Instant, phase: Phase) {
        self.sockets.all().change(self.number, now, Some(phase));
    }
}

impl Place {
    /// What says what the connection is doing.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let sockets = &self.ticket.sockets;
        let mut all = sockets.all();
        if all.remove(self.ticket.number).is_none() {
            all.closing = all.closing.saturating_sub(1);
        }
        sockets.show(&all);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn sockets(total: usize, per_address: usize) -> Arc<Sockets> {
        let exempt = vec!["10.0.0.0/8".parse().unwrap()];
        Sockets::new(SocketSettings { total, per_address: Some(per_address), exempt }, Arc::default())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn is_open(place: &Place) -> bool {
        !place.state.revoked.load(Ordering::Relaxed)
    }

    /// Makes a connection a member of a room.
    fn join(place: &Place, now: Instant) {
        place.ticket().upgraded(now);
        assert!(place.ticket().member(now));
    }

    #[test]
    fn full_address_replaces_its_own_oldest() {
        let (sockets, start) = (sockets(100, 2), Instant::now());
        let other = sockets.admit(address("192.0.2.9"), start).unwrap();
        let of = |second| sockets.admit(address("192.0.2.1"), start + seconds(second)).unwrap();
        let [first, second, third] = [of(1), of(2), of(3)];
        assert_eq!([&other, &first, &second, &third].map(is_open), [true, false, true, true]);
        assert_eq!(sockets.closing(), 1);
        drop(first);
        assert_eq!(sockets.closing(), 0);
        for member in [&second, &third] {
            join(member, start + seconds(4));
        }
        assert_eq!(sockets.admit(address("192.0.2.1"), start + seconds(5)).unwrap_err(), TooMany::OfAddress);
        drop(second);
        assert!(sockets.admit(address("::ffff:192.0.2.1"), start).is_ok(), "the same address, mapped");
    }

    #[test]
    fn ipv6_customer_is_one_address() {
        let (sockets, now) = (sockets(100, 1), Instant::now());
        let first = sockets.admit(address("2001:db8:0:1::1"), now).unwrap();
        let _second = sockets.admit(address("2001:db8:0:ff::2"), now).unwrap();
        assert!(!is_open(&first), "the same /56");
        let third = sockets.admit(address("2001:db8:0:100::1"), now).unwrap();
        assert!(is_open(&third), "another /56");
    }

    #[test]
    fn full_server_replaces_the_oldest_of_the_address_with_most() {
        let (sockets, start) = (sockets(40, 30), Instant::now());
        let honest: Vec<Place> = (0..6).map(|_| sockets.admit(address("192.0.2.1"), start).unwrap()).collect();
        let at = start + seconds(1);
        let crowd: Vec<Place> = (0..34).map(|_| sockets.admit(address("192.0.2.2"), at).unwrap()).collect();
        let place = sockets.admit(address("192.0.2.3"), start + seconds(2)).unwrap();
        assert!(is_open(&place) && honest.iter().all(is_open));
        // The address had 30, so its own oldest were replaced before.
        assert_eq!(crowd.iter().filter(|place| is_open(place)).count(), 30);
        let more: Vec<Place> =
            (4..9).map(|last| sockets.admit(format!("192.0.2.{last}").parse().unwrap(), at).unwrap()).collect();
        assert!(more.iter().chain(&honest).all(is_open));
        assert_eq!(crowd.iter().filter(|place| is_open(place)).count(), 28);
    }

    /// Many addresses with few connections each cannot push out a browser that has just come, since they are older.
    #[test]
    fn among_addresses_with_few_the_oldest_goes() {
        let (sockets, start) = (sockets(100, 30), Instant::now());
        let crowd: Vec<Place> = (0..100)
            .map(|last| {
                sockets.admit(IpAddr::from([198, 51, 100, last]), start + Duration::from_millis(last.into())).unwrap()
            })
            .collect();
        let browser: Vec<Place> =
            (0..6).map(|_| sockets.admit(address("192.0.2.1"), start + seconds(1)).unwrap()).collect();
        let _late: Vec<Place> = (100..190)
            .map(|last| sockets.admit(IpAddr::from([198, 51, 100, last]), start + seconds(2)).unwrap())
            .collect();
        assert!(browser.iter().all(is_open));
        assert_eq!(crowd.iter().filter(|place| is_open(place)).count(), 4);
    }

    #[test]
    fn members_are_never_replaced() {
        let (sockets, now) = (sockets(3, 3), Instant::now());
        let members: Vec<Place> = (0..3).map(|_| sockets.admit(address("192.0.2.1"), now).unwrap()).collect();
        members.iter().for_each(|member| join(member, now));
        assert_eq!(sockets.admit(address("192.0.2.2"), now).unwrap_err(), TooMany::InAll);
        sockets.expire(now + seconds(10_000));
        assert!(members.iter().all(is_open));
    }

    #[test]
    fn each_phase_has_its_deadline() {
        let (sockets, start) = (sockets(10, 10), Instant::now());
        let after = |time: u64, place: &Place| {
            sockets.expire(start + Duration::from_millis(time));
            is_open(place)
        };
        let [head, body, idle, reader] = [(); 4].map(|()| sockets.admit(address("192.0.2.1"), start).unwrap());
        for place in [&body, &idle, &reader] {
            place.ticket().head_complete(start + seconds(9));
        }
        for place in [&idle, &reader] {
            place.ticket().body_complete(start + seconds(9));
        }
        assert!(after(9_999, &head) && !after(10_000, &head));
        assert!(after(18_999, &body) && !after(19_000, &body), "a body has another ten seconds");
        assert!(after(100_000, &idle), "the server may take its time");
        for place in [&idle, &reader] {
            place.ticket().answered(start + seconds(100));
        }
        // A client that reads, however little, has two minutes.
        for second in (105..220).step_by(5) {
            reader.state.wrote.store(true, Ordering::Relaxed);
            assert!(after(second * 1_000, &reader), "{second} s");
        }
        assert!(!is_open(&idle));
        reader.state.wrote.store(true, Ordering::Relaxed);
        assert!(!after(220_000, &reader));
        assert!(!head.ticket().member(start), "a connection that was closed does not come back");
    }

    #[test]
    fn proxy_is_exempt_and_its_clients_count_while_they_are_served() {
        let (sockets, now) = (sockets(100, 1), Instant::now());
        let proxy: Vec<Place> = (0..10).map(|_| sockets.admit(address("10.0.0.1"), now).unwrap()).collect();
        assert!(proxy.iter().all(is_open));
        let [first, second] = [proxy[0].ticket(), proxy[1].ticket()];
        for ticket in [&first, &second] {
            ticket.head_complete(now);
            ticket.body_complete(now);
        }
        assert_eq!(first.is_of(address("192.0.2.1")), Ok(()));
        assert_eq!(first.is_of(address("192.0.2.1")), Ok(()), "counted once");
        assert_eq!(second.is_of(address("192.0.2.1")), Err(TooMany::OfAddress));
        assert_eq!(second.is_of(address("192.0.2.2")), Ok(()));
        first.answered(now);
        second.upgraded(now);
        second.answered(now);
        assert_eq!(proxy[2].ticket().is_of(address("192.0.2.1")), Ok(()), "the request was answered");
        assert_eq!(proxy[3].ticket().is_of(address("192.0.2.2")), Err(TooMany::OfAddress), "a WebSocket counts on");
        assert_eq!(proxy[3].ticket().is_of(address("10.0.0.7")), Ok(()), "exempt itself");
        sockets.expire(now + seconds(89));
        assert!(is_open(&proxy[0]), "a proxy keeps idle connections for longer");
        drop(proxy);
        let all = sockets.all();
        assert!(all.groups.is_empty() && all.order.is_empty() && all.entries.is_empty() && all.closing == 0);
    }

    proptest! {
        /// Whatever happens, the limits hold, and nothing is left when all connections have ended.
        #[test]
        fn limits_hold(steps in proptest::collection::vec((0u8..8, 0u8..6, 0usize..40), 1..300)) {
            let (sockets, mut now) = (sockets(12, 4), Instant::now());
            let mut places: Vec<Place> = Vec::new();
            for (action, host, index) in steps {
                now += Duration::from_millis(700);
                let place = places.get(index % places.len().max(1)).filter(|place| is_open(place));
                match (action, place) {
                    (0..=2, _) => places.extend(sockets.admit(IpAddr::from([192, 0, 2, host]), now)),
                    (3, Some(place)) => { place.ticket().head_complete(now); place.ticket().body_complete(now) }
                    (4, Some(place)) => place.ticket().answered(now),
                    (5, Some(place)) => join(place, now),
                    (6, _) if !places.is_empty() => drop(places.swap_remove(index % places.len())),
                    _ => sockets.expire(now),
                }
                let all = sockets.all();
                prop_assert!(all.entries.len() <= 12 && all.groups.values().all(|group| group.open <= 4));
                prop_assert_eq!(all.groups.values().map(|group| group.open).sum::<usize>(), all.entries.len());
                prop_assert_eq!(all.order.len(), all.groups.values().filter(|group| !group.waiting.is_empty()).count());
                prop_assert_eq!(places.len(), all.entries.len() + all.closing);
            }
            drop(places);
            let all = sockets.all();
            prop_assert!(all.groups.is_empty() && all.order.is_empty() && all.closing == 0);
        }
    }
}
