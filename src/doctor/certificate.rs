//! The certificate that browsers will be shown.

use super::finding::Finding;
use crate::{
    certificate::{Certificate, FileCertificate},
    config::Settings,
};
use signaling::PublicUrl;
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

const SUBJECT: &str = "certificate";
/// Certificates are usually renewed before this.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// The certificate of the settings.
pub(super) fn finding(settings: &Settings, now: SystemTime) -> Finding {
    let public = settings.signaling.public_url.as_ref().map(PublicUrl::host);
    match &settings.tls {
        Some((chain, key)) => match FileCertificate::read(chain.clone(), key.clone()) {
            Ok((_, certificate)) => of_files(&certificate, public, now),
            Err(error) => Finding::problem(
                SUBJECT,
                crate::one_line(&error),
                "--tls-cert and --tls-key with PEM files that belong together",
            ),
        },
        None if settings.alone => Finding::ok(SUBJECT, "none needed: browsers trust this machine"),
        None if settings.plain_http => Finding::ok(SUBJECT, "the proxy's: HTTP without TLS is served to it"),
        None => Finding::warning(
            SUBJECT,
            "self-signed: browsers warn each person, and phones may refuse it",
            "--tls-cert and --tls-key with a certificate for the name of the server, or a proxy that has one",
        ),
    }
}

fn of_files(certificate: &Certificate, public: Option<&str>, now: SystemTime) -> Finding {
    let renew = "renew it: the server reads changed files by itself";
    if let Some(problem) = certificate.problem(now) {
        return Finding::problem(SUBJECT, format!("it {problem}"), renew);
    }
    let (names, addresses) = (certificate.names(), certificate.addresses());
    let listed: Vec<_> = names.iter().cloned().chain(addresses.iter().map(ToString::to_string)).collect();
    let listed = if listed.is_empty() { "no name at all".to_owned() } else { listed.join(", ") };
    let is_named = |host: &str| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        address.map_or_else(|_| names.iter().any(|name| covers(name, host)), |address| addresses.contains(&address))
    };
    if let Some(host) = public.filter(|host| !is_named(host)) {
        let text = format!("it is for {listed}, and people open {host}");
        return Finding::problem(SUBJECT, text, "a certificate for that name, or another --public-url");
    }
    if certificate.problem(now + SOON).is_some() {
        return Finding::warning(SUBJECT, "it expires within 14 days", renew);
    }
    Finding::ok(SUBJECT, format!("for {listed}"))
}

/// Whether a certificate's name is that of a host, or a wildcard for it (RFC 6125 section 6.4.3).
fn covers(name: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let below = name.strip_prefix("*.").zip(host.split_once('.'));
    name == host || below.is_some_and(|(domain, (_, parent))| domain == parent)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{super::finding::Grade, *};
    use std::fs;

    #[test]
    fn certificate_of_another_name_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["call.example.org", "192.0.2.1"].map(str::to_owned)).unwrap();
        let [chain, key] = ["chain", "key"].map(|name| folder.path().join(name));
        fs::write(&chain, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let (_, certificate) = FileCertificate::read(chain, key).unwrap();
        let now = SystemTime::now();
        let grade = |host, now| of_files(&certificate, host, now).grade;
        assert_eq!(grade(None, now), Grade::Ok);
        assert_eq!(grade(Some("call.example.org"), now), Grade::Ok);
        assert_eq!(grade(Some("192.0.2.1"), now), Grade::Ok);
        assert_eq!(["example.org", "192.0.2.2"].map(|host| grade(Some(host), now)), [Grade::Problem; 2]);
        assert_eq!(grade(None, SystemTime::UNIX_EPOCH), Grade::Problem, "not valid yet");
    }

    #[test]
    fn wildcards_are_for_one_label() {
        assert!(covers("*.example.org", "Call.example.org") && covers("call.example.org", "call.example.org"));
        assert!(!covers("*.example.org", "a.call.example.org") && !covers("*.example.org", "example.org"));
    }
}
