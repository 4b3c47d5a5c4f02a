//! The speakers that the slots of a large room play: the loudest, each in a position that it keeps.
//!
//! ```text
//!   position   0    1    2    3    4    5  │   6
//!   holder    Ada  Bob  Eve  Dan  Mia  Tom │  Kim
//!             the first K: all listeners   │ the understudy: only those six, in place of themselves
//! ```
//! The set is the room's: one decision for all listeners, and their slot i plays position i. A decision is made with each
//! packet and not by a timer, so that a first word does not wait.
//!
//! * Who starts to speak takes the first position that is free, else the one that has been silent for longest, if that
//!   is [`PAUSE`] or more. If all speak, the quietest is replaced by who is [`LEAD`] louder for [`LOUDER_FOR`].
//! * A holder keeps its position while it speaks, and after that until someone needs it. Positions never move. Only the
//!   understudy, who is heard by few, takes another position when it can.
//! * A position changes at most once per [`HOLD`], unless its holder leaves or is muted.
//! * Who is too quiet for speech takes a position that no one needs, while more than a third are left for those who speak, and
//!   is the next to lose it to them.
//! * Levels are claims. A source that is loud for half a minute without a breath, like music or a machine, wins against
//!   no one who speaks as loud.
//!
//! [`PAUSE`]: super::level::PAUSE

use super::level::AudioLevel;
use std::time::{Duration, Instant};

/// Shortest time for which a position is held, if its holder stays in the room.
const HOLD: Duration = Duration::from_millis(1_500);
/// A speaker is replaced by one who is this many dB louder …
const LEAD: u8 = 6;
/// … for this time …
const LOUDER_FOR: Duration = Duration::from_millis(200);
/// … without falling back for longer than this.
const LAPSE: Duration = Duration::from_millis(100);

/// The positions of a room. `T` identifies a track.
#[derive(Debug)]
pub(crate) struct SpeakerSet<T> {
    /// Those that all listeners hear, and the understudy.
    positions: Vec<Option<Holder<T>>>,
}

#[derive(Clone, Copy, Debug)]
struct Holder<T> {
    track: T,
    since: Instant,
    level: AudioLevel,
}

/// What makes a holder lose its position before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// It is heard, though it is too quiet for speech.
    is_audible: bool,
    last_speech: Option<Instant>,
}

/// How long a track has been louder than a holder that it could replace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Challenge {
    since: Option<Instant>,
    last: Option<Instant>,
}

/// What a packet has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change<T> {
    /// The position that the track has taken.
    pub(crate) taken: usize,
    /// The track that held it before.
    pub(crate) replaced: Option<T>,
    /// Whether the track had no position before, not even that of the understudy.
    pub(crate) is_new: bool,
}

impl<T: Copy + PartialEq> SpeakerSet<T> {
    /// An empty set in which all listeners hear `audible` speakers.
    pub(crate) fn new(audible: usize) -> Self {
        Self { positions: vec![None; audible + 1] }
    }

    /// The track in a position.
    pub(crate) fn holder(&self, position: usize) -> Option<T> {
        Some(self.positions.get(position)?.as_ref()?.track)
    }

    /// The position of a track.
    pub(crate) fn position(&self, track: T) -> Option<usize> {
        self.positions.iter().position(|holder| holder.as_ref().is_some_and(|holder| holder.track == track))
    }

    /// The position of the understudy: the number of speakers that all listeners hear.
    pub(crate) fn understudy(&self) -> usize {
        self.positions.len().saturating_sub(1)
    }

    /// Handles a packet of a track, after it was counted in the track's level.
    pub(crate) fn on_packet(
        &mut self,
        now: Instant,
        track: T,
        level: &AudioLevel,
        challenge: &mut Challenge,
    ) -> Option<Change<T>> {
        let held = self.position(track);
        if let Some(holder) = held.and_then(|position| self.positions.get_mut(position)?.as_mut()) {
            holder.level = *level;
        }
        let understudy = self.understudy();
        if held.is_some_and(|position| position != understudy) {
            return None;
        }
        if !level.is_loud() {
            let is_heard = level.is_faint() && level.is_audible(now);
            let taken = is_heard.then(|| self.spare(now)).flatten()?;
            return self.take(now, taken, (track, level), held);
        }
        let taken = self.vacancy(now).or_else(|| self.defeated(now, level, challenge)).or_else(|| {
            let place = self.positions.get(understudy).filter(|_| held.is_none())?;
            place.as_ref().is_none_or(|holder| holder.makes_way(now)).then_some(understudy)
        })?;
        *challenge = Challenge::default();
        self.take(now, taken, (track, level), held)
    }

