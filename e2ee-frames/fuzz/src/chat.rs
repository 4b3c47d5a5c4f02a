//! Chat messages: whatever arrives, only Ada's own messages are shown, unaltered, under her name, each once.

use crate::stage::{ADA, START, Stage, TEXTS, at, drain};
use e2ee_frames::{Action, ChatContent, Event};
use tacet_fuzz::Script;

/// The target: whether Bob has the key before, and edits of genuine messages; then the key, and the genuine ones.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let mut stage = Stage::new();
    let genuine = stage.messages();
    stage.introduce_ada();
    if script.byte().unwrap_or_default().is_multiple_of(2) {
        stage.bob.handle(at(START), Event::Keys(&stage.keys)).expect("a genuine key");
    }
    let mut shown = Vec::new();
    let messages: Vec<_> = genuine.iter().map(Vec::as_slice).collect();
    while !script.0.is_empty() {
        let body = script.edit(&messages);
        // May be accepted or refused; what is shown is checked below in both cases.
        let _ = stage.bob.handle(at(START), Event::Chat(&body));
        shown.extend(drain(&mut stage.bob));
    }
    stage.bob.handle(at(START), Event::Keys(&stage.keys)).expect("a genuine key");
    for message in &messages {
        stage.bob.handle(at(START), Event::Chat(message)).expect("a genuine message");
    }
    shown.extend(drain(&mut stage.bob));
    let mut texts: Vec<String> = Vec::new();
    for action in shown {
        if let Action::ChatReceived { participant, content, .. } = action {
            let ChatContent::Text(text) = content else { panic!("Ada wrote texts") };
            assert_eq!(participant, ADA);
            assert!(TEXTS.contains(&text.as_str()) && !texts.contains(&text), "{text}");
            texts.push(text);
        }
    }
    assert_eq!(texts.len(), TEXTS.len(), "both arrive, whatever else does");
}
