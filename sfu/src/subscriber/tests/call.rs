//! One publisher, one slot, random wishes: what the rules of forwarding layers say about it.

use super::{
    Rule,
    publisher::{LATEST, Path, Publisher, Sent, Structure, UNIT},
    random::Random,
    receiver::{self, Received},
};
use crate::{
    keys::EncodingKey,
    publisher::packet_store::PacketMeta,
    subscriber::{
        rewriter::{Begins, Placement, Rewriter, Rewritten},
        segment::{Layer, bit},
        select::Wanted,
    },
    wire::{
        dependency_descriptor::{
            Indication, MAX_TARGETS, ScalabilityMode, Structure as Templates, StructureParts, Template,
        },
        seq::{SeqNum, low},
    },
};
use slotmap::SlotMap;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A rule that a slot breaks, to show that its test would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Markers stay where the publisher set them.
    MarkerAsSent,
    /// Numbers that are of other layers stay empty.
    NoFiller,
    /// Every layer counts as contained in every other: K-SVC goes down at once.
    EverythingContained,
    /// Every frame counts as a switch to every layer.
    EverythingSwitches,
    /// A wish does not replace one that waits.
    PendingKept,
    /// Numbers follow the publisher's, not those of the layer.
    NumberedByIndex,
    /// Sender reports are not looked at.
    NoSenderReports,
    /// Frame numbers and picture ids are not shifted.
    Unshifted,
    /// A target that the key frame does not have any more is kept.
    EndedTargetKept,
}

/// What a call showed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rules that were broken, and how.
    pub(super) broken: Vec<(Rule, String)>,
    /// Rules that there was something to see of.
    pub(super) seen: Vec<Rule>,
}

impl Outcome {
    fn breaks(&mut self, rule: Rule, how: impl Into<String>) {
        self.broken.push((rule, how.into()));
    }

    fn check(&mut self, holds: bool, rule: Rule, how: &str) {
        if !holds {
            self.breaks(rule, how);
        }
    }
}

struct Call {
    random: Random,
    publisher: Publisher,
    slot: Rewriter,
    mutation: Option<Mutation>,
    start: Instant,
    now: Instant,
    stream: BTreeMap<u64, Received>,
    /// The wish, as it was last made.
    wish: Option<Wanted>,
    /// By the first number of each source: shifts of its frame numbers and picture ids.
    shifts: BTreeMap<u64, (u16, u16)>,
    /// Number, frame number and picture id of the newest packet.
    newest: Option<(u64, u16, u16)>,
    outcome: Outcome,
}

/// Plays a call.
pub(super) fn play(seed: u64, mutation: Option<Mutation>) -> Outcome {
    let mut random = Random::new(seed);
    let structure = Structure::ALL[random.below(Structure::ALL.len() as u64) as usize];
    let path = [Path::Perfect, Path::Late, Path::Lossy][random.below(3) as usize];
    let mut keys = SlotMap::<EncodingKey, ()>::with_key();
    let keys = [(); 3].map(|()| keys.insert(()));
    let start = Instant::now();
    let publisher = Publisher::new(&mut random, structure, path, start, &keys);
    let slot = Rewriter::new(90_000, random.below(1 << 15) as u16, random.below(1 << 32) as u32);
    let (stream, outcome) = (BTreeMap::new(), Outcome::default());
    let (wish, shifts, newest) = (None, BTreeMap::new(), None);
    let mut call = Call { random, publisher, slot, mutation, start, now: start, stream, wish, shifts, newest, outcome };
    call.run(structure);
    call.judge();
    call.outcome
}

