//! The m-sections of a connection: what this client sends, and the slots in which it receives.

use super::{
    kind_of,
    parameters::{ParameterError, Tables, require},
};
use std::collections::HashSet;
use tacet_proto::media::{Codec, Kind, Slot};

/// Maximum number of slots: twice as many as the server makes for a client.
const MAX_SLOTS: usize = 400;
/// Maximum length of a MID: what a one-byte header extension holds (RFC 8285 section 4.2).
const MAX_MID_BYTES: usize = 16;

/// A section in which this client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendSection {
    /// MID of the section. It begins with `s`, and those of slots do not.
    pub mid: String,
    /// Kind of media.
    pub kind: Kind,
    /// SSRC of its packets.
    pub ssrc: u32,
    /// SSRC of its retransmissions.
    pub rtx: Option<u32>,
}

/// An m-section of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Section {
    /// This client sends.
    Sending(SendSection),
    /// This client receives.
    Slot(Slot),
}

impl Section {
    /// MID of the section.
    #[must_use]
    pub fn mid(&self) -> &str {
        match self {
            Self::Sending(section) => &section.mid,
            Self::Slot(slot) => &slot.mid,
        }
    }
}

/// All sections of a connection, in the order in which they were appended. Slots have passed their check.
#[derive(Clone, Debug)]
pub struct Sections {
    /// The codecs that have a payload type.
    codecs: Vec<Codec>,
    sections: Vec<Section>,
    slots: usize,
    mids: HashSet<String>,
    ssrcs: HashSet<u32>,
}

impl Sections {
    /// No sections yet; slots may have the codecs of these tables.
    #[must_use]
    pub fn new(tables: &Tables) -> Self {
        let codecs = tables.codecs().iter().map(|entry| entry.codec).collect();
        Self { codecs, sections: Vec::new(), slots: 0, mids: HashSet::new(), ssrcs: HashSet::new() }
    }

    /// Appends a section in which this client sends.
    pub fn add_sending(&mut self, section: SendSection) {
        self.mids.insert(section.mid.clone());
        self.ssrcs.extend([Some(section.ssrc), section.rtx].into_iter().flatten());
        self.sections.push(Section::Sending(section));
    }

    /// Appends a slot of the server.
    ///
    /// # Errors
    /// [`ParameterError`]; the slot is not appended.
    pub fn add_slot(&mut self, slot: &Slot) -> Result<(), ParameterError> {
        let Slot { mid, kind, codec, ssrc, rtx } = slot;
        require(self.slots < MAX_SLOTS, "slot", "there are too many")?;
        let token = (1..=MAX_MID_BYTES).contains(&mid.len()) && mid.bytes().all(|b| b.is_ascii_alphanumeric());
        require(token && !mid.starts_with('s'), "MID", "1 to 16 letters and digits, the first not s")?;
        require(!self.mids.contains(mid), "MID", "another section has it")?;
        require(self.codecs.contains(codec), "slot", "its codec has no payload type")?;
        require(kind_of(*codec) == *kind, "slot", "its codec is of another kind")?;
        require(rtx.is_none() || *kind == Kind::Video, "slot", "only video has retransmissions")?;
        let ssrcs = [Some(*ssrc), *rtx].into_iter().flatten();
        let free = ssrcs.clone().all(|ssrc| ssrc != 0 && !self.ssrcs.contains(&ssrc)) && *rtx != Some(*ssrc);
        require(free, "SSRC", "zero, or another stream has it")?;
        self.slots += 1;
        self.mids.insert(mid.clone());
        self.ssrcs.extend(ssrcs);
        self.sections.push(Section::Slot(slot.clone()));
        Ok(())
    }

    /// All sections, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter()
    }

    /// Number of sections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Whether there is no section.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::tests, *};

    fn empty() -> Sections {
        let (codecs, extensions) = tests::tables();
        Sections::new(&Tables::new(&codecs, &extensions).unwrap())
    }

    fn sections() -> Sections {
        let mut sections = empty();
        sections.add_sending(SendSection { mid: "sv".to_owned(), kind: Kind::Video, ssrc: 1, rtx: Some(2) });
        tests::slots().iter().for_each(|slot| sections.add_slot(slot).unwrap());
        sections
    }

    fn slot() -> Slot {
        Slot { mid: "r7".to_owned(), kind: Kind::Video, codec: Codec::Vp8, ssrc: 70, rtx: Some(71) }
    }

    #[test]
    fn slots_outside_the_grammar_are_refused() {
        sections().add_slot(&slot()).unwrap();
        let attacks: [fn(&mut Slot); 20] = [
            |slot| slot.codec = Codec::Av1,
            |slot| slot.mid = "r7\r\na=injected:1".to_owned(),
            |slot| slot.mid = "r7\na=injected:1".to_owned(),
            |slot| slot.mid = "r 7".to_owned(),
            |slot| slot.mid = "r7 a0".to_owned(),
            |slot| slot.mid = "r\u{2028}7".to_owned(),
            |slot| slot.mid = "ré".to_owned(),
            |slot| slot.mid.clear(),
            |slot| slot.mid = "r".repeat(17),
            |slot| slot.mid = "a0".to_owned(),
            |slot| slot.mid = "sv".to_owned(),
            |slot| slot.mid = "sa".to_owned(),
            |slot| slot.ssrc = 0,
            |slot| slot.ssrc = 1,
            |slot| slot.ssrc = 11,
            |slot| slot.ssrc = 71,
            |slot| slot.rtx = Some(2),
            |slot| slot.rtx = Some(0),
            |slot| slot.kind = Kind::Audio,
            |slot| (slot.kind, slot.codec) = (Kind::Audio, Codec::Opus),
        ];
        for (number, attack) in attacks.into_iter().enumerate() {
            let (mut sections, mut slot) = (sections(), slot());
            attack(&mut slot);
            assert!(sections.add_slot(&slot).is_err(), "attack {number}");
            assert_eq!(sections.len(), 3, "nothing was appended");
        }
    }

    #[test]
    fn slots_are_bounded() {
        let mut sections = empty();
        let slot =
            |n: u32| Slot { mid: format!("r{n}"), kind: Kind::Audio, codec: Codec::Opus, ssrc: n + 1, rtx: None };
        (0..MAX_SLOTS as u32).for_each(|n| sections.add_slot(&slot(n)).unwrap());
        assert!(sections.add_slot(&slot(MAX_SLOTS as u32)).is_err());
    }
}
