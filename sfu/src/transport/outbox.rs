//! Packets to send, in runs to one destination, ready for segmentation offload.
//!
//! ```text
//!   Outbox   Run → 192.0.2.1:4000   |1200|1200|1200| 700|      one system call, one pass through the stack
//!            Run → 192.0.2.2:4000   |1200|1200|1200| 700|
//!            Run → 192.0.2.1:4000   | 100|                     a run ends with its first shorter packet
//! ```
//! Only this module's siblings write runs, and they write STUN messages, DTLS records and sealed SRTP packets; the owner of
//! a socket can only read them. Buffers are reused.

use super::tuple::Tuple;
use crate::media::Kind;
use std::time::Instant;

/// Maximum number of packets in a run: the limit of Linux for one segmented send.
const MAX_SEGMENTS: usize = 64;
/// Maximum length of a run in bytes: below that of a UDP payload.
const MAX_BYTES: usize = 60_000;
/// Maximum number of buffers that are kept between flushes.
const MAX_SPARE: usize = 128;
/// The outbox is full with as many runs as one system call takes, or as many packets as stay in the processor's cache
/// until the kernel copies them.
const FULL_RUNS: usize = 64;
const FULL_PACKETS: usize = 256;

/// Packets to send, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// `..live` are in use; the rest keep their buffers.
    runs: Vec<Run>,
    live: usize,
    packets: usize,
    /// Of audio and of video.
    forwarded: [Option<Forwarded>; 2],
    /// Increases with each [`clear`](Self::clear), so that older open runs are not written to.
    generation: u64,
}

/// The RTP packets of an outbox that are forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// When the first packet of their batch was received.
    pub received: Instant,
    /// Number of packets.
    pub packets: u64,
}

/// Packets to one destination. All are as long as the first, except the last, which may be shorter.
#[derive(Debug)]
pub struct Run {
    to: Tuple,
    bytes: Vec<u8>,
    /// Length of the complete packets. Clear bytes may follow if sealing panicked; they cannot be read.
    complete: usize,
    segment: usize,
    packets: usize,
    /// Whether another packet may follow, because the last one was as long as the first.
    open: bool,
}

/// The run that a transport's next packet may continue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OpenRun {
    /// The outbox's generation plus one, so that the default names no run.
    generation: u64,
    index: usize,
}

impl Run {
    /// The path to send on.
    #[must_use]
    pub fn to(&self) -> Tuple {
        self.to
    }

    /// All packets, without gaps.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.complete).unwrap_or_default()
    }

    /// Length in bytes of each packet but the last; not zero.
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

    fn accepts(&self, to: Tuple, len: usize) -> bool {
        self.open
            && self.to == to
            && self.packets < MAX_SEGMENTS
            && len <= self.segment
            && self.complete + len <= MAX_BYTES
    }

    fn begin(&mut self, to: Tuple) {
        self.to = to;
        self.bytes.clear();
        self.complete = 0;
        self.segment = 0;
        self.packets = 0;
        self.open = true;
    }

    fn append<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        self.bytes.truncate(self.complete);
        write(&mut self.bytes)?;
        let len = self.bytes.len() - self.complete;
        self.complete = self.bytes.len();
        self.packets += 1;
        if self.segment == 0 {
            self.segment = len;
        }
        self.open = len == self.segment && len > 0;
        Ok(())
    }
}

impl Outbox {
    /// The runs, in sending order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().take(self.live).filter(|run| run.complete > 0)
    }

    /// Number of packets.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets
    }

    /// The packets of this kind that are forwarded.
    #[must_use]
    pub fn forwarded(&self, kind: Kind) -> Option<Forwarded> {
        self.forwarded.get(kind as usize).copied().flatten()
    }

    /// Counts a packet as forwarded.
    pub(crate) fn count_forwarded(&mut self, kind: Kind, received: Instant) {
        if let Some(forwarded) = self.forwarded.get_mut(kind as usize) {
            forwarded.get_or_insert(Forwarded { received, packets: 0 }).packets += 1;
        }
    }

    /// Whether it is time to send.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.live >= FULL_RUNS || self.packets >= FULL_PACKETS
    }

    /// Removes all packets, and keeps the buffers.
    pub fn clear(&mut self) {
        self.live = 0;
        self.packets = 0;
        self.forwarded = [None; 2];
        self.generation += 1;
        self.runs.truncate(MAX_SPARE);
    }

    /// Adds a datagram as a separate run: STUN, DTLS.
    pub(super) fn datagram(&mut self, to: Tuple, bytes: &[u8]) {
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
        to: Tuple,
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

    /// Adds packets of these lengths that only look sealed, for tests of the sockets.
    #[cfg(test)]
    pub(crate) fn fill(&mut self, to: Tuple, lengths: &[usize]) {
        let mut open = OpenRun::default();
        for len in lengths {
            let Ok(()) = self.sealed(&mut open, to, *len, |out| {
                out.resize(out.len() + len, 0xab);
                Ok::<_, std::convert::Infallible>(())
            });
        }
    }

    fn begin(&mut self, to: Tuple) -> &mut Run {
        let at = self.live;
        self.live += 1;
        if at == self.runs.len() {
            self.runs.push(Run { to, bytes: Vec::new(), complete: 0, segment: 0, packets: 0, open: true });
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
    use std::net::Ipv4Addr;

    fn path(port: u16) -> Tuple {
        Tuple::udp((Ipv4Addr::LOCALHOST, 3478).into(), (Ipv4Addr::LOCALHOST, port).into())
    }

    fn put(outbox: &mut Outbox, open: &mut OpenRun, port: u16, len: usize) {
        outbox
            .sealed(open, path(port), len, |out| {
                out.extend(vec![0xab; len]);
                Ok::<_, ()>(())
            })
            .unwrap();
    }

    fn shape(outbox: &Outbox) -> Vec<(u16, Vec<usize>)> {
        outbox.runs().map(|run| (run.to().remote.port(), run.segments().map(<[u8]>::len).collect())).collect()
    }

    #[test]
    fn runs_are_separate_per_destination() {
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
    fn runs_are_bounded() {
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
    fn moved_path_begins_a_run() {
        let mut outbox = Outbox::default();
        let mut open = OpenRun::default();
        put(&mut outbox, &mut open, 1, 100);
        put(&mut outbox, &mut open, 2, 100);
        assert_eq!(shape(&outbox), [(1, vec![100]), (2, vec![100])]);
    }

    #[test]
    fn run_excludes_incomplete_packets() {
        let mut outbox = Outbox::default();
        let mut open = OpenRun::default();
        put(&mut outbox, &mut open, 1, 100);
        let refused = outbox.sealed(&mut open, path(1), 100, |out| {
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