impl Call {
    fn run(&mut self, structure: Structure) {
        let units = 16 + self.random.below(24);
        let (mut key_at, mut changes_mode) = (0, !self.random.once_in(4));
        self.wish_anything();
        for unit in 0..units {
            let is_key = unit == key_at;
            let is_svc = matches!(structure, Structure::Mode(mode, 1) if mode.spatial() > 1);
            if is_key && unit > 6 && is_svc && changes_mode {
                // The encoder drops its upper layers.
                self.publisher.change_mode(ScalabilityMode::L1T3);
                changes_mode = false;
            }
            self.publisher.send_unit(&mut self.random, unit, is_key);
            self.deliver(unit);
            match self.random.below(10) {
                0 => self.wish_anything(),
                1 => self.wish_to_stay(),
                _ => {}
            }
            if key_at <= unit && (self.slot.is_pending() || self.random.once_in(12)) {
                key_at = unit + 1 + self.random.below(4);
            }
        }
        (units..units + LATEST).for_each(|unit| self.deliver(unit));
    }

    /// Lets packets arrive, and has repaired what is missing.
    fn deliver(&mut self, unit: u64) {
        self.now = self.start + Duration::from_millis(unit * UNIT);
        for (encoding, index) in self.publisher.arrivals(unit) {
            self.now += Duration::from_micros(self.random.below(200));
            self.publisher.encodings[encoding].receive(index);
            self.offer(encoding, index);
        }
        self.repair();
    }

    /// Wishes a random layer, or none.
    fn wish_anything(&mut self) {
        let encoding = &self.publisher.encodings[self.random.below(self.publisher.encodings.len() as u64) as usize];
        let target = match self.random.below(u64::from(encoding.targets()) + 1) as u8 {
            target if target == encoding.targets() => Wanted::HIGHEST,
            target => target,
        };
        let layer = Layer { encoding: encoding.key, target };
        let meanwhile = self.slot.current().filter(|_| self.random.once_in(2)).and_then(|current| {
            let of = self.publisher.encodings.iter().find(|encoding| encoding.key == current.encoding)?;
            (0..current.target).find(|&lower| of.contains(current.target, lower))
        });
        let pauses = self.random.once_in(8);
        self.wish((!pauses).then_some(Wanted { layer, meanwhile }));
    }

    /// Wishes what is there, whatever was wished before.
    fn wish_to_stay(&mut self) {
        if let Some(layer) = self.slot.current() {
            self.wish(Some(Wanted { layer, meanwhile: None }));
        }
    }

    fn wish(&mut self, wanted: Option<Wanted>) {
        self.wish = wanted;
        if self.mutation == Some(Mutation::PendingKept) && self.slot.is_pending() {
            return;
        }
        self.slot.want(wanted);
    }

    /// Offers a packet to the slot as the room does.
    fn offer(&mut self, encoding: usize, index: u64) {
        if !self.slot.listens_to(self.publisher.encodings[encoding].key) {
            return;
        }
        if self.place(encoding, index) {
            for held_back in index + 1..=self.publisher.encodings[encoding].newest() {
                if self.publisher.encodings[encoding].packets[&held_back].arrived {
                    self.place(encoding, held_back);
                }
            }
        }
    }

