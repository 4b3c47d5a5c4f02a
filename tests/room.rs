//! `tacet room` against an HTTPS server.

#![cfg(feature = "serve")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, Output};
use support::Server;

fn room(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tacet")).arg("room").args(arguments).output().unwrap()
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
