//! The addresses and ports of a server: whether it can have them, and whether clients can reach them.

use super::finding::Finding;
use crate::{
    config::{MetricsAddress, Settings},
    serve::Media,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};
use tacet_native::{
    http::{self, HttpError, Request},
    link::Origin,
    tls::Trust,
};

/// Who listens on the port of page and signaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listener {
    /// No one.
    None,
    /// A call server.
    Server,
    /// Someone who speaks TLS, as a call server may.
    Unknown,
    /// Another program.
    Other,
}

/// Ports, and the addresses that clients are given. `is_running` if a server uses the data folder.
pub(super) fn findings(settings: &Settings, is_running: bool) -> Vec<Finding> {
    let page = SocketAddr::new(settings.listen, settings.port);
    let bound = TcpListener::bind(page).map(drop);
    let listener = match &bound {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => listener(page, is_running),
        _ => Listener::None,
    };
    let mut findings = vec![port(format!("TCP {page}"), bound, listener, "--port, or --listen")];
    let media = (0..settings.workers).filter(|_| settings.media_port != 0).map(|worker| {
        let number = u16::try_from(worker).ok().and_then(|worker| settings.media_port.checked_add(worker));
        let Some(number) = number else {
            let (text, remedy) = (format!("there is no port for worker {}", worker + 1), "--media-port, or --workers");
            return Finding::problem(format!("UDP {}", settings.bind), text, remedy);
        };
        let address = SocketAddr::new(settings.bind, number);
        port(format!("UDP {address}"), UdpSocket::bind(address).map(drop), listener, "--media-port, or --bind")
    });
    findings.extend(in_one(media.collect()));
    if let Some(MetricsAddress::At(address)) = settings.metrics {
        let bound = TcpListener::bind(address).map(drop);
        findings.push(port(format!("TCP {address} for metrics"), bound, listener, "--metrics"));
    }
    findings.push(advertised(settings));
    findings
}

