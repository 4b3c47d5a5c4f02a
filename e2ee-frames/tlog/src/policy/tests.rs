use super::*;
use crate::{KeyName, LogKey, WitnessKey, key::KeyError};
use alloc::{
    format,
    string::{String, ToString},
};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds).unwrap()
}

fn log(seed: u8) -> LogKey {
    LogKey::from_seed("call.example/directory", &[seed; 32]).unwrap()
}

fn witness(seed: u8) -> WitnessKey {
    WitnessKey::from_seed(&format!("witness.example/{seed}"), &[seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint::new(log(100).name(), 7, [7; 32]).unwrap()
}

/// The example of the C2SP text, with keys.
fn example() -> String {
    let key = |seed| witness(seed).verifier().to_string();
    format!(
        "log {}\n\nwitness X1 {}\nwitness X2 {}\nwitness X3 {}\ngroup X-witnesses 2 X1 X2 X3\n\n\
         witness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
         group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
        log(100).verifier(),
        key(1),
        key(2),
        key(3),
        key(4),
        key(5),
        key(6)
    )
}

/// A note of the log, cosigned by the witnesses of these seeds at these times.
fn note(cosigned: &[(u8, u64)]) -> Note {
    let mut note = log(100).sign(&checkpoint()).unwrap();
    for (seed, time) in cosigned {
        note.add(witness(*seed).cosign(&checkpoint(), at(*time))).unwrap();
    }
    note
}

fn verify(policy: &str, note: &Note) -> Result<VerifiedCheckpoint, PolicyError> {
    Policy::parse(policy.as_bytes()).unwrap().verify(note, at(NOW), MAX_COSIGNATURE_AGE)
}

/// Every set of the six witnesses of the example, against the sentence that explains it.
#[test]
fn quorum_of_the_c2sp_example() {
    for set in 0..64_u8 {
        let seeds: Vec<(u8, u64)> = (1..=6).filter(|seed| set >> (seed - 1) & 1 == 1).map(|seed| (seed, NOW)).collect();
        let (x, y) = ((set & 7).count_ones(), (set >> 3).count_ones());
        assert_eq!(verify(&example(), &note(&seeds)).is_ok(), x >= 2 && y >= 1, "{set:06b}");
    }
}

#[test]
fn quorum_none_needs_the_log_only() {
    let policy = format!("log {}\nquorum none\n", log(100).verifier());
    let verified = verify(&policy, &note(&[])).unwrap();
    assert_eq!((verified.checkpoint(), verified.quorum_time()), (&checkpoint(), None));
    assert!(Policy::parse(policy.as_bytes()).unwrap().is_unwatched());
}

#[test]
fn quorum_can_be_one_witness() {
    let policy = format!("log {}\nwitness w {}\nquorum w\n", log(100).verifier(), witness(1).verifier());
    assert_eq!(verify(&policy, &note(&[])), Err(PolicyError::Quorum { counted: 0, outdated: 0 }));
    assert_eq!(verify(&policy, &note(&[(2, NOW)])), Err(PolicyError::Quorum { counted: 0, outdated: 0 }));
    let verified = verify(&policy, &note(&[(1, NOW - 5)])).unwrap();
    assert_eq!(verified.cosigned(), [Cosigned { witness: 0, time: at(NOW - 5) }]);
}

#[test]
fn cosignatures_of_another_time_do_not_count() {
    let policy = format!("log {}\nwitness w {}\nquorum w\n", log(100).verifier(), witness(1).verifier());
    for (time, counts) in [(NOW - DAY, true), (NOW - DAY - 1, false), (NOW + 300, true), (NOW + 301, false), (0, false)]
    {
        let expected = if counts { Ok(Some(at(time))) } else { Err(PolicyError::Quorum { counted: 0, outdated: 1 }) };
        assert_eq!(verify(&policy, &note(&[(1, time)])).map(|verified| verified.quorum_time()), expected, "{time}");
    }
    // Of two by one witness, the one that counts.
    let (old, new) = (note(&[(1, NOW - 2 * DAY)]).to_string(), note(&[(1, NOW - 9)]).to_string());
    let both = [&old[..], new.lines().last().unwrap(), "\n"].concat();
    let verified = verify(&policy, &Note::parse(both.as_bytes()).unwrap()).unwrap();
    assert_eq!(verified.quorum_time(), Some(at(NOW - 9)));
}

/// One witness in league with the server cannot make an old head look fresh.
#[test]
fn freshness_is_that_of_a_whole_quorum() {
    let times = [(1, NOW), (2, NOW - 500), (3, NOW - 700), (4, NOW - 600)];
    assert_eq!(verify(&example(), &note(&times)).unwrap().quorum_time(), Some(at(NOW - 600)));
}

#[test]
fn signature_of_a_known_key_must_verify() {
    let policy = example();
    let good = note(&[(1, NOW), (2, NOW), (4, NOW)]);
    // Another witness's signature under the name and identifier of a known one.
    let wrong = witness(9).cosign(&checkpoint(), at(NOW));
    let disguised = crate::NoteSignature::new(
        witness(3).verifier().name().clone(),
        witness(3).verifier().id(),
        wrong.bytes().to_vec(),
    );
    let mut note = good.clone();
    note.add(disguised).unwrap();
    assert_eq!(verify(&policy, &note), Err(PolicyError::BadSignature(KeyName::new("witness.example/3").unwrap())));
    // An unknown key is ignored, whatever its bytes.
    let mut note = good;
    note.add(wrong).unwrap();
    assert!(verify(&policy, &note).is_ok());
}

#[test]
fn log_must_be_known_and_be_the_origin() {
    let cosigned = note(&[(1, NOW), (2, NOW), (4, NOW)]);
    let unknown = example().replace(&log(100).verifier().to_string(), &log(101).verifier().to_string());
    assert_eq!(verify(&unknown, &cosigned), Err(PolicyError::UnknownLog));
    // A known log's key under a checkpoint of another origin.
    let other = LogKey::from_seed("call.example/other", &[102; 32]).unwrap();
    let text = checkpoint().to_string();
    let stolen = Note::new(text.clone(), other.sign_text(&text)).unwrap();
    let policy = format!("log {}\nlog {}\nquorum none\n", log(100).verifier(), other.verifier());
    assert_eq!(verify(&policy, &stolen), Err(PolicyError::UnknownLog));
}

#[test]
fn log_may_have_several_keys_of_both_types() {
    let fresh = WitnessKey::from_seed("call.example/directory", &[103; 32]).unwrap();
    let policy =
        format!("log {}\nlog {}\nlog {}\nquorum none\n", log(101).verifier(), log(100).verifier(), fresh.verifier());
    assert_eq!(verify(&policy, &note(&[])).unwrap().log(), 1);
    let signature = fresh.cosign(&checkpoint(), at(NOW));
    let note = Note::new(checkpoint().to_string(), signature).unwrap();
    assert_eq!(verify(&policy, &note).unwrap().log(), 2);
}

#[test]
fn note_that_is_no_checkpoint_is_refused() {
    let note = Note::new("text\n".into(), log(100).sign_text("text\n")).unwrap();
    assert_eq!(verify(&example(), &note), Err(PolicyError::Checkpoint(CheckpointError::Lines)));
}

#[test]
fn every_flipped_bit_of_a_note_is_refused_or_changes_no_meaning() {
    let policy = Policy::parse(example().as_bytes()).unwrap();
    let bytes = note(&[(1, NOW), (2, NOW), (4, NOW)]).to_string().into_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let verified =
            Note::parse(&flipped).ok().and_then(|note| policy.verify(&note, at(NOW), MAX_COSIGNATURE_AGE).ok());
        // No single signature can be missing here: X needs both, Y its one.
        assert_eq!(verified, None, "bit {bit}");
    }
}

#[test]
fn whitespace_comments_and_urls_are_read() {
    let (log, w) = (log(100), witness(1));
    let file = format!(
        "# a policy\n\n \t # indented \u{e9}\nlog\t{}   https://call.example/  \n  witness \u{212a} {} https://m\u{fc}nchen.example\nquorum \u{212a}\n",
        log.verifier(),
        w.verifier()
    );
    let policy = Policy::parse(file.as_bytes()).unwrap();
    assert_eq!(policy.logs()[0].url.as_deref(), Some(&b"https://call.example/"[..]));
    assert_eq!(policy.witnesses()[0].name, "\u{212a}".as_bytes());
    // Opaque bytes: a Kelvin sign is not a K, and bytes need not be UTF-8.
    assert!(Policy::parse(file.replace("quorum \u{212a}", "quorum K").as_bytes()).is_err());
    let name = [b"witness \xff ", w.verifier().to_string().as_bytes(), b"\nquorum \xff\n"].concat();
    assert_eq!(Policy::parse(&name).unwrap().witnesses()[0].name, b"\xff");
}

#[test]
fn malformed_policies_are_refused_by_line() {
    let (log, a, b) =
        (log(100).verifier().to_string(), witness(1).verifier().to_string(), witness(2).verifier().to_string());
    let head = format!("log {log}\nwitness a {a}\nwitness b {b}\n");
    let case = |tail: &str| {
        Policy::parse(format!("{head}{tail}").as_bytes()).map(|_| ()).map_err(|error| (error.line, error.fault))
    };
    assert_eq!(case("quorum none\n"), Ok(()));
    for (tail, line, fault) in [
        ("", 3, PolicyFault::NoQuorum),
        ("quorum none", 4, PolicyFault::Unended),
        ("quorum none\nquorum a\n", 5, PolicyFault::SecondQuorum),
        ("quorum c\n", 4, PolicyFault::UnknownName),
        ("quorum\n", 4, PolicyFault::Line),
        ("quorum a b\n", 4, PolicyFault::Line),
        ("Quorum a\n", 4, PolicyFault::Line),
        ("quorum a\r\n", 4, PolicyFault::ControlCharacter),
        ("quorum g\ngroup g any a\n", 4, PolicyFault::UnknownName),
        ("group none any a\n", 4, PolicyFault::NameTaken),
        ("group a any b\n", 4, PolicyFault::NameTaken),
        ("group g any none\n", 4, PolicyFault::UnknownName),
        ("group g any g\n", 4, PolicyFault::UnknownName),
        ("group g any a a\n", 4, PolicyFault::MemberTwice),
        ("group g any a\ngroup h any a b\n", 5, PolicyFault::MemberTwice),
        ("group g any\n", 4, PolicyFault::Threshold),
        ("group g all\n", 4, PolicyFault::Threshold),
        ("group g 0 a b\n", 4, PolicyFault::Threshold),
        ("group g 3 a b\n", 4, PolicyFault::Threshold),
        ("group g 01 a b\n", 4, PolicyFault::Threshold),
        ("group g some a b\n", 4, PolicyFault::Threshold),
        (&format!("log {log}\n"), 4, PolicyFault::DuplicateKey),
        (&format!("witness c {a}\n"), 4, PolicyFault::DuplicateKey),
        (&format!("witness none {a}\n"), 4, PolicyFault::NameTaken),
        (&format!("witness c {log}\n"), 4, PolicyFault::Key(KeyError::Type(1))),
        ("witness c d\n", 4, PolicyFault::Key(KeyError::Malformed)),
        ("log \u{e9}\n", 4, PolicyFault::Key(KeyError::Malformed)),
    ] {
        assert_eq!(case(tail), Err((line, fault)), "{tail:?}");
    }
    assert_eq!(Policy::parse(&[b'#'; MAX_POLICY_BYTES + 1]).unwrap_err().fault, PolicyFault::TooLong);
}

#[test]
fn at_least_32_of_each_are_read() {
    let line = |number: u8| {
        let (log, witness) = (log(number), witness(number));
        format!("log {}\nwitness w{number} {}\ngroup g{number} any w{number}\n", log.verifier(), witness.verifier())
    };
    let file: String = (0..MAX_POLICY_NAMES as u8).map(line).collect();
    assert!(Policy::parse([&file, "quorum g0\n"].concat().as_bytes()).is_ok());
    let more = [&file, &line(MAX_POLICY_NAMES as u8)[..], "quorum g0\n"].concat();
    assert_eq!(Policy::parse(more.as_bytes()).unwrap_err().fault, PolicyFault::TooMany);
}
