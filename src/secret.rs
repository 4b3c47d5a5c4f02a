//! Removes the secrets of room links from output.

/// Replaces the part after `#` of every link in a text.
pub(crate) fn without_secrets(text: &str) -> String {
    let secret = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut pieces = text.split('#');
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(secret);
        clean.push('#');
        // Too short to be a useful part of a secret.
        clean.push_str(if piece.len() - rest.len() > 8 {
            "…"
        } else {
            piece.get(..piece.len() - rest.len()).unwrap_or("")
        });
        clean.push_str(rest);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_secrets_are_removed() {
        let secret = "A".repeat(43);
        let text = format!("unexpected argument 'http://h/r/x#{secret}' found, #1 of #{secret}");
        assert_eq!(without_secrets(&text), "unexpected argument 'http://h/r/x#…' found, #1 of #…");
        assert_eq!(without_secrets("no link"), "no link");
    }
}
