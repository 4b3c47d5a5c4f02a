//! Stored rows: damaged ones are refused or restored, and a device with any of them goes on without a panic.

use crate::scene::{CHECKPOINT, NOW, SCENE, counting, messenger};
use e2ee_identity::AccountId;
use e2ee_messages::{Message, MessageId, StateKey};
use tacet_fuzz::Script;

/// The target: edits of Ben's rows, or bytes as they are.
pub fn run(data: &[u8]) {
    let mut random = counting(data.len() as u64);
    let mut ben = messenger(2, &[]);
    let mut script = Script(data);
    for (row, bytes) in &SCENE.ben {
        let bytes = if script.byte().is_some_and(|byte| byte == 0xff) { data.to_vec() } else { script.edit(&[bytes]) };
        assert!(StateKey::from_bytes(&[1; 32]).open(*row, &bytes).is_err(), "not sealed");
        let _ = ben.restore(*row, &bytes);
    }
    for delivery in &SCENE.messages {
        let _ = ben.open(&delivery.outer, &delivery.blob, NOW);
    }
    let message = Message { id: MessageId([9; 16]), body: b"answer", checkpoint: &CHECKPOINT, durable: true };
    let _ = ben.seal(&AccountId([1; 16]), &message, &[], NOW, &mut random);
    let ada = (ben.resets_due(NOW), ben.resends_due());
    assert!(ada.0.len() <= 1 && ada.1.len() <= 1);
    // What is written is read again.
    for (row, bytes) in ben.take_changes() {
        if let Some(bytes) = bytes {
            messenger(2, &[]).restore(row, &bytes).expect("a row that was just written");
        }
    }
}
