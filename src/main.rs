//! The tacet binary: command line and subcommands.

#[cfg(feature = "call")]
mod call;
#[cfg(feature = "serve")]
mod certificate;
#[cfg(feature = "serve")]
mod config;
#[cfg(feature = "serve")]
mod data;
#[cfg(feature = "serve")]
mod descriptors;
#[cfg(feature = "serve")]
mod doctor;
#[cfg(feature = "serve")]
mod hangup;
#[cfg(feature = "serve")]
mod key;
#[cfg(feature = "serve")]
mod kick;
#[cfg(feature = "serve")]
mod link;
#[cfg(feature = "load")]
mod load;
#[cfg(any(feature = "serve", feature = "call"))]
mod log;
#[cfg(feature = "serve")]
mod metrics;
#[cfg(feature = "serve")]
mod operator;
#[cfg(feature = "serve")]
mod page;
#[cfg(any(feature = "serve", feature = "call", feature = "load"))]
mod pin;
#[cfg(feature = "load")]
mod relay;
#[cfg(feature = "serve")]
mod room;
mod secret;
#[cfg(feature = "serve")]
mod serve;
#[cfg(any(feature = "serve", feature = "call", feature = "load"))]
mod stop;
mod terminal;
#[cfg(feature = "serve")]
mod token;
#[cfg(feature = "serve")]
mod upkeep;
#[cfg(feature = "serve")]
mod verify_page;
#[cfg(feature = "serve")]
mod webhooks;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// End-to-end encrypted voice and video calls, self-hosted.
///
/// `tacet serve` starts a call server and prints a link. Anyone who opens the link in a browser joins the call. The
/// server forwards media but cannot decrypt it: frames are encrypted on the devices with keys that the server never
/// has.
#[derive(Parser, Debug)]
#[command(name = "tacet", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[cfg(feature = "serve")]
    Serve(Box<serve::Serve>),
    #[cfg(feature = "serve")]
    Room(room::Room),
    #[cfg(feature = "serve")]
    Rooms(room::Rooms),
    #[cfg(feature = "serve")]
    End(room::End),
    #[cfg(feature = "serve")]
    Key(key::Key),
    #[cfg(feature = "serve")]
    Token(token::Token),
    #[cfg(feature = "serve")]
    Webhooks(webhooks::Webhooks),
    #[cfg(feature = "serve")]
    Kick(kick::Kick),
    #[cfg(feature = "serve")]
    Doctor(Box<doctor::Doctor>),
    #[cfg(feature = "serve")]
    VerifyPage(verify_page::VerifyPage),
    #[cfg(feature = "call")]
    Call(Box<call::Call>),
    #[cfg(feature = "load")]
    Load(Box<load::Load>),
    #[cfg(feature = "load")]
    Relay(Box<relay::Relay>),
}

fn main() -> ExitCode {
    // More than one crypto provider may be linked; select the one that all TLS connections use.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match Cli::try_parse().unwrap_or_else(|error| refuse(&error)).command {
        #[cfg(feature = "serve")]
        Command::Serve(serve) => serve.run(),
        #[cfg(feature = "serve")]
        Command::Room(room) => room.run(),
        #[cfg(feature = "serve")]
        Command::Rooms(rooms) => rooms.run(),
        #[cfg(feature = "serve")]
        Command::End(end) => end.run(),
        #[cfg(feature = "serve")]
        Command::Key(key) => key.run(),
        #[cfg(feature = "serve")]
        Command::Token(token) => token.run(),
        #[cfg(feature = "serve")]
        Command::Webhooks(webhooks) => webhooks.run(),
        #[cfg(feature = "serve")]
        Command::Kick(kick) => kick.run(),
        #[cfg(feature = "serve")]
        Command::Doctor(doctor) => doctor.run(),
        #[cfg(feature = "serve")]
        Command::VerifyPage(verify) => verify.run(),
        #[cfg(feature = "call")]
        Command::Call(call) => call.run(),
        #[cfg(feature = "load")]
        Command::Load(load) => load.run(),
        #[cfg(feature = "load")]
        Command::Relay(relay) => relay.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(error) => refuse(&error),
            Err(error) => {
                let text = one_line(&error);
                let lines: Vec<_> = text.lines().map(terminal::printable).collect();
                eprintln!("error: {}", lines.join("\n"));
                exit_code(&error)
            }
        },
    }
}

/// The exit status for an error: 1, or the reason why a call ended.
#[cfg(feature = "call")]
fn exit_code(error: &anyhow::Error) -> ExitCode {
    call::exit_code(error).into()
}

/// The exit status for an error.
#[cfg(not(feature = "call"))]
fn exit_code(_: &anyhow::Error) -> ExitCode {
    ExitCode::FAILURE
}

/// An error and its causes on one line, without the causes that an outer message already contains.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

/// Prints an argument error, or the requested help, and exits. Arguments may contain links, whose secrets are removed
/// from the output.
fn refuse(error: &clap::Error) -> ! {
    let (code, text) = (error.exit_code(), error.render());
    if error.use_stderr() {
        eprint!("{}", secret::without_secrets(&text.to_string()));
    } else {
        let _ = error.print();
    }
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn error_line_does_not_repeat_causes() {
        let error = anyhow!("refused").context("cannot reach h: refused").context("cannot join");
        assert_eq!(one_line(&error), "cannot join: cannot reach h: refused");
    }
}
