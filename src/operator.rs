//! Which server an operator speaks to, and by what key.

use crate::pin::pin;
use anyhow::bail;
use clap::Args;
use serde_json::Value;
use tacet_native::{
    http::{self, Request},
    link::{LinkError, Origin},
    tls::Trust,
};

/// A server on this machine.
const DEFAULT: &str = "http://127.0.0.1:8800";

/// A server, and the key of its operator.
#[derive(Args, Debug)]
pub(crate) struct Operator {
    /// Address of the server [default: http://127.0.0.1:8800]
    #[arg(long, value_name = "URL", value_parser = origin)]
    server: Option<Origin>,
    /// SHA-256 of the server's self-signed certificate, as the server prints it at startup
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// The server's API key
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

/// The address of a server, with or without a slash behind it.
pub(crate) fn origin(text: &str) -> Result<Origin, LinkError> {
    text.strip_suffix('/').unwrap_or(text).parse()
}

impl Operator {
    /// The same with the server of a link, unless another one is named.
    ///
    /// # Errors
    /// As [`server`](Self::server), or the link is of another server than the one that is named.
    pub(crate) fn server_of(mut self, link: &Origin) -> anyhow::Result<Self> {
        if let Some(named) = self.server.as_ref().filter(|named| named.serialized() != link.serialized()) {
            bail!("the link is of {link}, and --server says {named}");
        }
        self.server = Some(link.clone());
        Ok(self)
    }

    /// Where the server is, and how its certificate is verified.
    ///
    /// # Errors
    /// The address is malformed, or is pinned without TLS.
    pub(crate) fn server(&self) -> anyhow::Result<(Origin, Trust)> {
        let origin = match &self.server {
            Some(origin) => origin.clone(),
            None => DEFAULT.parse()?,
        };
        if !origin.is_secure() && self.pin.is_some() {
            bail!("--pin is for https:// servers, not {origin}");
        }
        Ok((origin, self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned)))
    }
}

/// Sends a request to the API; returns the JSON of the answer, `null` if that has none.
///
/// # Errors
/// The request fails, or the server refuses.
pub(crate) fn ask(operator: &Operator, method: &'static str, path: &str, body: &str) -> anyhow::Result<Value> {
    let (origin, trust) = operator.server()?;
    let request = Request { method, path, bearer: operator.api_key.as_deref(), body };
    let (status, answer) = http::request(&origin, trust, &request)?;
    let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    bail!("{origin} refused (HTTP status {status}): {}", answer["error"].as_str().unwrap_or("no reason given"))
}
