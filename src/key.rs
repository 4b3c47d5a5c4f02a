//! `tacet key`: keys for programs that use the HTTP API of a server.

use crate::operator::{Operator, ask};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{
    io::Write,
    time::{Duration, SystemTime},
};

/// Create, list or revoke keys for programs that use the HTTP API of a running server
///
/// A key has scopes: rooms:read, rooms:write, tokens, webhooks, stats, keys. The operator's own key (TACET_API_KEY) has all of them.
#[derive(Args, Debug)]
pub(crate) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Create a key and print it, this once
#[derive(Args, Debug)]
struct Create {
    /// What to call it in lists
    name: String,
    /// What it allows. May be repeated
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', required = true)]
    scope: Vec<signaling::api::Scope>,
    /// Days after which it ends; otherwise it ends when it is revoked
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    #[command(flatten)]
    operator: Operator,
}

/// List all keys, without their secrets
///
/// One line for each: id, name, scopes, when it ends, and when it was last used, to the hour.
#[derive(Args, Debug)]
struct List {
    /// Print JSON: a list of id, name, scopes, created, expires, used (seconds since 1970)
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

/// Revoke a key
#[derive(Args, Debug)]
struct Revoke {
    /// Its id, as `tacet key list` shows it
    id: signaling::api::KeyId,
    #[command(flatten)]
    operator: Operator,
}

impl Key {
    /// Does what the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Create(create) => create.run(),
            Command::List(list) => list.run(),
            Command::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(self) -> anyhow::Result<()> {
        let scopes: Vec<_> = self.scope.iter().map(|scope| scope.name()).collect();
        let mut body = json!({ "name": self.name, "scopes": scopes });
        if let Some(days) = self.days {
            body["days"] = days.into();
        }
        let created = ask(&self.operator, "POST", "/v1/keys", &body.to_string()).context("cannot create a key")?;
        let Some(key) = created["key"].as_str() else { bail!("unexpected response: this is not a tacet server") };
        writeln!(std::io::stdout(), "{key}")?;
        Ok(())
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let answer = ask(&self.operator, "GET", "/v1/keys", "").context("cannot list the keys")?;
        let keys = answer["keys"].as_array().context("unexpected response: this is not a tacet server")?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", Value::from(keys.clone()))?;
            return Ok(());
        }
        let now = since_1970().as_secs();
        for key in keys {
            let text = |field: &str| crate::terminal::printable(key[field].as_str().unwrap_or_default());
            let scopes: Vec<_> = key["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let ends = match key["expires"].as_u64() {
                None => "no end".to_owned(),
                Some(end) if end <= now => "ended".to_owned(),
                Some(end) => format!("{} days left", (end - now).div_ceil(86_400)),
            };
            let used = match key["used"].as_u64() {
                None => "never used".to_owned(),
                Some(used) => format!("used {} h ago", now.saturating_sub(used) / 3_600),
            };
            writeln!(out, "{}  {}  {}  {ends}  {used}", text("id"), text("name"), scopes.join(","))?;
        }
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> anyhow::Result<()> {
        ask(&self.operator, "DELETE", &format!("/v1/keys/{}", self.id), "").context("cannot revoke the key")?;
        Ok(())
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
