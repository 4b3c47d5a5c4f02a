//! Bundles: what is accepted consists of prekeys that the device has signed, each as what it is.

use crate::scene::{NOW, SCENE, keys};
use e2ee_messages::Bundle;
use tacet_fuzz::Script;

/// The target: edits of bundles, or bytes as they are.
pub fn run(data: &[u8]) {
    let bundle = |kinds: &[usize]| kinds.iter().flat_map(|kind| SCENE.prekeys[kind - 1].clone()).collect::<Vec<u8>>();
    let genuine = [&[1, 2, 3, 5][..], &[1, 2, 4, 5], &[1, 3, 5], &[1, 4, 5]].map(bundle);
    let edited = Script(data).edit(&genuine.each_ref().map(Vec::as_slice));
    for bytes in [data, &edited] {
        for day in [0, NOW.day(), NOW.day() + 30, u32::MAX] {
            if Bundle::parse(bytes, &keys(2).public(), day).is_ok() {
                assert!(genuine.iter().any(|bundle| bundle == bytes) && day == NOW.day(), "a forged bundle");
            }
        }
    }
}
