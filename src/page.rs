//! The embedded call page, or a page that explains how to build it.

use rust_embed::RustEmbed;
use signaling::PageFile;
use std::borrow::Cow;

/// The built web client. Debug builds read it from the source tree, release builds embed it.
#[derive(RustEmbed)]
#[folder = "clients/web/dist"]
struct Dist;

const MISSING: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>tacet</title>\
    <h1>The call page is not in this build</h1>\
    <p>The server runs, and native clients can use it. To get the page, build the web client first:</p>\
    <pre>make web\ncargo build</pre>";

/// The file at a path of the page.
pub(crate) fn file(path: &str) -> Option<PageFile> {
    match Dist::get(path) {
        Some(file) => Some(PageFile { mime: Cow::Borrowed(mime(path)), bytes: file.data }),
        None if path == "index.html" => {
            Some(PageFile { mime: Cow::Borrowed(mime(path)), bytes: Cow::Borrowed(MISSING.as_bytes()) })
        }
        None => None,
    }
}

/// The paths of the page's files, sorted, without their compressed forms.
pub(crate) fn paths() -> Vec<String> {
    let mut paths: Vec<_> = Dist::iter().map(Cow::into_owned).filter(|path| !is_compressed(path)).collect();
    paths.sort();
    paths
}

fn is_compressed(path: &str) -> bool {
    path.ends_with(".br") || path.ends_with(".gz")
}

/// Media type by file extension: those that a web build contains.
fn mime(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_page_exists_and_paths_are_confined() {
        assert!(file("index.html").is_some_and(|file| file.mime == "text/html; charset=utf-8"));
        for outside in ["../Cargo.toml", "/etc/passwd", "assets/../../package.json", ""] {
            assert!(file(outside).is_none(), "{outside}");
        }
    }
}