    /// Puts a track, which holds the position `held` or none, into another one.
    fn take(
        &mut self,
        now: Instant,
        taken: usize,
        (track, level): (T, &AudioLevel),
        held: Option<usize>,
    ) -> Option<Change<T>> {
        if let Some(left) = held.and_then(|position| self.positions.get_mut(position)) {
            *left = None;
        }
        let replaced = self.positions.get_mut(taken)?.replace(Holder { track, since: now, level: *level });
        Some(Change { taken, replaced: replaced.map(|holder| holder.track), is_new: held.is_none() })
    }

    /// Removes a track that has ended, or was muted. Returns the position that it held.
    pub(crate) fn remove(&mut self, track: T) -> Option<usize> {
        let position = self.position(track)?;
        *self.positions.get_mut(position)? = None;
        Some(position)
    }

    /// The first free position that all hear, else the one whose holder has been silent for longest, else one of who is too
    /// quiet for speech.
    fn vacancy(&self, now: Instant) -> Option<usize> {
        self.vacancies(now).min().map(|(_, position)| position)
    }

    /// The position that [`vacancy`](Self::vacancy) finds, if more than a third are free or have a silent holder: so who speaks
    /// finds one even if all others have just been taken.
    fn spare(&self, now: Instant) -> Option<usize> {
        let silent = || self.vacancies(now).filter(|(rank, _)| !rank.is_audible);
        silent().min().filter(|_| silent().count() > self.understudy() / 3).map(|(_, position)| position)
    }

    /// The positions that who speaks may take without being louder; the lowest first.
    fn vacancies(&self, now: Instant) -> impl Iterator<Item = (Rank, usize)> {
        let free = Rank { is_audible: false, last_speech: None };
        let of_holder = move |holder: &Holder<T>| {
            let rank = || Rank { is_audible: holder.level.is_audible(now), last_speech: holder.level.last_speech() };
            holder.makes_way(now).then(rank)
        };
        self.audible().filter_map(move |(position, holder)| Some((holder.map_or(Some(free), of_holder)?, position)))
    }

    /// The position of the quietest holder, if a track with this level has been clearly louder for long enough.
    fn defeated(&self, now: Instant, level: &AudioLevel, challenge: &mut Challenge) -> Option<usize> {
        let holders = self.audible().filter_map(|(position, holder)| Some((position, holder?)));
        let (position, quietest) =
            holders.filter(|(_, holder)| holder.may_go(now)).max_by_key(|(_, holder)| handicapped(&holder.level))?;
        let louder = handicapped(level).saturating_add(LEAD) <= handicapped(&quietest.level);
        (louder && challenge.lasts(now) >= LOUDER_FOR).then_some(position)
    }

    /// The positions that all listeners hear.
    fn audible(&self) -> impl Iterator<Item = (usize, Option<&Holder<T>>)> {
        self.positions.iter().take(self.understudy()).map(Option::as_ref).enumerate()
    }
}

/// The loudness by which tracks are compared: what takes no breath counts as quieter than it is.
fn handicapped(level: &AudioLevel) -> u8 {
    level.loudness().saturating_add(if level.is_unbroken() { LEAD } else { 0 })
}

impl Challenge {
    /// Goes on, or begins. Returns for how long it has.
    fn lasts(&mut self, now: Instant) -> Duration {
        let lapsed = self.last.replace(now).is_none_or(|last| now.saturating_duration_since(last) > LAPSE);
        let since = *self.since.insert(self.since.filter(|_| !lapsed).unwrap_or(now));
        now.saturating_duration_since(since)
    }
}

impl<T> Holder<T> {
    /// Whether someone who speaks may replace it.
    fn makes_way(&self, now: Instant) -> bool {
        !self.level.speaks(now) && self.may_go(now)
    }

