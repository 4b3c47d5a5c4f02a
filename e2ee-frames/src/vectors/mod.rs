//! The published vectors `vectors/v1.json`: everything that an independent implementation needs to compare with, secrets
//! included.
//!
//! A short call runs with fixed random bytes; the file has the output of its sessions and all inputs. `make vectors`
//! writes the file, and the test here fails when it is stale: then the protocol has changed. A new part of the protocol
//! gets a section: a function of the scene that returns its JSON.

mod frames;
mod json;
mod keys;
mod names;
mod scene;

use alloc::{string::String, vec};
use json::{Json, text};
use scene::Scene;

fn document() -> String {
    let scene = Scene::run();
    Json::Object(vec![
        ("protocol", text("e2ee-frames/1")),
        ("kids", frames::kids()),
        ("invite", keys::invite()),
        ("call", keys::call()),
        ("devices", keys::devices(&scene)),
        ("key_batches", keys::batches(&scene)),
        ("key_schedule", keys::schedule(&scene)),
        ("frames", frames::frames(&scene)),
        ("profile_n", frames::bare_frames(&scene)),
        ("chats", frames::chats(&scene)),
        ("call_codes", keys::call_codes(&scene)),
        ("names", names::names()),
    ])
    .write()
}

#[test]
fn published_vectors_match() {
    let document = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/v1.json"), document).unwrap();
        return;
    }
    assert!(include_str!("../../vectors/v1.json") == document, "the protocol has changed, or run `make vectors`");
}
