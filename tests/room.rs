//! `tacet room`, `tacet rooms` and `tacet end` against a server.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use std::process::Output;
use support::{Server, tacet};

fn room(arguments: &[&str]) -> Output {
    tacet(&["room"]).args(arguments).output().unwrap()
}

#[test]
fn room_is_created_over_https_with_pinned_certificate() {
    let (server, pin) = Server::start_self_signed(&[]);
    let origin = server.link.split("/r/").next().unwrap();
    let made = room(&["--server", origin, "--pin", &pin]);
    let link = String::from_utf8(made.stdout).unwrap();
    assert!(made.status.success() && link.starts_with(&format!("{origin}/r/")), "{link}");
    assert_ne!(link.trim_end(), server.link);

    // Neither another certificate nor one without a known certificate authority is accepted.
    for trust in [&["--pin", &"0".repeat(64)][..], &[]] {
        let refused = room(&[&["--server", origin], trust].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(String::from_utf8(refused.stderr).unwrap().contains("certificate"));
    }
}

#[test]
fn operator_lists_and_ends_rooms() {
    const KEY: &str = "correct horse battery";
    let server = Server::start(&["--api-key", KEY]);
    let origin = server.link.split("/r/").next().unwrap();
    let operator = |command: &str, arguments: &[&str]| {
        let output = tacet(&[command, "--server", origin, "--api-key", KEY]).args(arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text)
    };
    let (code, link) = operator("room", &[]);
    assert_eq!(code, Some(0), "{link}");
    let listed = || {
        let (code, text) = operator("rooms", &["--json"]);
        assert_eq!(code, Some(0), "{text}");
        let rooms: Vec<Value> = serde_json::from_str(&text).unwrap();
        rooms.iter().map(|room| room["room"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let id = |link: &str| link.trim_end().split("/r/").nth(1).unwrap().split('#').next().unwrap().to_owned();
    let mut both = vec![id(&server.link), id(&link)];
    both.sort();
    let mut found = listed();
    found.sort();
    assert_eq!(found, both);
    let (_, table) = operator("rooms", &[]);
    assert!(table.lines().count() == 2 && table.contains("0 in it"), "{table}");

    let elsewhere = link.trim_end().replace("127.0.0.1", "localhost");
    let (code, text) = operator("end", &[&elsewhere]);
    assert!(code == Some(1) && text.contains("the link is of"), "{text}");
    assert_eq!(operator("end", &[link.trim_end()]).0, Some(0));
    assert_eq!(listed(), [id(&server.link)]);
    let (code, text) = operator("end", &[&format!("r/{}", id(&link))]);
    assert!(code == Some(1) && text.contains("no such room"), "{text}");

    let output = tacet(&["rooms", "--server", origin]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("API key"), "{text}");
}