/// A port that the server needs. It may have it already.
fn port(subject: String, bound: io::Result<()>, listener: Listener, flags: &str) -> Finding {
    match bound {
        Ok(()) => Finding::ok(subject, "free"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match listener {
            Listener::Server => Finding::ok(subject, "in use, as by the server that runs"),
            Listener::Unknown => Finding::unknown(subject, "in use, perhaps by the server that runs"),
            Listener::None | Listener::Other => refused(subject, &error, flags),
        },
        Err(error) => refused(subject, &error, flags),
    }
}

/// Who listens there.
fn listener(address: SocketAddr, is_running: bool) -> Listener {
    let mut reached = address;
    if address.ip().is_unspecified() {
        reached.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let request = Request { method: "GET", path: "/healthz", bearer: None, body: "" };
    let ask = |scheme: &str, trust| {
        let origin = format!("{scheme}://{reached}").parse::<Origin>().ok()?;
        Some(http::request(&origin, trust, &request))
    };
    match ask("http", Trust::PublicAuthorities) {
        Some(Ok((200, body))) if body == "ok\n" => return Listener::Server,
        Some(Err(HttpError::Io(error))) if error.kind() == io::ErrorKind::TimedOut => return Listener::Other,
        _ => {}
    }
    // No certificate has this hash, so that TLS ends with what it says of the certificate.
    match ask("https", Trust::Pinned([0; 32])) {
        Some(Err(error)) if error.to_string().contains("certificate") && is_running => Listener::Server,
        Some(Err(error)) if error.to_string().contains("certificate") => Listener::Unknown,
        _ => Listener::Other,
    }
}

/// Why a server cannot have an address.
fn refused(subject: String, error: &io::Error, flags: &str) -> Finding {
    let (text, remedy) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program listens there".to_owned(),
            format!("stop that program (ss -lnptu shows it), or change {flags}"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            "this machine does not have that address".to_owned(),
            "--bind 0.0.0.0, and behind NAT --advertise with the address that clients reach".to_owned(),
        ),
        io::ErrorKind::PermissionDenied => (
            "this user may not listen there".to_owned(),
            format!("AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit of the service, or change {flags}"),
        ),
        _ => (error.to_string(), format!("change {flags}")),
    };
    Finding::problem(subject, text, remedy)
}

/// Ports that are all well are one line.
fn in_one(ports: Vec<Finding>) -> Vec<Finding> {
    let (Some(first), Some(last)) = (ports.first(), ports.last()) else { return ports };
    if ports.len() == 1 || ports.iter().any(|port| port.grade != first.grade || port.text != first.text) {
        return ports;
    }
    let last = last.subject.rsplit_once(':').map_or("", |(_, port)| port);
    let subject = format!("{} to {last}", first.subject);
    vec![Finding { subject, ..first.clone() }]
}

/// The addresses that clients are given for media.
fn advertised(settings: &Settings) -> Finding {
    let subject = "address for clients";
    if settings.alone {
        return Finding::ok(subject, "clients on this machine only (--bind 0.0.0.0 for others)");
    }
    match Media::of(settings) {
        Ok(media) => reachable(media.candidates(), settings.media_port, settings.workers),
        Err(error) => {
            Finding::problem(subject, crate::one_line(&error), "--advertise with the address that clients reach")
        }
    }
}

/// Whether clients elsewhere reach one of these addresses.
fn reachable(addresses: &[IpAddr], first_port: u16, workers: usize) -> Finding {
    let subject = "address for clients";
    let listed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if addresses.iter().any(|address| !is_private(*address)) {
        return Finding::ok(subject, listed);
    }
    let last_port = usize::from(first_port) + workers.saturating_sub(1);
    Finding::warning(
        subject,
        format!("{listed}: only clients in the same private network reach it"),
        format!(
            "for others, --advertise with a public address, and UDP {first_port} to {last_port} forwarded to this machine"
        ),
    )
}

/// Addresses that are not routed on the internet (RFC 1918, RFC 3927, RFC 4193, RFC 4291, RFC 6598).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || first == 100 && (64..128).contains(&second)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::finding::Grade, *};

    #[test]
    fn port_of_another_program_is_a_problem_also_while_a_server_runs() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let closing = std::thread::spawn(move || (0..2).for_each(|_| drop(taken.accept().unwrap())));
        assert_eq!(listener(address, true), Listener::Other);
        closing.join().unwrap();
        let in_use = |listener| port("UDP".to_owned(), Err(io::ErrorKind::AddrInUse.into()), listener, "--media-port");
        assert!(in_use(Listener::Other).remedy.is_some_and(|remedy| remedy.contains("--media-port")));
        let grades = [Listener::Server, Listener::Unknown, Listener::Other].map(|listener| in_use(listener).grade);
        assert_eq!(grades, [Grade::Ok, Grade::Unknown, Grade::Problem]);
    }

    #[test]
    fn each_cause_has_its_remedy() {
        let remedy = |kind: io::ErrorKind| refused(String::new(), &kind.into(), "--port").remedy.unwrap();
        assert!(remedy(io::ErrorKind::AddrNotAvailable).contains("--advertise"));
        assert!(remedy(io::ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
        assert!(remedy(io::ErrorKind::OutOfMemory).contains("--port"));
    }

    #[test]
    fn private_addresses_alone_are_a_warning() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let private = ["10.1.2.3", "192.168.1.5", "100.64.0.9", "169.254.1.1", "fd00::1", "fe80::1", "::1"];
        let finding = reachable(&addresses(&private), 8_801, 4);
        assert_eq!(finding.grade, Grade::Warning);
        assert!(finding.remedy.unwrap().contains("8801 to 8804"));
        for public in ["203.0.113.7", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(reachable(&addresses(&["10.1.2.3", public]), 8_801, 4).grade, Grade::Ok, "{public}");
        }
    }

    #[test]
    fn ports_that_are_alike_are_one_line() {
        let port = |number: u16, text: &str| Finding::ok(format!("UDP 0.0.0.0:{number}"), text);
        let joined = in_one(vec![port(8_801, "free"), port(8_802, "free"), port(8_803, "free")]);
        assert_eq!(joined, [port(8_801, "free")].map(|port| Finding { subject: port.subject + " to 8803", ..port }));
        assert_eq!(in_one(vec![port(1, "free"), port(2, "in use")]).len(), 2);
    }
}
