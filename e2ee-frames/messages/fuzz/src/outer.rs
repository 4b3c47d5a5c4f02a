//! Outers and blobs in any order: what is shown is what Ada sent, and each message once.

use crate::scene::{NOW, SCENE, messenger};
use e2ee_messages::{Messenger, OpenError};
use std::collections::BTreeSet;
use tacet_fuzz::Script;

/// The target: edits of outers and blobs, or bytes as they are, delivered to Ben's device.
pub fn run(data: &[u8]) {
    let mut ben = messenger(2, &SCENE.ben);
    let mut shown = BTreeSet::new();
    let mut deliver = |ben: &mut Messenger, outer: &[u8], blob: &[u8]| match ben.open(outer, blob, NOW) {
        Ok(received) => {
            let sent = SCENE.messages.iter().find(|delivery| delivery.id == received.id).expect("no one sent that");
            assert!(sent.outer == outer && sent.blob == blob && &received.body[..] == b"hello");
            assert!(shown.insert(received.id), "a message is shown twice");
        }
        // The slips are genuine, if they are in an outer that opens.
        Err(error) => assert!(!matches!(error, OpenError::Desync { .. }), "{error}"),
    };
    let outers: Vec<_> = SCENE.messages.iter().map(|delivery| delivery.outer.as_slice()).collect();
    let blobs: Vec<_> = SCENE.messages.iter().map(|delivery| delivery.blob.as_slice()).collect();
    let mut script = Script(data);
    deliver(&mut ben, data, blobs[0]);
    for _ in 0..8 {
        let outer = script.edit(&outers);
        deliver(&mut ben, &outer, &script.edit(&blobs));
        if script.0.is_empty() {
            break;
        }
    }
    // Nothing of that has spoilt what is genuine.
    SCENE.messages.iter().for_each(|delivery| deliver(&mut ben, &delivery.outer, &delivery.blob));
    assert_eq!(shown.len(), SCENE.messages.len());
}
