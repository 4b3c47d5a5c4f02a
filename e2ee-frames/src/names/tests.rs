//! Properties of shown names, and other implementations as oracles.

use super::{MAX_BYTES, MAX_GRAPHEMES, NAMELESS, Name, generate::must_be_hidden, harmless, normal, skeleton, tables};
use alloc::{format, string::String, vec, vec::Vec};
use proptest::prelude::*;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_segmentation::UnicodeSegmentation;

fn nfc(text: &str) -> String {
    normal::compose(normal::decompose(text.chars())).into_iter().collect()
}

fn nfd(text: &str) -> String {
    normal::decompose(text.chars()).into_iter().collect()
}

#[test]
fn characters_normalize_as_unicode_says() {
    let decomposes = |c: &char| {
        let mut parts = 0;
        unicode_normalization::char::decompose_canonical(*c, |part| parts += if part == *c { 0 } else { 1 });
        parts > 0
    };
    let all = (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(decomposes);
    let (syllables, others): (Vec<char>, Vec<char>) = all.partition(|c| ('\u{ac00}'..='\u{d7a3}').contains(c));
    assert_eq!(tables::decompositions().map(|one| one.whole).collect::<Vec<_>>(), others);
    for c in others.into_iter().chain(syllables.into_iter().step_by(13)) {
        let text = String::from(c);
        assert_eq!(nfd(&text), text.nfd().collect::<String>(), "{c:?}");
        assert_eq!(nfc(&text), text.nfc().collect::<String>(), "{c:?}");
    }
}

#[test]
fn names_lose_what_hides_or_reorders() {
    for (name, shown) in [
        ("Ada", "Ada"),
        ("  Ada \t\n  Lovelace ", "Ada Lovelace"),
        ("", NAMELESS),
        (" \u{200b}\u{2800}\u{3164}\u{301}", NAMELESS),
        ("A\u{200b}da\u{200d}\u{feff}", "Ada"),
        ("exe.png\u{202e}(rotaredom)", "exe.png(rotaredom)"),
        ("\u{2066}Ada\u{2069}\u{61c}", "Ada"),
        ("Be\u{301}la", "Béla"),
        ("\u{301}Ada", "Ada"),
        ("A\u{34f}\u{301}", "Á"),
        ("Ada\u{e0041}\u{fe0f}", "Ada"),
        ("Ada\u{e000}\u{fffe}", "Ada"),
        ("\u{1100}\u{1161}\u{11a8}", "각"),
        ("שלום", "שלום"),
        ("Ａｄａ", "Ａｄａ"),
        ("👩\u{200d}🚀", "👩🚀"),
    ] {
        assert_eq!(harmless(name), shown, "{name:?}");
    }
}

#[test]
fn names_are_cut_between_characters() {
    assert_eq!(harmless(&"a".repeat(200)), "a".repeat(60));
    assert_eq!(harmless(&"e\u{301}".repeat(200)), "é".repeat(60));
    assert_eq!(harmless(&"字".repeat(85)), "字".repeat(60));
    // Four marks stay on a letter; 256 bytes are the other limit.
    assert_eq!(harmless(&format!("a{}", "\u{20dd}".repeat(40))), format!("a{}", "\u{20dd}".repeat(4)));
    let long = harmless(&format!("a{}", "\u{20dd}".repeat(4)).repeat(30));
    assert!(long.len() <= MAX_BYTES && long.len() > MAX_BYTES - 13, "{}", long.len());
}

#[test]
fn skeletons_are_equal_for_names_that_look_alike() {
    for (one, other) in [
        ("Ada", "Аda"), // Cyrillic A
        ("Ada", "Αda"), // Greek A
        ("Ada", "ada"),
        ("Ada", "Ａｄａ"), // full width
        ("Ada", "𝐀𝐝𝐚"),
        ("Bill", "BiII"),
        ("Bill", "Bi1|"),
        ("Tom", "Torn"),
        ("Bob", "B0b"),
        ("pope", "роре"), // all Cyrillic
        ("Béla", "Be\u{301}la"),
    ] {
        assert_eq!(skeleton(&harmless(one)), skeleton(&harmless(other)), "{one} {other}");
    }
    for (one, other) in [("Ada", "Ida"), ("Ada", "Adä"), ("Ada", "Ada B"), ("Jo", "Joe"), ("李", "木")] {
        assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
    }
}

fn among(name: &str, others: &[Name]) -> Name {
    Name::among(harmless(name), &others.iter().collect::<Vec<_>>())
}

/// What is shown for people who come in this order.
fn shown(chosen: &[&str]) -> Vec<String> {
    let mut names: Vec<Name> = Vec::new();
    for name in chosen {
        names.push(among(name, &names));
    }
    names.iter().map(|name| String::from(name.shown())).collect()
}

#[test]
fn twins_are_numbered() {
    assert_eq!(shown(&["Ada", "Ada", "Bob", "Аda", "ada"]), ["Ada", "Ada 2", "Bob", "Аda 3", "ada 4"]);
    // One calls itself what a twin would be called.
    assert_eq!(shown(&["Ada 2", "Ada", "Ada"]), ["Ada 2", "Ada", "Ada 3"]);
    assert_eq!(shown(&["Ada", "Ada", "Ada 2"]), ["Ada", "Ada 2", "Ada 2 2"]);
    assert_eq!(shown(&["", "\u{200b}"]), ["Guest", "Guest 2"]);
    let long = "x".repeat(100);
    assert_eq!(shown(&[&long, &long]), ["x".repeat(60), format!("{} 2", "x".repeat(58))]);
}

#[test]
fn number_of_someone_who_left_is_not_given_while_a_later_one_is_in_use() {
    let mut names = vec![Name::own("Ada")];
    for _ in 0..2 {
        names.push(among("Ada", &names));
    }
    names.remove(1);
    assert_eq!(among("Ada", &names).shown(), "Ada 4");
}

/// Any text, and text of the kinds that a hostile person writes.
fn text() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        'a',
        'A',
        'e',
        '1',
        'l',
        ' ',
        '\u{301}',
        '\u{327}',
        '\u{345}',
        '\u{200b}',
        '\u{200d}',
        '\u{202e}',
        '\u{2066}',
        '\u{feff}',
        '\u{34f}',
        '\u{fe0f}',
        '\u{3164}',
        '\u{1100}',
        '\u{1161}',
        '\u{11a8}',
        '\u{ac00}',
        '\u{9c7}',
        '\u{9be}',
        '\u{1f1e6}',
        '\u{1f468}',
        '\u{1f3fb}',
        '\u{1d15e}',
        '\u{fb1d}',
        '\u{2f800}',
        '\u{e0001}',
        '\u{0}',
        '\n',
        '\u{2028}',
        '\u{ad}',
    ]);
    let character = prop_oneof![3 => nasty, 1 => any::<char>(), 1 => proptest::char::range('\u{300}', '\u{370}')];
    prop::collection::vec(character, 0..90).prop_map(|chars| chars.into_iter().collect())
}

