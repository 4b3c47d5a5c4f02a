//! Reading policy files.

use super::{Group, Member, Policy, PolicyLog, PolicyWitness};
use crate::key::{KeyError, SignatureType, VerifierKey};
use alloc::vec::Vec;
use core::str;

/// Maximum length of a policy file, bytes.
pub const MAX_POLICY_BYTES: usize = 65_536;

/// Maximum number of logs, of witnesses and of groups.
pub const MAX_POLICY_NAMES: usize = 64;

/// Why a file is not a policy, and in which line, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct PolicyParseError {
    /// The line; the last one if something is missing.
    pub line: usize,
    /// What is wrong with it.
    pub fault: PolicyFault,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// Above [`MAX_POLICY_BYTES`].
    #[error("the policy is longer than {MAX_POLICY_BYTES} bytes")]
    TooLong,
    /// Above [`MAX_POLICY_NAMES`].
    #[error("the policy has more than {MAX_POLICY_NAMES} logs, witnesses or groups")]
    TooMany,
    /// The last line has no end, so the file may have been cut.
    #[error("the line has no end; the file may have been cut")]
    Unended,
    /// A control character other than a tab.
    #[error("the line has a control character")]
    ControlCharacter,
    /// Not `log`, `witness`, `group` or `quorum` with the fields that it takes.
    #[error("expected log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K MEMBER… or quorum NAME")]
    Line,
    /// The key is malformed or not one of a log or witness.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The same public key twice among logs or witnesses.
    #[error("this key is listed twice")]
    DuplicateKey,
    /// Two keys that signature lines could not tell apart.
    #[error("another key has the same name and identifier")]
    AmbiguousKey,
    /// The name is taken, or is `none`.
    #[error("this name is taken")]
    NameTaken,
    /// No witness or group above has this name.
    #[error("no witness or group above has this name")]
    UnknownName,
    /// A member of a group already.
    #[error("this name is a member of a group already")]
    MemberTwice,
    /// Not a number from 1 to that of the members.
    #[error("the number of members that a group takes is from 1 to how many it has")]
    Threshold,
    /// A second quorum.
    #[error("the policy has a quorum already")]
    SecondQuorum,
    /// No quorum.
    #[error("the policy has no quorum")]
    NoQuorum,
}

/// The predefined name.
const NONE: &[u8] = b"none";

#[derive(Default)]
struct Parser {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    /// Witnesses and groups that are members already.
    members: Vec<Member>,
    quorum: Option<Option<Member>>,
}

impl Policy {
    /// Parses a policy file.
    ///
    /// # Errors
    /// If it is not a policy, with the line.
    pub fn parse(file: &[u8]) -> Result<Self, PolicyParseError> {
        let at = |line| move |fault| PolicyParseError { line, fault };
        if file.len() > MAX_POLICY_BYTES {
            return Err(at(1)(PolicyFault::TooLong));
        }
        let (mut parser, mut number) = (Parser::default(), 0_usize);
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            number = number.saturating_add(1);
            let line = line.strip_suffix(b"\n").ok_or(PolicyFault::Unended).map_err(at(number))?;
            parser.line(line).map_err(at(number))?;
        }
        let quorum = parser.quorum.ok_or(PolicyFault::NoQuorum).map_err(at(number))?;
        Ok(Self { logs: parser.logs, witnesses: parser.witnesses, groups: parser.groups, quorum })
    }
}

impl Parser {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyFault> {
        if line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
            return Err(PolicyFault::ControlCharacter);
        }
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return Ok(()) };
        if keyword.starts_with(b"#") {
            return Ok(());
        }
        let words: Vec<&[u8]> = words.collect();
        match (keyword, &words[..]) {
            (b"log", [key]) => self.log(key, None),
            (b"log", [key, url]) => self.log(key, Some(*url)),
            (b"witness", [name, key]) => self.witness(name, key, None),
            (b"witness", [name, key, url]) => self.witness(name, key, Some(*url)),
            (b"group", [name, threshold, members @ ..]) => self.group(name, threshold, members),
            (b"quorum", [name]) => self.quorum(name),
            _ => Err(PolicyFault::Line),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&[u8]>) -> Result<(), PolicyFault> {
        let key = self.key(key)?;
        if self.logs.iter().any(|log| log.key.public() == key.public()) {
            return Err(PolicyFault::DuplicateKey);
        }
        self.logs.push(PolicyLog { key, url: url.map(Into::into) });
        within(self.logs.len())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&[u8]>) -> Result<(), PolicyFault> {
        self.unused(name)?;
        let key = self.key(key)?;
        if key.kind() != SignatureType::Cosignature {
            return Err(KeyError::Type(key.kind() as u8).into());
        }
        if self.witnesses.iter().any(|witness| witness.key.public() == key.public()) {
            return Err(PolicyFault::DuplicateKey);
        }
        self.witnesses.push(PolicyWitness { name: name.into(), key, url: url.map(Into::into) });
        within(self.witnesses.len())
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], names: &[&[u8]]) -> Result<(), PolicyFault> {
        self.unused(name)?;
        let mut members = Vec::with_capacity(names.len());
        for name in names {
            let member = self.member(name)?;
            if self.members.contains(&member) {
                return Err(PolicyFault::MemberTwice);
            }
            self.members.push(member);
            members.push(member);
        }
        let threshold = match threshold {
            b"all" => members.len(),
            b"any" => 1,
            number => str::from_utf8(number)
                .ok()
                .and_then(crate::encoding::decimal)
                .and_then(|number| usize::try_from(number).ok())
                .ok_or(PolicyFault::Threshold)?,
        };
        if !(1..=members.len()).contains(&threshold) {
            return Err(PolicyFault::Threshold);
        }
        self.groups.push(Group { name: name.into(), threshold, members });
        within(self.groups.len())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), PolicyFault> {
        if self.quorum.is_some() {
            return Err(PolicyFault::SecondQuorum);
        }
        self.quorum = Some(if name == NONE { None } else { Some(self.member(name)?) });
        Ok(())
    }

    /// A key that no earlier one can be confused with.
    fn key(&self, text: &[u8]) -> Result<VerifierKey, PolicyFault> {
        let key: VerifierKey = str::from_utf8(text).map_err(|_| KeyError::Malformed)?.parse()?;
        let keys = self.logs.iter().map(|log| &log.key).chain(self.witnesses.iter().map(|witness| &witness.key));
        let same = |other: &VerifierKey| other.name() == key.name() && other.id() == key.id();
        let ambiguous = keys.filter(|other| same(other)).any(|other| other.public() != key.public());
        if ambiguous { Err(PolicyFault::AmbiguousKey) } else { Ok(key) }
    }

    fn unused(&self, name: &[u8]) -> Result<(), PolicyFault> {
        let taken = name == NONE || self.member(name).is_ok();
        if taken { Err(PolicyFault::NameTaken) } else { Ok(()) }
    }

    fn member(&self, name: &[u8]) -> Result<Member, PolicyFault> {
        let witness = self.witnesses.iter().position(|witness| witness.name == name).map(Member::Witness);
        let group = || self.groups.iter().position(|group| group.name == name).map(Member::Group);
        witness.or_else(group).ok_or(PolicyFault::UnknownName)
    }
}

fn within(count: usize) -> Result<(), PolicyFault> {
    if count > MAX_POLICY_NAMES { Err(PolicyFault::TooMany) } else { Ok(()) }
}
