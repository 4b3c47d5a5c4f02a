//! `tacet doctor`: looks for what keeps a server from working, and says what to do about it.

mod address;
mod certificate;
mod finding;
mod machine;
mod reach;
mod storage;

use crate::{config::Flags, log, operator::origin, pin::pin};
use anyhow::bail;
use clap::Args;
use finding::Finding;
use signaling::PublicUrl;
use std::{io::Write, time::SystemTime};
use tacet_native::{link::Origin, tls::Trust};

/// Look for what keeps a server from working, and say what to do about it
///
/// Takes the flags, variables and configuration file of `tacet serve`, and looks at what that would need: ports, addresses,
/// certificate, data folder, limits of the system. It may run beside the server. If there is a public URL, it is also tried as
/// people reach it.
///
/// With --server nothing of this machine is looked at: it tries a server from elsewhere.
///
/// The exit status is 1 if there is a problem. Nothing is changed.
#[derive(Args, Debug)]
#[command(
    next_line_help = true,
    after_help = "\
EXAMPLES:
  tacet doctor --config /etc/tacet.toml              before the first start, or when something is wrong
  tacet doctor --server https://call.example.org     from another machine"
)]
pub(crate) struct Doctor {
    /// Try this server, as people reach it, in place of this machine
    #[arg(long, value_name = "URL", value_parser = origin)]
    server: Option<Origin>,
    /// SHA-256 of the self-signed certificate of that server
    #[arg(long, value_name = "HEX", value_parser = pin, requires = "server")]
    pin: Option<[u8; 32]>,
    /// Print JSON: a list of findings with grade (ok, unknown, warning, problem), subject, text and remedy
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

impl Doctor {
    /// Prints what it finds.
    ///
    /// # Errors
    /// There is a problem.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.pin.is_some() && self.server.as_ref().is_some_and(|origin| !origin.is_secure()) {
            bail!("--pin is for https:// servers");
        }
        let findings = match &self.server {
            Some(origin) => reach::findings(origin, self.pin.map_or(Trust::PublicAuthorities, Trust::Pinned)),
            None => of_this_machine(self.flags),
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&findings)?)?;
        } else {
            finding::write_table(&mut out, &findings)?;
        }
        out.flush()?;
        match findings.iter().filter(|finding| finding.is_problem()).count() {
            0 => Ok(()),
            1 => bail!("there is a problem"),
            problems => bail!("there are {problems} problems"),
        }
    }
}

fn of_this_machine(flags: Flags) -> Vec<Finding> {
    let settings = match flags.settings() {
        Ok(settings) => settings,
        // Without settings nothing else can be judged.
        Err(error) => {
            return vec![Finding::problem(
                "settings",
                crate::one_line(&error),
                "docs/tacet.toml documents every setting",
            )];
        }
    };
    let mut findings = vec![match log::filter("", &settings.log) {
        Ok(_) => Finding::ok("settings", "valid"),
        Err(error) => {
            Finding::problem("settings", crate::one_line(&error), "--log with levels, such as info,sfu=debug")
        }
    }];
    findings.extend(machine::findings(settings.signaling.sockets));
    let (folder, is_running) = storage::finding(settings.data.clone());
    findings.push(folder);
    findings.extend(address::findings(&settings, is_running));
    findings.push(certificate::finding(&settings, SystemTime::now()));
    let public = settings.signaling.public_url.as_ref().map(PublicUrl::origin);
    if let Some(origin) = public.and_then(|origin| origin.parse::<Origin>().ok()) {
        findings.extend(reach::findings(&origin, Trust::PublicAuthorities));
    }
    findings
}
