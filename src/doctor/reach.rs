//! The server as people reach it: name, HTTPS and WebSocket, through whatever is in front of it.

use super::finding::Finding;
use std::{net::ToSocketAddrs, time::Duration};
use tacet_native::{
    http::{self, HttpError, Request},
    link::{Origin, RoomLink},
    signaling::{Incoming, Received, Signaling},
    tls::Trust,
};
use tacet_proto::{RoomId, ServerMessage, bytes::Fixed};
use tokio::time::timeout;

/// Maximum time for the first message of a connection, the way to it included.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a client meets on its way in. What comes after something that does not work is left out.
pub(super) fn findings(origin: &Origin, trust: Trust) -> Vec<Finding> {
    let mut findings = vec![name(origin)];
    for check in [page, web_socket] {
        if findings.iter().all(|finding| !finding.is_problem()) {
            findings.push(check(origin, trust));
        }
    }
    findings
}

fn name(origin: &Origin) -> Finding {
    let (subject, host) = ("name", origin.host());
    match (host, origin.port()).to_socket_addrs() {
        Ok(addresses) => {
            let listed: Vec<_> = addresses.map(|address| address.ip().to_string()).collect();
            Finding::ok(subject, format!("{host} is {}", listed.join(", ")))
        }
        Err(error) => {
            let remedy = "an A or AAAA record with the public address of the server";
            Finding::problem(subject, format!("{host} has no address: {error}"), remedy)
        }
    }
}

fn page(origin: &Origin, trust: Trust) -> Finding {
    let subject = if origin.is_secure() { "HTTPS" } else { "HTTP" };
    let request = Request { method: "GET", path: "/healthz", bearer: None, body: "" };
    match http::request(origin, trust, &request) {
        Ok((200, body)) if body == "ok\n" => Finding::ok(subject, format!("{origin} answers")),
        Ok((421, _)) => Finding::problem(
            subject,
            format!("the server does not know itself by the name {}", origin.host()),
            "--public-url, or --allow-host, on the server",
        ),
        Ok((502..=504, _)) => Finding::problem(
            subject,
            "a proxy answers, and does not reach the server",
            "the address in the proxy's configuration must be that of --listen and --port, and the server must run",
        ),
        Ok((status, _)) => Finding::problem(
            subject,
            format!("another program answers, with HTTP status {status}"),
            "the proxy has to pass all paths of this name on",
        ),
        Err(error) => unreachable(subject, origin, &error),
    }
}

fn unreachable(subject: &str, origin: &Origin, error: &HttpError) -> Finding {
    let text = error.to_string();
    let remedy = if text.contains("certificate") {
        "a certificate of a public authority for this name with its whole chain, or --pin for a self-signed one"
            .to_owned()
    } else {
        format!("a server or proxy that answers on TCP {}, and a firewall that lets it through", origin.port())
    };
    Finding::problem(subject, text, remedy)
}

/// Opens a connection of the protocol, which begins with a message of the server.
fn web_socket(origin: &Origin, trust: Trust) -> Finding {
    let subject = "WebSocket";
    let remedy = "the proxy has to pass on Upgrade and Connection (docs/operating.md has examples)";
    // No room is entered, so neither its name nor its secret matters.
    let link = RoomLink::new(origin.is_secure(), origin.authority(), RoomId(Fixed([0; 16])), [0; 32]);
    let first = async {
        let mut signaling = Signaling::connect(&link, trust).await.map_err(|error| error.to_string())?;
        match signaling.next().await {
            Ok(Some(Incoming::Received {
                received: Received::Message { message: ServerMessage::Challenge(_), .. },
                ..
            })) => {
                signaling.close().await;
                Ok(())
            }
            Ok(Some(Incoming::Received { .. })) => Err("the first message is not that of a call server".to_owned()),
            Ok(Some(Incoming::Closed { code, reason })) => Err(format!("closed with {code} {reason}")),
            Ok(None) => Err("closed".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    };
    // Pings and silence are no answer.
    let first = async { timeout(PATIENCE, first).await.unwrap_or_else(|_| Err("no answer".to_owned())) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(|error| error.to_string()).and_then(|runtime| runtime.block_on(first)) {
        Ok(()) => Finding::ok(subject, "signaling answers"),
        Err(error) => Finding::problem(subject, error, remedy),
    }
}
