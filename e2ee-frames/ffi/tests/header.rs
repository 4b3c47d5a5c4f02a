//! The C header is generated from the exports.
//!
//! `UPDATE=1 cargo test -p e2ee-frames-ffi --test header` writes the file; without it the test fails when the file is
//! stale.

#![allow(clippy::expect_used)]

use std::{fs, path::PathBuf};

fn header() -> String {
    let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).expect("the configuration of the header");
    let bindings = cbindgen::Builder::new().with_crate(crate_dir).with_config(config).generate();
    let mut bytes = Vec::new();
    bindings.expect("the sources parse").write(&mut bytes);
    String::from_utf8(bytes).expect("the sources are UTF-8")
}

#[test]
fn c_header_is_current() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("include/e2ee_frames.h");
    let wanted = header();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &wanted).expect("write the header");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run `make header`", path.display());
}
