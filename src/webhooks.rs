//! `tacet webhooks`: who is informed of what happens in the rooms of a server, and what did not arrive.

use crate::{
    operator::{Operator, ask},
    terminal::printable,
};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signaling::webhooks::EndpointId;
use std::io::Write;

/// Add, list or remove webhooks of a running server, and send again what they did not receive
///
/// A webhook is informed of calls that begin and end, and of participants that join and leave: room.started, room.ended,
/// participant.joined, participant.left.
#[derive(Args, Debug)]
pub(crate) struct Webhooks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
    Failed(Failed),
    Resend(Resend),
}

/// Add a webhook and print its secret, this once
#[derive(Args, Debug)]
struct Add {
    /// Where messages go: an https URL that leads to a public address
    url: String,
    /// What it is informed of. May be repeated [default: everything]
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    event: Vec<String>,
    #[command(flatten)]
    operator: Operator,
}

/// List all webhooks
///
/// One line for each: id, URL, and how many messages wait, have failed, and were lost.
#[derive(Args, Debug)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: Operator,
}

/// Remove a webhook
#[derive(Args, Debug)]
struct Remove {
    /// Its id, as `tacet webhooks list` shows it
    id: EndpointId,
    #[command(flatten)]
    operator: Operator,
}

/// List what a webhook did not receive, as JSON
#[derive(Args, Debug)]
struct Failed {
    /// Its id
    id: EndpointId,
    #[command(flatten)]
    operator: Operator,
}

/// Send again what a webhook did not receive
#[derive(Args, Debug)]
struct Resend {
    /// Its id
    id: EndpointId,
    #[command(flatten)]
    operator: Operator,
}

impl Webhooks {
    /// Does what the command says.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.command {
            Command::Add(Add { url, event, operator }) => {
                let mut body = json!({ "url": url });
                if !event.is_empty() {
                    body["events"] = event.into();
                }
                let added =
                    ask(&operator, "POST", "/v1/webhooks", &body.to_string()).context("cannot add the webhook")?;
                writeln!(out, "{}", printable(added["secret"].as_str().unwrap_or_default()))?;
            }
            Command::List(List { json, operator }) => {
                let answer = ask(&operator, "GET", "/v1/webhooks", "").context("cannot list the webhooks")?;
                if json {
                    writeln!(out, "{answer}")?;
                    return Ok(());
                }
                for webhook in answer["webhooks"].as_array().into_iter().flatten() {
                    let text = |field: &str| printable(webhook[field].as_str().unwrap_or_default());
                    let number = |field: &str| webhook[field].as_u64().unwrap_or_default();
                    let [waiting, failed, lost] = ["waiting", "failed", "lost"].map(number);
                    writeln!(out, "{}  {}  {waiting} waiting  {failed} failed  {lost} lost", text("id"), text("url"))?;
                }
            }
            Command::Remove(Remove { id, operator }) => {
                ask(&operator, "DELETE", &format!("/v1/webhooks/{id}"), "").context("cannot remove the webhook")?;
            }
            Command::Failed(Failed { id, operator }) => {
                let failed = ask(&operator, "GET", &format!("/v1/webhooks/{id}/failed"), "")
                    .context("cannot list what the webhook did not receive")?;
                writeln!(out, "{}", failed.get("failed").cloned().unwrap_or(Value::Array(Vec::new())))?;
            }
            Command::Resend(Resend { id, operator }) => {
                let sent =
                    ask(&operator, "POST", &format!("/v1/webhooks/{id}/resend"), "").context("cannot send again")?;
                writeln!(out, "{} sent again", sent["messages"].as_u64().unwrap_or_default())?;
            }
        }
        Ok(())
    }
}
