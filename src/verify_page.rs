//! `tacet verify-page`: whether a server sends the call page of this program.

use crate::{operator::origin, page, pin::pin};
use anyhow::{Context, bail};
use aws_lc_rs::digest::{SHA256, digest};
use clap::Args;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use std::io::Write;
use tacet_native::{
    http::{self, Request},
    link::Origin,
    tls::Trust,
};

/// Check that a server sends the call page of this program
///
/// Browsers run the code that a server sends them. This fetches each file of the page and compares it with the one in this
/// program, which you may have built from source. It says what this machine was sent just now: a dishonest server could send
/// other people another page, and tell this request from a browser's.
///
/// Without a URL it prints the SHA-256 of each file, as sha256sum does.
#[derive(Args, Debug)]
pub(crate) struct VerifyPage {
    /// Address of the server
    #[arg(value_name = "URL", value_parser = origin)]
    server: Option<Origin>,
    /// SHA-256 of the server's self-signed certificate, as the server prints it at startup
    #[arg(long, value_name = "HEX", value_parser = pin, requires = "server")]
    pin: Option<[u8; 32]>,
}

impl VerifyPage {
    /// Compares, and prints what differs.
    ///
    /// # Errors
    /// A file differs or cannot be fetched, or there is no page in this program.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let paths = page::paths();
        if paths.is_empty() {
            bail!("this program was built without the call page");
        }
        let trust = self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned);
        let mut out = std::io::stdout().lock();
        let mut differ = 0;
        for path in &paths {
            let own = page::file(path).map(|file| file.bytes).unwrap_or_default();
            let Some(origin) = &self.server else {
                writeln!(out, "{}  {path}", hash(&own))?;
                continue;
            };
            for address in addresses(path)? {
                let sent = fetch(origin, trust, &address)?;
                if sent == *own {
                    writeln!(out, "same    {address}")?;
                } else {
                    differ += 1;
                    writeln!(out, "DIFFERS {address}: {} in place of {}", hash(&sent), hash(&own))?;
                }
            }
        }
        out.flush()?;
        if differ > 0 {
            bail!("{differ} of them differ: the server has another version of the page, or a changed one");
        }
        Ok(())
    }
}

/// Where a server has a file. The page itself is at the root, and at the path of each room, of which no one has this one.
fn addresses(path: &str) -> anyhow::Result<Vec<String>> {
    if path != "index.html" {
        return Ok(vec![format!("/{path}")]);
    }
    let mut room = [0; 16];
    getrandom::fill(&mut room).context("the system's random number generator failed")?;
    Ok(vec!["/".to_owned(), format!("/r/{}", BASE64URL_NOPAD.encode(&room))])
}

fn fetch(origin: &Origin, trust: Trust, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = Request { method: "GET", path, bearer: None, body: "" };
    let (status, body) =
        http::fetch(origin, trust, &request).with_context(|| format!("cannot fetch {path} from {origin}"))?;
    // A file that is missing differs.
    Ok(if status == 200 { body.into() } else { Vec::new() })
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}