    /// Places a packet. Returns whether something begins with it.
    fn place(&mut self, encoding: usize, index: u64) -> bool {
        let of = &self.publisher.encodings[encoding];
        let mut meta = of.packets[&index].meta;
        let mut packet = of.packet(index, &meta);
        let (everything, mutation) = (one_layer_in_all_targets(), self.mutation);
        if mutation == Some(Mutation::EverythingContained) && packet.structure.is_some() {
            packet.structure = everything.as_ref();
        }
        if mutation == Some(Mutation::NoSenderReports) {
            packet.clock = None;
        }
        let mut mutated = meta;
        match mutation {
            Some(Mutation::EverythingSwitches) => mutated.switch = u16::MAX,
            Some(Mutation::NumberedByIndex) => mutated.numbering.ordinals = [low(index); MAX_TARGETS],
            Some(Mutation::EndedTargetKept) if meta.starts_key_frame => mutated.targets = u16::MAX,
            _ => {}
        }
        packet.meta = &mutated;
        let before = self.slot.current();
        let last_seq = self.stream.keys().next_back().copied();
        let placement = self.slot.place(self.now, &packet);
        meta = mutated;
        self.check_layer(before, encoding, index);
        self.check_placement(before, placement, encoding, index);
        let timestamp = self.slot.last_timestamp();
        let filler = Received { packet: None, timestamp, marker: false, begins_source: false };
        let (begins, rewritten) = match placement {
            Placement::Send(rewritten) => (None, rewritten),
            Placement::Begin(begins, rewritten) => (Some(begins), rewritten),
            Placement::SendBehindFillers(count, rewritten) => {
                for seq in rewritten.seq - count..rewritten.seq {
                    self.receive(seq, filler);
                }
                (None, rewritten)
            }
            Placement::Fill(seq) => {
                self.receive(seq, filler);
                return false;
            }
            Placement::OtherLayer | Placement::AwaitsKeyFrame | Placement::TooLate => return false,
        };
        if begins == Some(Begins::Source)
            && let Some(last) = last_seq
        {
            self.outcome.check(rewritten.seq == last + 1, Rule::Numbers, "a source leaves a gap");
        }
        self.check_shifts(begins, &rewritten, &meta);
        let marker = if mutation == Some(Mutation::MarkerAsSent) { meta.marker } else { rewritten.marker };
        let begins_source = begins == Some(Begins::Source);
        let received =
            Received { packet: Some((encoding, index)), timestamp: rewritten.timestamp, marker, begins_source };
        if marker != meta.marker {
            self.outcome.seen.push(Rule::Marker);
        }
        self.receive(rewritten.seq, received);
        begins.is_some()
    }

    fn receive(&mut self, seq: u64, received: Received) {
        if received.packet.is_none() {
            if self.mutation == Some(Mutation::NoFiller) {
                return;
            }
            self.outcome.seen.push(Rule::Numbers);
        }
        let before = self.stream.insert(seq, received);
        self.outcome.check(before.is_none(), Rule::Numbers, "a number is used twice");
    }

    /// Rules 2 and 7: a layer changes only to what was wished last, and at the first chance; one that has ended, to the next
    /// lower one.
    fn check_layer(&mut self, before: Option<Layer>, encoding: usize, index: u64) {
        let (now, of) = (self.slot.current(), &self.publisher.encodings[encoding]);
        let Sent { meta, frame, .. } = &of.packets[&index];
        let frame = &self.publisher.frames[*frame];
        let exists = |target: u8| frame.targets & bit(target) != 0;
        let next_lower = |target: u8| (0..=target).rev().find(|&lower| exists(lower));
        let shown = before.filter(|before| before.encoding == of.key);
        let wish = self.wish.filter(|wish| wish.layer.encoding == of.key);
        let is_newest = index == of.newest();

        if let Some(layer) = now.filter(|_| now != before) {
            let ends_shown = frame.is_key && shown.is_some_and(|shown| !exists(shown.target));
            let is_wished = wish
                .is_some_and(|wish| layer == wish.layer || next_lower(wish.layer.target) == Some(layer.target))
                || self.wish.is_some_and(|wish| wish.meanwhile == Some(layer.target))
                || ends_shown && shown.and_then(|shown| next_lower(shown.target)) == Some(layer.target);
            let (changes, wish) = (format!("{before:?} becomes {layer:?}"), self.wish);
            self.outcome.check(is_wished, Rule::Switch, &format!("{changes} at {frame:?}, wished is {wish:?}"));
            self.outcome.seen.push(Rule::Switch);
            if ends_shown {
                self.outcome.seen.push(Rule::EndedTarget);
            }
        }
        if let Some(now) = now.filter(|now| is_newest && meta.starts_key_frame && now.encoding == of.key) {
            self.outcome.check(exists(now.target), Rule::EndedTarget, "a target that has ended is kept");
        }
        let is_first_of_unit = index
            .checked_sub(1)
            .and_then(|last| of.packets.get(&last))
            .is_some_and(|last| self.publisher.frames[last.frame].unit != frame.unit);
        let is_chance = |wish: Wanted| {
            let contained = shown.is_some_and(|shown| of.contains(shown.target, wish.layer.target));
            meta.starts_key_frame && exists(wish.layer.target) || contained && is_first_of_unit
        };
        if let Some(wish) = wish.filter(|wish| is_newest && is_chance(*wish)) {
            self.outcome.check(now == Some(wish.layer), Rule::Switch, "a wish is not met at the first chance");
        }
    }

