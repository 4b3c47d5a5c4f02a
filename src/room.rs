//! `tacet room`: creates a room on a running server. The secret is drawn on this machine and not sent.

use crate::pin::pin;
use anyhow::{Context, bail};
use clap::Args;
use qrcode::render::unicode::Dense1x2;
use std::io::Write;
use tacet_native::{link::Origin, rooms, tls::Trust};

/// Create a room on a running server and print its link
///
/// The link's secret is drawn on this machine. The server receives the hash of a token that is derived from it.
#[derive(Args, Debug)]
pub(crate) struct Room {
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8800")]
    server: String,
    /// SHA-256 of the server's self-signed certificate, as the server prints it at startup
    #[arg(long, value_name = "HEX", value_parser = pin)]
    pin: Option<[u8; 32]>,
    /// The server's key for creating rooms, if it requires one
    #[arg(long, value_name = "KEY", env = "TACET_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Also show the link as a QR code, for a phone
    #[arg(long)]
    qr: bool,
}

impl Room {
    /// Creates the room.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let origin: Origin = self.server.trim_end_matches('/').parse()?;
        if !origin.is_secure() && self.pin.is_some() {
            bail!("--pin is for https:// servers, not {origin}");
        }
        let trust = self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned);
        let link = rooms::make(&origin, trust, self.api_key.as_deref())
            .with_context(|| format!("cannot create a room on {origin}"))?;
        let mut out = std::io::stdout();
        writeln!(out, "{link}")?;
        if self.qr {
            let code = qrcode::QrCode::new(link.to_string()).context("cannot encode the link as a QR code")?;
            // Most terminals are dark: invert the colours.
            let (light, dark) = (Dense1x2::Dark, Dense1x2::Light);
            writeln!(out, "\n{}", code.render().light_color(light).dark_color(dark).build())?;
        }
        Ok(())
    }
}
