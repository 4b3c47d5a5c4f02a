//! What leaves: sealed packets in runs of one destination, ready for segmentation offload.
//!
//! ```text
//!   Outbox   Run → 192.0.2.1:4000   |1200|1200|1200| 700|      one system call, one pass through the stack
//!            Run → 192.0.2.2:4000   |1200|1200|1200| 700|
//!            Run → 192.0.2.1:4000   | 100|                     a run ends with its first shorter packet
//! ```
//! A run is written by this module's siblings alone, and what they write is a STUN message, a DTLS record or a sealed
//! SRTP packet; whoever owns a socket can only read it. Buffers are kept and used again.

use std::net::SocketAddr;

/// Most packets of a run: what Linux takes in one segmented send.
const MAX_SEGMENTS: usize = 64;
/// Most bytes of a run: one UDP payload, with room to spare.
const MAX_BYTES: usize = 60_000;
/// Spare buffers that are kept between flushes.
const MAX_SPARE: usize = 128;
/// As many runs as one system call takes, or as many packets as stay in the processor's cache until the kernel copies
/// them: then it is time to send.
const FULL_RUNS: usize = 64;
const FULL_PACKETS: usize = 256;

/// Packets to send, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// `..live` are in use; the rest keep their buffers.
    runs: Vec<Run>,
    live: usize,
    packets: usize,
    /// Moves with every [`clear`](Self::clear), so that open runs of before are not written to.
    generation: u64,
}

/// Packets of one destination: all as long as the first, but for the last, which may be shorter.
#[derive(Debug)]
pub struct Run {
    to: SocketAddr,
    bytes: Vec<u8>,
    /// Length of what is whole. If sealing ended in a panic, there may be clear bytes behind; nobody can see them.
    whole: usize,
    segment: usize,
    packets: usize,
    /// Whether the last packet was as long as the first, so that another may follow.
    open: bool,
}

/// A transport's place in the outbox, where its next packet continues a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OpenRun {
    /// With one added, so that the default is no run.
    generation: u64,
    index: usize,
}

impl Run {
    /// Where to.
    #[must_use]
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// All packets, without gaps.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.whole).unwrap_or_default()
    }

    /// Length of every packet but the last, in bytes; not zero.
    #[must_use]
    pub fn segment(&self) -> usize {
        self.segment.max(1)
    }

    /// Number of packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// The packets one by one.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes().chunks(self.segment())
    }

    fn accepts(&self, to: SocketAddr, len: usize) -> bool {
        self.open
            && self.to == to
            && self.packets < MAX_SEGMENTS
            && len <= self.segment
            && self.whole + len <= MAX_BYTES
    }

    fn begin(&mut self, to: SocketAddr) {
        self.to = to;
        self.bytes.clear();
        self.whole = 0;
        self.segment = 0;
        self.packets = 0;
        self.open = true;
    }

    fn append<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.bytes.truncate(self.whole);
        write(&mut self.bytes)?;
        let len = self.bytes.len() - self.whole;
        self.whole = self.bytes.len();
        self.packets += 1;
        if self.segment == 0 {
            self.segment = len;
        }
        self.open = len == self.segment && len > 0;
        Ok(())
    }
}