    /// Until a change, the layer goes on: none of its packets is left out, except for those from before it began.
    fn check_placement(&mut self, before: Option<Layer>, placement: Placement, encoding: usize, index: u64) {
        let of = &self.publisher.encodings[encoding];
        let goes_on = before == self.slot.current() && before.is_some_and(|before| before.encoding == of.key);
        let is_of_layer = before.is_some_and(|before| of.packets[&index].meta.targets & bit(before.target) != 0);
        if goes_on && is_of_layer && index == of.newest() {
            let is_sent = matches!(placement, Placement::Send(_) | Placement::SendBehindFillers(..));
            self.outcome.check(is_sent, Rule::Decodable, "a packet of the layer is left out");
        }
    }

    /// Rule 5: frame numbers and picture ids are shifted by constants, and a source continues the one before.
    fn check_shifts(&mut self, begins: Option<Begins>, rewritten: &Rewritten, meta: &PacketMeta) {
        let picture_id = meta.vp8.and_then(|vp8| vp8.picture_id).map_or(0, |id| id.value);
        let unshifted = self.mutation == Some(Mutation::Unshifted);
        let frame_number = if unshifted { meta.frame_number.unwrap_or(0) } else { rewritten.frame_number };
        let shifts = (
            frame_number.wrapping_sub(meta.frame_number.unwrap_or(0)),
            rewritten.picture_id.wrapping_sub(picture_id) & 0x7fff,
        );
        let begun = begins == Some(Begins::Source);
        let newest = self.newest.is_none_or(|(seq, ..)| rewritten.seq > seq);
        if let Some((_, last_frame, last_id)) = self.newest.filter(|_| begun) {
            let follows =
                frame_number == last_frame.wrapping_add(1) && rewritten.picture_id == last_id.wrapping_add(1) & 0x7fff;
            self.outcome.check(follows, Rule::Shifts, "a source does not continue the one before");
        }
        if newest {
            self.newest = Some((rewritten.seq, frame_number, rewritten.picture_id));
        }
        if begun {
            self.outcome.seen.push(Rule::Shifts);
            self.shifts.insert(rewritten.seq, shifts);
        }
        let of_source = self.shifts.range(..=rewritten.seq).next_back().map(|(_, of_source)| *of_source);
        self.outcome.check(of_source == Some(shifts), Rule::Shifts, "a shift is not constant");
    }

    /// NACKs for some numbers, and for all that are missing.
    fn repair(&mut self) {
        let (Some(&first), Some(&last)) = (self.stream.keys().next(), self.stream.keys().next_back()) else { return };
        let recent = first.max(last.saturating_sub(30));
        for seq in recent..=last {
            let found = self.stream.get(&seq).copied();
            if found.is_some() && !self.random.once_in(16) {
                continue;
            }
            let Some((segment, extended)) = self.slot.origin(SeqNum(low(seq))) else { continue };
            let encoding = self.publisher.encodings.iter().position(|of| of.key == segment.layer.encoding).unwrap();
            let of = &self.publisher.encodings[encoding];
            let index = segment.index_of(extended, |index| of.numbering(index));
            match (found, index) {
                (Some(Received { packet: Some(packet), .. }), index) => {
                    let same = index == Some(packet.1) && packet.0 == encoding;
                    self.outcome.check(same, Rule::Numbers, "a NACK leads to another packet");
                }
                (None, Some(index)) if of.packets[&index].arrived => {
                    let meta = of.packets[&index].meta;
                    let rewritten = segment.rewrite(extended, &meta);
                    let is_foreign = meta.targets & bit(segment.layer.target) == 0;
                    let received = Received {
                        packet: (!is_foreign).then_some((encoding, index)),
                        timestamp: rewritten.timestamp,
                        marker: rewritten.marker,
                        begins_source: false,
                    };
                    self.receive(seq, received);
                }
                _ => {}
            }
        }
    }

