//! The origins under which a client may have reached the server, one of which it signs.

/// Origins as a client writes them (RFC 6454 section 6.2): scheme and host in lower case, the port unless it is the
/// scheme's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// The one origin of a server whose operator has named it. A proof for any other is refused, so that no other server
    /// can pass on a proof that was made for it.
    #[must_use]
    pub fn named(origin: &str) -> Self {
        Self(vec![origin.trim_end_matches('/').to_ascii_lowercase()])
    }

    /// The origins of a request to one of these hosts, which may have a port.
    #[must_use]
    pub fn of_hosts<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        let of_host = |host: &str| {
            let host = host.to_ascii_lowercase();
            [("https://", ":443"), ("http://", ":80")]
                .map(|(scheme, port)| format!("{scheme}{}", host.strip_suffix(port).unwrap_or(&host)))
        };
        Self(hosts.into_iter().filter(|host| !host.is_empty()).flat_map(of_host).collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_clients_write_them() {
        let of = |host| Origins::of_hosts([host]).0;
        assert_eq!(of("Call.Example"), ["https://call.example", "http://call.example"]);
        assert_eq!(of("call.example:443"), ["https://call.example", "http://call.example:443"]);
        assert_eq!(of("[::1]:8800"), ["https://[::1]:8800", "http://[::1]:8800"]);
        assert!(of("").is_empty());
        assert_eq!(Origins::named("https://Call.Example/").0, ["https://call.example"]);
    }
}
