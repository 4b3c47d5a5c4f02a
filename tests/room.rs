//! `tacet room`, `tacet rooms`, `tacet end`, `tacet token`, `tacet key` and `tacet webhooks` against a server.

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

    let (code, token) = operator("token", &["--room", link.trim_end(), "--role", "host", "--ttl", "5min"]);
    assert!(code == Some(0) && token.lines().count() == 1 && token.split('.').count() == 3, "{token}");
    let (code, text) = operator("token", &["--room", &format!("r/{}", "A".repeat(22)), "--role", "host"]);
    assert!(code == Some(1) && text.contains("no such room"), "{text}");
    let (code, text) = operator("token", &["--room", link.trim_end(), "--role", "host", "--ttl", "31d"]);
    assert!(code == Some(1) && text.contains("at most 30 days"), "{text}");

    let (code, text) = operator("kick", &[link.trim_end()]);
    assert!(code == Some(0) && text.is_empty(), "no one is there: {text}");
    let (code, text) = operator("kick", &[link.trim_end(), "7", "--ban"]);
    assert!(code == Some(1) && text.contains("no such participant"), "{text}");

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

#[test]
fn program_has_a_key_until_the_operator_revokes_it() {
    const KEY: &str = "correct horse battery";
    let server = Server::start(&["--api-key", KEY, "--open-rooms", "false"]);
    let origin = server.link.split("/r/").next().unwrap();
    let with = |key: &str, arguments: &[&str]| {
        let output = tacet(arguments).args(["--server", origin, "--api-key", key]).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, key) = with(KEY, &["key", "create", "shop", "--scope", "rooms:read,keys", "--days", "30"]);
    assert!(code == Some(0) && key.starts_with("tacet_"), "{key}");
    let key = key.trim_end();
    assert_eq!(with(key, &["rooms"]).0, Some(0));
    let (code, text) = with(key, &["room"]);
    assert!(code == Some(1) && text.contains("lacks the scope rooms:write"), "{text}");
    let (_, list) = with(KEY, &["key", "list"]);
    assert!(list.contains("shop  rooms:read,keys  30 days left  used 0 h ago"), "{list}");
    let (_, json) = with(KEY, &["key", "list", "--json"]);
    let listed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(with(KEY, &["key", "revoke", listed[0]["id"].as_str().unwrap()]).0, Some(0));
    let (code, text) = with(key, &["rooms"]);
    assert!(code == Some(1) && text.contains("was revoked"), "{text}");
    let (code, text) = with(KEY, &["key", "create", "shop", "--scope", "everything"]);
    assert!(code == Some(2) && text.contains("rooms:read, rooms:write"), "{text}");
}

#[test]
fn operator_adds_lists_and_removes_webhooks() {
    const KEY: &str = "correct horse battery";
    let server = Server::start(&["--api-key", KEY, "--private-webhooks"]);
    let origin = server.link.split("/r/").next().unwrap();
    let webhooks = |arguments: &[&str]| {
        let output =
            tacet(&["webhooks"]).args(arguments).args(["--server", origin, "--api-key", KEY]).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, secret) = webhooks(&["add", "http://127.0.0.1:9/hook", "--event", "room.started,room.ended"]);
    assert!(code == Some(0) && secret.starts_with("whsec_"), "{secret}");
    let (_, list) = webhooks(&["list"]);
    assert!(list.contains("http://127.0.0.1:9/hook  0 waiting  0 failed  0 lost"), "{list}");
    let id = list.split(' ').next().unwrap();
    assert_eq!(webhooks(&["failed", id]), (Some(0), "[]\n".to_owned()));
    assert_eq!(webhooks(&["resend", id]), (Some(0), "0 sent again\n".to_owned()));
    assert_eq!(webhooks(&["remove", id]).0, Some(0));
    let (code, text) = webhooks(&["remove", id]);
    assert!(code == Some(1) && text.contains("no such webhook"), "{text}");
    let (code, text) = webhooks(&["add", "http://127.0.0.1:9/", "--event", "room.opened"]);
    assert!(code == Some(1) && text.contains("wrong form"), "{text}");
}
