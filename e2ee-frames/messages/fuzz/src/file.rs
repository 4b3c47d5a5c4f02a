//! Files: what opens completely is the file that was sealed.

use crate::scene::counting;
use e2ee_messages::{FileKey, FileSealer};
use std::sync::LazyLock;
use tacet_fuzz::Script;

struct Scene {
    file: Vec<u8>,
    key: Vec<u8>,
    chunks: Vec<Vec<u8>>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let file: Vec<u8> = (0..70_000u32).map(|index| (index / 9) as u8).collect();
    let mut sealer = FileSealer::new(file.len() as u64, &mut counting(3)).unwrap();
    let (mut rest, mut chunks) = (&file[..], Vec::new());
    while let Some(wanted) = sealer.wanted() {
        let (clear, behind) = rest.split_at(wanted);
        chunks.push(sealer.seal(clear).unwrap());
        rest = behind;
    }
    let key = sealer.finish().unwrap().to_bytes().to_vec();
    Scene { file, key, chunks }
});

/// The target: edits of a file's key, and its chunks in any order or altered.
pub fn run(data: &[u8]) {
    let scene = &*SCENE;
    let mut script = Script(data);
    for bytes in [data.to_vec(), script.edit(&[&scene.key])] {
        let Ok(key) = FileKey::from_bytes(&bytes) else { continue };
        assert_eq!(key.to_bytes()[..], bytes);
        let (mut opener, mut file) = (key.opener(), Vec::new());
        let mut order = script;
        let complete = loop {
            if opener.wanted().is_none() {
                break opener.finish().is_ok();
            }
            // Zero: the chunk that comes next.
            let pick = order.byte().unwrap_or(0);
            let index = if pick == 0 { file.len() / 65_536 } else { usize::from(pick) };
            let mut chunk = scene.chunks[index % scene.chunks.len()].clone();
            if let Some(flip) = order.word().filter(|_| pick > 127) {
                let at = usize::from(flip) % chunk.len();
                chunk[at] ^= 1;
            }
            match opener.open(&chunk) {
                Ok(clear) => file.extend_from_slice(&clear),
                Err(_) => break false,
            }
        };
        assert!(!complete || file == scene.file, "another file");
    }
}