    /// Looks at the whole stream.
    fn judge(&mut self) {
        self.judge_numbers();
        self.judge_timestamps();
        let shown = receiver::show(&self.stream, &self.publisher);
        if shown.frames > 0 {
            self.outcome.seen.push(Rule::Decodable);
        }
        for frame in shown.undecodable {
            self.outcome.breaks(Rule::Decodable, format!("frame {frame} lacks what it refers to"));
        }
        for unit in shown.endless {
            self.outcome.breaks(Rule::Marker, format!("unit {unit} has no end"));
        }
    }

    /// Rule 3: what is missing was lost on the way from the publisher.
    fn judge_numbers(&mut self) {
        let Self { stream, publisher, outcome, .. } = self;
        let mut before: Option<(u64, usize, u64)> = None;
        let mut filled = 0;
        for (&seq, received) in &*stream {
            let Some((encoding, index)) = received.packet else {
                filled += 1;
                continue;
            };
            if let Some((last, of, last_index)) = before {
                let missing = seq - last - 1 - filled;
                let lost = if of == encoding && last_index < index {
                    (last_index + 1..index).filter(|index| publisher.is_lost(encoding, *index)).count() as u64
                } else {
                    0
                };
                // Before another source, what was missing is not waited for.
                if missing > lost && !received.begins_source {
                    outcome.breaks(Rule::Numbers, format!("{missing} numbers are missing, {lost} packets were lost"));
                }
            }
            before = Some((seq, encoding, index));
            filled = 0;
        }
    }

    /// Rule 6: timestamps never go backwards, and keep the distances of the publisher's wall clock.
    fn judge_timestamps(&mut self) {
        let Self { stream, publisher, outcome, .. } = self;
        let (mut last, mut origin, mut sources) = (None::<u32>, None::<u32>, 0);
        for received in stream.values() {
            let Some((encoding, index)) = received.packet else { continue };
            let ahead = last.map_or(0, |last| received.timestamp.wrapping_sub(last).cast_signed());
            outcome.check(ahead >= 0, Rule::Timestamps, "timestamps go backwards");
            sources += u32::from(received.begins_source);
            if publisher.reports() {
                let frame = &publisher.frames[publisher.encodings[encoding].packets[&index].frame];
                let captured = (frame.unit * UNIT * 90) as u32;
                let at = received.timestamp.wrapping_sub(captured);
                let off = at.wrapping_sub(*origin.get_or_insert(at)).cast_signed();
                // A source may begin with what was captured before the frame shown last, which it then follows at once.
                let follows = received.begins_source && ahead == 90;
                if off.unsigned_abs() > 90 * sources && received.begins_source && !follows {
                    outcome.breaks(Rule::Timestamps, format!("{off} ticks off after {sources} sources"));
                }
            }
            last = Some(received.timestamp);
        }
        if sources > 1 {
            outcome.seen.push(Rule::Timestamps);
        }
    }
}

/// A structure in which every target contains every other.
fn one_layer_in_all_targets() -> Option<Templates> {
    let mut template = Template::default();
    (0..MAX_TARGETS as u8).for_each(|target| template.indications.set(target, Indication::Switch));
    let parts = StructureParts { targets: MAX_TARGETS as u8, templates: vec![template], ..StructureParts::default() };
    Templates::new(parts)
}
