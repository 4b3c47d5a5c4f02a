//! `tacet token`: prints a token that admits to a room in a role.

use crate::{
    operator::Operator,
    room::{Named, named},
};
use anyhow::Context;
use clap::Args;
use std::{io::Write, time::Duration};
use tacet_native::rooms::{self, TokenRequest};
use tacet_proto::{Capabilities, Capability, Role};

/// Print a token that admits to a room of a running server
///
/// A client shows it in place of the link's access token: with it, one enters as a host, say, and others cannot. It opens no
/// frame, so its holder needs the link as well. Anyone who has the token can use it until it expires: hand it on as carefully as
/// a key.
#[derive(Args, Debug)]
pub(crate) struct Token {
    /// The room, as `tacet rooms` lists it, or its link
    #[arg(long, value_name = "ROOM", value_parser = named)]
    room: Named,
    /// host, moderator, speaker or listener
    #[arg(long)]
    role: Role,
    /// For how long it is good: a number with s, min, h or d; at most 30d
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = time)]
    ttl: Duration,
    /// Who the holder is, for bans: 1 to 64 visible ASCII characters
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// What the holder may do at most, such as subscribe,chat
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = capability)]
    capabilities: Option<Vec<Capability>>,
    #[command(flatten)]
    operator: Operator,
}

fn time(text: &str) -> Result<Duration, &'static str> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match text.get(digits.len()..) {
        Some("s") => 1,
        Some("min") => 60,
        Some("h") => 3_600,
        Some("d") => 86_400,
        _ => return Err("expected a number with s, min, h or d, such as 12h"),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a whole number with s, min, h or d")?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or("too long")
}

fn capability(text: &str) -> Result<Capability, String> {
    serde_json::from_value(text.into()).map_err(|_| {
        let names = Capability::ALL.iter().filter_map(|capability| serde_json::to_value(capability).ok());
        let names: Vec<_> = names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        format!("expected some of {}", names.join(", "))
    })
}

impl Token {
    /// Prints the token.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let operator = self.room.operator(self.operator)?;
        let (origin, trust) = operator.server()?;
        let request = TokenRequest {
            room: self.room.room,
            role: self.role,
            capabilities: self.capabilities.as_deref().map(Capabilities::of),
            identity: self.identity,
            lifetime: self.ttl,
        };
        let token = rooms::token(&origin, trust, operator.api_key.as_deref(), &request)
            .with_context(|| format!("cannot make a token on {origin}"))?;
        writeln!(std::io::stdout(), "{token}")?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn time_has_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("5min"), Ok(Duration::from_secs(300)));
        assert_eq!(time("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(time("30d"), Ok(Duration::from_secs(2_592_000)));
        for wrong in ["", "12", "h", "-1h", "1.5h", "1 h", "99999999999999999999d", "213503982334602d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn capability_is_named_as_on_the_wire() {
        assert_eq!(capability("publish_microphone"), Ok(Capability::PublishMicrophone));
        assert!(capability("fly").unwrap_err().contains("publish_microphone"));
    }
}
