//! Makes sure that the folder of the built web client exists, which may be empty, and that its changes are noticed.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_SERVE").is_some() {
        let dist = Path::new("clients/web/dist");
        if let Err(error) = fs::create_dir_all(dist) {
            println!("cargo::warning=cannot make {}: {error}", dist.display());
        }
        println!("cargo::rerun-if-changed={}", dist.display());
    }
}
