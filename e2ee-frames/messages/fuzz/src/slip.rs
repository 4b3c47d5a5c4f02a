//! Slips that a hostile contact seals: whatever they hold, nothing panics, sessions are bounded, and the device goes on.

use crate::scene::{NOW, SCENE, counting, messenger};
use e2ee_messages::OpenError;
use std::time::Duration;
use tacet_fuzz::Script;

/// Slips as they look: a head, an opening, a header. Edits make the rest.
fn genuine() -> [Vec<u8>; 3] {
    let head = |form: u8, number: u32| [&[1, form], &number.to_be_bytes()[..]].concat();
    let sealed = vec![7; 56 + 105 + 16];
    let prekey = |kind: usize| SCENE.prekeys[kind - 1][2..6].to_vec();
    let opening = [&[9; 32][..], &prekey(1), &[0; 4], &[4], &prekey(4), &[3; 1_088]].concat();
    [
        [head(2, 1), sealed.clone()].concat(),
        [head(1, 2), opening.clone(), sealed.clone()].concat(),
        [head(1, 1), opening, sealed].concat(),
    ]
}

/// The target: edits of slips, or bytes as they are, in outers of Ada's device.
pub fn run(data: &[u8]) {
    let (ada, mut ben) = (messenger(1, &SCENE.ada), messenger(2, &SCENE.ben));
    let (genuine, mut random) = (genuine(), counting(data.len() as u64));
    let genuine = genuine.each_ref().map(Vec::as_slice);
    let mut script = Script(data);
    for round in 0..8 {
        let slip = if round == 0 { data.to_vec() } else { script.edit(&genuine) };
        let now = NOW + Duration::from_secs(round * 30);
        // What is too long for an outer does not open.
        let outer = ada.seal_any_slip(ben.device(), &slip, NOW, &mut random).unwrap();
        match ben.open(&outer, &SCENE.messages[0].blob, now) {
            Ok(_) => panic!("a slip that no session sealed"),
            Err(OpenError::Unopenable | OpenError::Duplicate | OpenError::Desync { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(ben.resets_due(now).len() <= 1);
        if script.0.is_empty() {
            break;
        }
    }
    for delivery in &SCENE.messages {
        assert_eq!(ben.open(&delivery.outer, &delivery.blob, NOW).expect("a genuine message").id, delivery.id);
    }
}
