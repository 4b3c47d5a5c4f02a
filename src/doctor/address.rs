//! The addresses and ports of a server: whether it can have them, and whether clients can reach them.

use super::finding::Finding;
use crate::{config::Settings, serve::Media};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};
use tacet_native::{
    http::{self, Request},
    link::Origin,
    tls::Trust,
};

/// Ports, and the addresses that clients are given. `is_running` if a server uses the data folder.
pub(super) fn findings(settings: &Settings, is_running: bool) -> Vec<Finding> {
    let page = SocketAddr::new(settings.listen, settings.port);
    let (page_finding, is_running) = page_port(page, TcpListener::bind(page).map(drop), is_running);
    let media = (0..settings.workers).filter(|_| settings.media_port != 0).map(|worker| {
        let port = u16::try_from(worker).ok().and_then(|worker| settings.media_port.checked_add(worker));
        let address = SocketAddr::new(settings.bind, port.unwrap_or(u16::MAX));
        media_port(address, UdpSocket::bind(address).map(drop), is_running)
    });
    let mut findings = vec![page_finding];
    findings.extend(in_one(media.collect()));
    findings.push(advertised(settings));
    findings
}

/// The port of page and signaling, and whether a call server listens there already.
fn page_port(address: SocketAddr, bound: io::Result<()>, is_running: bool) -> (Finding, bool) {
    let subject = format!("TCP {address}");
    match bound {
        Ok(()) => (Finding::ok(subject, "free"), false),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && (is_running || is_a_server(address)) => {
            (Finding::ok(subject, "in use by the server that runs"), true)
        }
        Err(error) => (refused(subject, &error, "--port, or --listen"), false),
    }
}

/// Whether a call server answers there, by plain HTTP.
fn is_a_server(address: SocketAddr) -> bool {
    let mut reached = address;
    if address.ip().is_unspecified() {
        reached.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let Ok(origin) = format!("http://{reached}").parse::<Origin>() else { return false };
    let request = Request { method: "GET", path: "/healthz", bearer: None, body: "" };
    matches!(http::request(&origin, Trust::PublicAuthorities, &request), Ok((200, body)) if body == "ok\n")
}

/// The port of a media worker.
fn media_port(address: SocketAddr, bound: io::Result<()>, is_running: bool) -> Finding {
    let subject = format!("UDP {address}");
    match bound {
        Ok(()) => Finding::ok(subject, "free"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            Finding::ok(subject, "in use by the server that runs")
        }
        Err(error) => refused(subject, &error, "--media-port, or --bind"),
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
    fn port_of_another_program_is_a_problem() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let silent = std::thread::spawn(move || drop(taken.accept().unwrap()));
        let (finding, is_running) = page_port(address, Err(io::ErrorKind::AddrInUse.into()), false);
        assert!(finding.is_problem() && !is_running, "{finding:?}");
        silent.join().unwrap();
        let port = media_port(address, Err(io::ErrorKind::AddrInUse.into()), false);
        assert!(port.is_problem() && port.remedy.is_some_and(|remedy| remedy.contains("--media-port")));
        assert_eq!(media_port(address, Err(io::ErrorKind::AddrInUse.into()), true).grade, Grade::Ok);
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
