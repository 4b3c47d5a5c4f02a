//! What holds for any packets at all, also for those of a publisher that lies: random masks, marks, chains and jumps.

use super::random::Random;
use crate::{
    keys::EncodingKey,
    publisher::{numbering::Numbers, packet_store::PacketMeta},
    subscriber::{
        rewriter::{Packet, Placement, Rewriter},
        segment::Layer,
        select::Wanted,
    },
    wire::{
        dependency_descriptor::{FrameSequence, MAX_TARGETS, ScalabilityMode},
        seq::{SeqNum, low},
    },
};
use slotmap::SlotMap;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const CASES: u64 = 10_000;
/// Numbers of an encoding that are remembered.
const WINDOW: usize = 128;
/// Targets in use.
const TARGETS: u64 = 4;

/// An encoding whose packets are random.
struct Encoding {
    numbers: Numbers,
    next: u64,
    metas: BTreeMap<u64, PacketMeta>,
    held_back: Vec<u64>,
}

impl Encoding {
    fn new(random: &mut Random) -> Self {
        let next = 1_000 + random.below(100_000);
        Self { numbers: Numbers::new(WINDOW), next, metas: BTreeMap::new(), held_back: Vec::new() }
    }

    /// The index of a packet that arrives: the next one, one that was left out before, or one far ahead.
    fn arrives(&mut self, random: &mut Random) -> u64 {
        let late = self.held_back.len() as u64;
        if late > 0 && random.once_in(4) {
            return self.held_back.swap_remove(random.below(late) as usize);
        }
        let skipped = match random.below(40) {
            0 => random.below(40_000),
            1..6 => random.below(4),
            _ => 0,
        };
        self.held_back.extend((self.next..self.next + skipped).take(6));
        self.next += skipped + 1;
        self.next - 1
    }

    fn receive(&mut self, random: &mut Random, index: u64) -> Option<PacketMeta> {
        let targets = 1 + random.below((1 << TARGETS) - 1) as u16;
        let mut meta = PacketMeta {
            marker: random.once_in(3),
            timestamp: random.below(1 << 32) as u32,
            frame_number: Some(random.below(1 << 4) as u16),
            starts_key_frame: random.once_in(6),
            numbering: self.numbers.number(index, targets, None)?,
            targets,
            switch: random.below(1 << TARGETS) as u16,
            starts_frame: random.once_in(2),
            ends_frame: random.once_in(2),
            ..PacketMeta::default()
        };
        meta.chain = [random.below(4) as u8; MAX_TARGETS];
        self.metas.insert(index, meta);
        Some(meta)
    }
}

/// Two slots that are the same, one of which looks at every packet as if anything could begin or be missing there.
struct Twins {
    slot: Rewriter,
    thorough: Rewriter,
}

impl Twins {
    fn new(random: &mut Random) -> Self {
        let seq = random.below(1 << 16) as u16;
        let [slot, thorough] = [(); 2].map(|()| Rewriter::new(90_000, seq, 0));
        Self { slot, thorough }
    }

    fn both(&mut self) -> [&mut Rewriter; 2] {
        [&mut self.slot, &mut self.thorough]
    }

    fn place(&mut self, now: Instant, packet: &Packet<'_>) -> Placement {
        let placement = self.slot.place(now, packet);
        assert_eq!(placement, self.thorough.place_any(now, packet), "the next packet is one like any other");
        placement
    }
}

#[test]
fn no_number_is_used_twice_and_nacks_lead_back_whatever_comes() {
    let full = FrameSequence::new(ScalabilityMode::L3T3, &[]);
    let key_only = FrameSequence::new(ScalabilityMode::L3T3_KEY, &[]);
    let mut keys = SlotMap::<EncodingKey, ()>::with_key();
    let keys = [(); 2].map(|()| keys.insert(()));
    for seed in 0..CASES {
        let mut random = Random::new(seed);
        let structure = [None, Some(full.structure()), Some(key_only.structure())][random.below(3) as usize];
        let mut encodings = keys.map(|_| Encoding::new(&mut random));
        let mut twins = Twins::new(&mut random);
        let (mut used, mut sent, now) = (BTreeSet::new(), BTreeMap::new(), Instant::now());
        for step in 0..80 {
            if step == 0 || random.once_in(6) {
                let layer = Layer { encoding: keys[random.below(2) as usize], target: random.below(TARGETS + 1) as u8 };
                let meanwhile = random.once_in(2).then(|| random.below(TARGETS) as u8);
                let wanted = (!random.once_in(10)).then_some(Wanted { layer, meanwhile });
                twins.both().into_iter().for_each(|slot| slot.want(wanted));
            }
            if random.once_in(30) {
                twins.both().into_iter().for_each(Rewriter::interrupt);
            }
            let of = random.below(2) as usize;
            let index = encodings[of].arrives(&mut random);
            let Some(meta) = encodings[of].receive(&mut random, index) else { continue };
            if !twins.slot.listens_to(keys[of]) {
                continue;
            }
            let packet =
                Packet { encoding: keys[of], index, meta: &meta, structure, clock: None, lead: Duration::ZERO };
            let (rewritten, fillers) = match twins.place(now, &packet) {
                Placement::Send(rewritten) | Placement::Begin(_, rewritten) => (Some(rewritten.seq), 0..0),
                Placement::SendBehindFillers(count, rewritten) => {
                    (Some(rewritten.seq), rewritten.seq - count..rewritten.seq)
                }
                Placement::Fill(seq) => (None, seq..seq + 1),
                Placement::OtherLayer | Placement::AwaitsKeyFrame | Placement::TooLate => continue,
            };
            for seq in fillers.chain(rewritten) {
                assert!(used.insert(seq), "seed {seed}: {seq} is used twice");
            }
            sent.extend(rewritten.map(|seq| (seq, (keys[of], index))));
        }
        for (seq, (encoding, index)) in sent.into_iter().rev().take(40) {
            let Some((segment, extended)) =
                twins.slot.origin(SeqNum(low(seq))).filter(|(_, extended)| *extended == seq)
            else {
                continue;
            };
            assert_eq!(segment.layer.encoding, encoding, "seed {seed}");
            let numbers = &encodings[usize::from(encoding == keys[1])].numbers;
            let found = segment.index_of(extended, |index| numbers.of(index));
            assert!(found == Some(index) || numbers.of(index).is_none(), "seed {seed}: {found:?} is not {index}");
        }
    }
}
