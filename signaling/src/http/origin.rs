//! Which web pages may use this server (RFC 6454): its own and those that the operator lists. A request without an origin
//! is no browser's and is allowed.

/// Whether a request with this `Origin` header, made to one of these hosts, is allowed.
pub(super) fn is_allowed<'a>(
    origin: Option<&str>,
    hosts: &[String],
    mut listed: impl Iterator<Item = &'a str>,
) -> bool {
    let Some(origin) = origin else { return true };
    if listed.any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
        return true;
    }
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    web && hosts.iter().any(|host| !host.is_empty() && host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_listed_and_absent_origins_are_allowed() {
        let allowed = |origin, host: Option<&str>| {
            let hosts: Vec<String> = host.into_iter().map(str::to_owned).collect();
            is_allowed(origin, &hosts, ["https://app.example.org/"].into_iter())
        };
        assert!(allowed(None, Some("call.example.org")));
        assert!(allowed(Some("https://call.example.org"), Some("call.example.org")));
        assert!(allowed(Some("http://127.0.0.1:8800"), Some("127.0.0.1:8800")));
        assert!(allowed(Some("https://app.example.org"), Some("call.example.org")));
        for evil in ["https://evil.example", "null", "", "https://call.example.org.evil.example", "file://", "https://"]
        {
            assert!(!allowed(Some(evil), Some("call.example.org")), "{evil}");
        }
        assert!(!allowed(Some("http://127.0.0.1:9"), Some("127.0.0.1:8800")), "another port is another origin");
        assert!(!allowed(Some("https://call.example.org"), None));
        assert!(!allowed(Some("https://"), Some("")));
    }
}