impl Outbox {
    /// The runs, in the order in which they are to be sent.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().take(self.live).filter(|run| run.whole > 0)
    }

    /// Number of packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// Whether it is time to send: more would only make those wait that are ready.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.live >= FULL_RUNS || self.packets >= FULL_PACKETS
    }

    /// Forgets everything, sent or not, and keeps the buffers.
    pub fn clear(&mut self) {
        self.live = 0;
        self.packets = 0;
        self.generation += 1;
        self.runs.truncate(MAX_SPARE);
    }

    /// Adds a datagram that is a run of its own: STUN, DTLS.
    pub(super) fn datagram(&mut self, to: SocketAddr, bytes: &[u8]) {
        let run = self.begin(to);
        let Ok(()) = run.append(|out| {
            out.extend_from_slice(bytes);
            Ok::<_, std::convert::Infallible>(())
        });
        run.open = false;
        self.packets += 1;
    }

    /// Adds a packet of `len` bytes, which `seal` appends, to the transport's open run or to a new one.
    pub(super) fn sealed<E>(
        &mut self,
        open: &mut OpenRun,
        to: SocketAddr,
        len: usize,
        seal: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let current = open.generation == self.generation + 1;
        if let Some(run) = self.runs.get_mut(open.index).filter(|run| current && run.accepts(to, len)) {
            run.append(seal)?;
        } else {
            *open = OpenRun { generation: self.generation + 1, index: self.live };
            self.begin(to).append(seal)?;
        }
        self.packets += 1;
        Ok(())
    }

    /// Packets that only look sealed, for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn fill(&mut self, to: SocketAddr, lengths: &[usize]) {
        let mut open = OpenRun::default();
        for len in lengths {
            let Ok(()) = self.sealed(&mut open, to, *len, |out| {
                out.resize(out.len() + len, 0xab);
                Ok::<_, std::convert::Infallible>(())
            });
        }
    }

    fn begin(&mut self, to: SocketAddr) -> &mut Run {
        let at = self.live;
        self.live += 1;
        if at == self.runs.len() {
            self.runs.push(Run { to, bytes: Vec::new(), whole: 0, segment: 0, packets: 0, open: true });
        }
        #[expect(clippy::indexing_slicing, reason = "at is at most the length, and was pushed if it was the length")]
        let run = &mut self.runs[at];
        run.begin(to);
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn put(outbox: &mut Outbox, open: &mut OpenRun, port: u16, len: usize) {
        outbox
            .sealed(open, address(port), len, |out| {
                out.extend(vec![0xab; len]);
                Ok::<_, ()>(())
            })
            .unwrap();
    }

    fn shape(outbox: &Outbox) -> Vec<(u16, Vec<usize>)> {
        outbox.runs().map(|run| (run.to().port(), run.segments().map(<[u8]>::len).collect())).collect()
    }

    #[test]
    fn packets_of_two_subscribers_become_two_runs() {
        let mut outbox = Outbox::default();
        let (mut a, mut b) = (OpenRun::default(), OpenRun::default());
        for len in [1200, 1200, 700] {
            put(&mut outbox, &mut a, 1, len);
            put(&mut outbox, &mut b, 2, len);
        }
        put(&mut outbox, &mut a, 1, 700);
        assert_eq!(shape(&outbox), [(1, vec![1200, 1200, 700]), (2, vec![1200, 1200, 700]), (1, vec![700])]);
    }

    #[test]
    fn a_run_ends_where_the_kernel_or_a_datagram_would() {
        let mut outbox = Outbox::default();
        let mut open = OpenRun::default();
        for _ in 0..150 {
            put(&mut outbox, &mut open, 1, 100);
        }
        assert_eq!(outbox.runs().map(Run::packets).collect::<Vec<_>>(), [64, 64, 22]);
        outbox.clear();
        assert_eq!((outbox.packets(), outbox.runs().count()), (0, 0));
        for _ in 0..60 {
            put(&mut outbox, &mut open, 1, 1_400);
        }
        assert!(outbox.runs().all(|run| run.bytes().len() <= MAX_BYTES));
        assert_eq!(outbox.runs().map(Run::packets).sum::<usize>(), 60);
    }

    #[test]
    fn a_moved_path_begins_a_run() {
        let mut outbox = Outbox::default();
        let mut open = OpenRun::default();
        put(&mut outbox, &mut open, 1, 100);
        put(&mut outbox, &mut open, 2, 100);
        assert_eq!(shape(&outbox), [(1, vec![100]), (2, vec![100])]);
    }

    #[test]
    fn what_was_not_sealed_to_its_end_is_never_seen() {
        let mut outbox = Outbox::default();
        let mut open = OpenRun::default();
        put(&mut outbox, &mut open, 1, 100);
        let refused = outbox.sealed(&mut open, address(1), 100, |out| {
            out.extend_from_slice(b"clear");
            Err(())
        });
        assert_eq!(refused, Err(()));
        assert_eq!(shape(&outbox), [(1, vec![100])]);
        put(&mut outbox, &mut open, 1, 100);
        assert_eq!(shape(&outbox), [(1, vec![100, 100])]);
        assert!(outbox.runs().all(|run| run.bytes().iter().all(|byte| *byte == 0xab)));
    }
}
