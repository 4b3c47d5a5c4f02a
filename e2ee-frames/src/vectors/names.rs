//! Section on names: what is shown for what people chose.

use super::json::{Json, text};
use crate::names::{Name, harmless, skeleton};
use alloc::{vec, vec::Vec};

/// What people chose.
const CHOSEN: [&str; 20] = [
    "Ada",
    "  Ada \t\n  Lovelace ",
    "",
    " \u{200b}\u{2800}\u{3164}\u{301}",
    "A\u{200b}da\u{200d}\u{feff}",
    "exe.png\u{202e}(rotaredom)",
    "\u{2066}Ada\u{2069}\u{61c}",
    "Be\u{301}la",
    "\u{301}Ada",
    "A\u{34f}\u{301}",
    "Ada\u{e0041}\u{fe0f}",
    "Ada\u{e000}\u{fffe}",
    "\u{1100}\u{1161}\u{11a8}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{410}\u{434}\u{430}",
    "\u{ff21}\u{ff44}\u{ff41}",
    "Zalgo\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}",
    "Tom Il0",
    "a very long name, of which more than sixty characters are cut off here, and here",
    "\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\
     \u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\
     \u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\
     \u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}\u{5b57}",
];

/// People who come one after the other; the first is the own name.
const ARRIVALS: [&[&str]; 4] = [
    &["Ada", "Ada", "Bob", "\u{410}da", "ada"],
    &["Ada 2", "Ada", "Ada"],
    &["Ada", "Ada", "Ada 2"],
    &["Bob", "", "\u{200b}", "Bo\u{1d41b}"],
];

pub(super) fn names() -> Json {
    let cleaned = CHOSEN.iter().map(|chosen| {
        let shown = harmless(chosen);
        Json::Object(vec![("chosen", text(chosen)), ("shown", text(&shown)), ("skeleton", text(&skeleton(&shown)))])
    });
    let numbered = ARRIVALS.iter().map(|chosen| {
        let mut names: Vec<Name> = Vec::new();
        for chosen in *chosen {
            let name = Name::among(harmless(chosen), &names.iter().collect::<Vec<_>>());
            names.push(name);
        }
        Json::Object(vec![
            ("chosen", Json::List(chosen.iter().map(|name| text(name)).collect())),
            ("shown", Json::List(names.iter().map(|name| text(name.shown())).collect())),
        ])
    });
    Json::Object(vec![("cleaned", Json::List(cleaned.collect())), ("numbered", Json::List(numbered.collect()))])
}
