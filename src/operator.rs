//! Which server an operator speaks to, and by what key.

use crate::pin::pin;
use anyhow::bail;
use clap::Args;
use tacet_native::{link::Origin, tls::Trust};

/// A server, and the key of its operator.
#[derive(Args, Debug)]
pub(crate) struct Operator {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8800")]
    server: String,
    /// SHA-256 of the server's self-signed certificate, as the server prints it at startup
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// The server's API key
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

impl Operator {
    /// Where the server is, and how its certificate is verified.
    ///
    /// # Errors
    /// The address is malformed, or is pinned without TLS.
    pub(crate) fn server(&self) -> anyhow::Result<(Origin, Trust)> {
        let origin: Origin = self.server.trim_end_matches('/').parse()?;
        if !origin.is_secure() && self.pin.is_some() {
            bail!("--pin is for https:// servers, not {origin}");
        }
        Ok((origin, self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned)))
    }
}