fn check(name: &str) -> Result<(), TestCaseError> {
    prop_assert!(!name.is_empty() && name.len() <= MAX_BYTES);
    prop_assert!(name.graphemes(true).count() <= MAX_GRAPHEMES);
    prop_assert!(is_nfc(name));
    prop_assert!(!name.chars().any(must_be_hidden));
    prop_assert_eq!(name, name.split_whitespace().collect::<Vec<_>>().join(" "));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn normal_forms_are_those_of_unicode(text in text()) {
        prop_assert_eq!(nfd(&text), text.nfd().collect::<String>());
        prop_assert_eq!(nfc(&text), text.nfc().collect::<String>());
    }

    #[test]
    fn harmless_names_are_bounded_and_stable(text in text()) {
        let name = harmless(&text);
        check(&name)?;
        prop_assert_eq!(harmless(&name), name);
    }

    #[test]
    fn shown_names_look_different(chosen in prop::collection::vec(prop_oneof![text(), "[aAаl1I]{1,2}( 2)?"], 1..12)) {
        let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
        let shown = shown(&chosen);
        let mut skeletons: Vec<String> = shown.iter().map(|name| skeleton(name)).collect();
        shown.iter().try_for_each(|name| check(name))?;
        skeletons.sort();
        skeletons.dedup();
        prop_assert_eq!(skeletons.len(), shown.len(), "{:?}", shown);
    }
}