    fn may_go(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= HOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Three speakers are heard by all.
    const AUDIBLE: usize = 3;
    const LOUD: u8 = 20;
    const NORMAL: u8 = 30;
    const FAINT: u8 = 60;
    const NOISE: u8 = 70;

    /// A room whose participants send a packet each 20 ms.
    struct Stage {
        set: SpeakerSet<char>,
        tracks: Vec<(char, AudioLevel, Challenge)>,
        start: Instant,
        ms: u64,
    }

    impl Stage {
        fn new() -> Self {
            let (set, start) = (SpeakerSet::new(AUDIBLE), Instant::now());
            Self { set, tracks: Vec::new(), start, ms: 0 }
        }

        /// These speak for `ms`, at these levels, and no one else sends anything.
        fn speak(&mut self, ms: u64, speakers: &[(char, u8)]) {
            for _ in 0..ms / 20 {
                for &(who, level) in speakers {
                    self.packet(who, level);
                }
                self.ms += 20;
            }
        }

        fn packet(&mut self, who: char, level: u8) -> Option<Change<char>> {
            let now = self.start + Duration::from_millis(self.ms);
            if !self.tracks.iter().any(|(track, ..)| *track == who) {
                self.tracks.push((who, AudioLevel::default(), Challenge::default()));
            }
            let (_, heard, challenge) = self.tracks.iter_mut().find(|(track, ..)| *track == who).unwrap();
            heard.on_packet(now, level);
            self.set.on_packet(now, who, heard, challenge)
        }

        fn pause(&mut self, ms: u64) {
            self.ms += ms;
        }

        /// Who is in which position; a dot is a free one.
        fn positions(&self) -> String {
            (0..=AUDIBLE).map(|position| self.set.holder(position).unwrap_or('.')).collect()
        }
    }

    /// Two of three positions are enough for microphones that are too quiet, and who speaks takes them away.
    #[test]
    fn faint_microphones_are_heard_where_no_one_speaks() {
        let mut stage = Stage::new();
        stage.speak(100, &[('q', FAINT), ('n', NOISE)]);
        assert_eq!(stage.positions(), "q...");
        stage.speak(100, &[('q', FAINT), ('r', FAINT)]);
        stage.speak(1_500, &[('q', FAINT), ('r', FAINT), ('s', FAINT)]);
        assert_eq!(stage.positions(), "qr..", "one is left for who speaks");
        stage.speak(60, &[('q', FAINT), ('r', FAINT), ('a', NORMAL)]);
        assert_eq!(stage.positions(), "qra.");
        stage.speak(60, &[('q', FAINT), ('r', FAINT), ('a', NORMAL), ('b', NORMAL)]);
        assert_eq!(stage.positions(), "bra.");
        stage.speak(60, &[('q', FAINT), ('r', FAINT), ('a', NORMAL), ('b', NORMAL), ('c', NORMAL)]);
        assert_eq!(stage.positions(), "bca.");
        stage.speak(3_000, &[('q', FAINT), ('a', NORMAL)]);
        assert_eq!(stage.positions(), "qca.", "where no one has spoken for a while");
    }

    #[test]
    fn noise_without_end_makes_way_for_a_faint_voice() {
        let mut stage = Stage::new();
        stage.speak(31_000, &[('m', FAINT), ('n', FAINT)]);
        assert_eq!(stage.positions(), "mn..");
        for _ in 0..3 {
            stage.speak(600, &[('m', FAINT), ('n', FAINT), ('q', FAINT)]);
            stage.speak(300, &[('m', FAINT), ('n', FAINT)]);
        }
        assert!(stage.positions().contains('q'));
    }

    #[test]
    fn speakers_take_free_positions_and_keep_them_when_silent() {
        let mut stage = Stage::new();
        stage.packet('a', NORMAL);
        assert_eq!(stage.positions(), "....", "one packet is no speech");
        stage.speak(100, &[('a', NORMAL)]);
        stage.speak(100, &[('b', LOUD)]);
        assert_eq!(stage.positions(), "ab..");
        stage.pause(60_000);
        assert_eq!(stage.positions(), "ab..");
        stage.speak(100, &[('b', NORMAL), ('c', NORMAL), ('a', NORMAL)]);
        assert_eq!(stage.positions(), "abc.");
    }

    #[test]
    fn the_longest_silent_holder_makes_way() {
        let mut stage = Stage::new();
        for who in ['a', 'b', 'c', 'a'] {
            stage.speak(500, &[(who, NORMAL)]);
        }
        stage.pause(700);
        stage.speak(40, &[('d', NORMAL)]);
        assert_eq!(stage.positions(), "adc.", "the second packet of speech is enough");
    }

    #[test]
    fn a_pause_between_words_costs_no_one_the_position() {
        let mut stage = Stage::new();
        stage.speak(2_000, &[('a', NORMAL), ('b', NORMAL), ('c', NORMAL)]);
        stage.pause(600);
        stage.speak(60, &[('d', NORMAL)]);
        assert_eq!(stage.positions(), "abcd", "heard by the other speakers only");
    }

    #[test]
    fn the_understudy_takes_the_next_position_that_falls_silent() {
        let mut stage = Stage::new();
        stage.speak(2_000, &[('a', NORMAL), ('b', NORMAL), ('c', NORMAL), ('d', NORMAL)]);
        assert_eq!(stage.positions(), "abcd");
        stage.speak(700, &[('a', NORMAL), ('c', NORMAL), ('d', NORMAL)]);
        assert_eq!(stage.positions(), "adc.", "and its place is free for another");
        stage.speak(100, &[('a', NORMAL), ('c', NORMAL), ('d', NORMAL), ('b', NORMAL)]);
        assert_eq!(stage.positions(), "adcb");
    }

    #[test]
    fn a_clearly_louder_speaker_replaces_the_quietest() {
        let mut stage = Stage::new();
        let all = [('a', 30), ('b', 36), ('c', 32)];
        stage.speak(2_000, &all);
        stage.speak(5_000, &[all[0], all[1], all[2], ('d', 31)]);
        assert_eq!(stage.positions(), "abcd", "5 dB louder are not enough");
        stage.speak(180, &[all[0], all[1], all[2], ('e', 20)]);
        assert_eq!(stage.positions(), "abcd", "nor are 180 ms");
        stage.speak(120, &[all[0], all[1], all[2], ('e', 20)]);
        assert_eq!(stage.positions(), "aecd");
    }

    #[test]
    fn a_position_changes_once_in_a_while() {
        let mut stage = Stage::new();
        stage.speak(100, &[('a', 40), ('b', NORMAL), ('c', NORMAL), ('d', 40)]);
        stage.pause(800);
        stage.speak(300, &[('e', LOUD)]);
        assert_eq!(stage.positions(), "abcd", "all are silent, and have just begun");
        stage.pause(300);
        stage.speak(40, &[('e', LOUD)]);
        assert_eq!(stage.positions(), "ebcd");
    }

    #[test]
    fn a_challenge_does_not_outlast_silence() {
        let mut stage = Stage::new();
        let all = [('a', 40), ('b', 40), ('c', 40)];
        stage.speak(2_000, &all);
        stage.speak(160, &[all[0], all[1], all[2], ('d', LOUD)]);
        stage.speak(1_000, &all);
        stage.speak(160, &[all[0], all[1], all[2], ('d', LOUD)]);
        assert_eq!(stage.positions(), "abcd");
    }

    #[test]
    fn music_makes_way_to_speech_as_loud() {
        let mut stage = Stage::new();
        let all = [('m', 30), ('b', 30), ('c', 30)];
        for _ in 0..31 {
            stage.speak(700, &all);
            stage.speak(300, &all[..1]);
        }
        stage.speak(400, &[all[0], all[1], all[2], ('d', 30)]);
        assert_eq!(stage.positions(), "dbcm", "the music, which was as loud");
        for _ in 0..5 {
            stage.speak(400, &[('m', 24), all[1], all[2], ('d', 30)]);
        }
        assert_eq!(stage.positions(), "dbcm", "6 dB more do not help it");
    }

    #[test]
    fn who_leaves_or_is_muted_frees_the_position() {
        let mut stage = Stage::new();
        stage.speak(500, &[('a', NORMAL), ('b', NORMAL), ('c', NORMAL), ('d', NORMAL)]);
        assert_eq!(stage.set.remove('b'), Some(1));
        assert_eq!((stage.positions(), stage.set.remove('b')), ("a.cd".into(), None));
        stage.speak(20, &[('d', NORMAL)]);
        assert_eq!(stage.positions(), "adc.");
    }

    proptest! {
        /// Whatever levels arrive, and when: no one is in two positions, only the understudy moves, and a position
        /// changes at most once per hold.
        #[test]
        fn positions_are_stable(packets in prop::collection::vec((0usize..8, 0u8..128, 0u64..120), 1..2_000)) {
            let mut stage = Stage::new();
            let mut changed = [None; AUDIBLE + 1];
            for (who, level, wait) in packets {
                stage.pause(wait);
                let before: Vec<char> = stage.positions().chars().collect();
                let change = stage.packet(char::from(b'a' + who as u8), level);
                let after: Vec<char> = stage.positions().chars().collect();
                let mut held: Vec<char> = after.iter().copied().filter(|who| *who != '.').collect();
                held.sort_unstable();
                held.dedup();
                prop_assert_eq!(held.len(), after.iter().filter(|who| **who != '.').count());
                for position in 0..=AUDIBLE {
                    if before[position] == after[position] { continue }
                    let Some(change) = change else { panic!("a change was not reported") };
                    if after[position] == '.' {
                        prop_assert!(position == AUDIBLE && after[change.taken] == before[AUDIBLE]);
                        changed[position] = None;
                        continue;
                    }
                    prop_assert_eq!(change.taken, position);
                    let last = changed[position].replace(stage.ms);
                    prop_assert!(last.is_none_or(|last| stage.ms >= last + HOLD.as_millis() as u64));
                }
            }
        }
    }
}
