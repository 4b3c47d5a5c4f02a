//! The operator's contact for vulnerability reports, in the format of RFC 9116.

use std::fmt;

/// Contact and expiry of `security.txt`. `Display` writes the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityContact {
    contact: String,
    expires: String,
}

/// Why a contact is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContact {
    /// RFC 9116 section 2.5.3 wants a URI.
    #[error("the security contact is not a URI that begins with https:, mailto: or tel:")]
    Contact,
    /// RFC 9116 section 2.5.5 wants a time as in RFC 3339.
    #[error("the expiry of the security contact is not a UTC time such as 2027-12-31T00:00:00Z")]
    Expires,
}

impl SecurityContact {
    /// Takes the URI at which the operator is reached, and the UTC time after which it is stale.
    ///
    /// # Errors
    /// See [`InvalidContact`].
    pub fn new(contact: &str, expires: &str) -> Result<Self, InvalidContact> {
        let uri = ["https://", "mailto:", "tel:"].iter().any(|scheme| {
            contact
                .strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()))
        });
        if !uri {
            return Err(InvalidContact::Contact);
        }
        if !is_utc_time(expires) {
            return Err(InvalidContact::Expires);
        }
        Ok(Self { contact: contact.to_owned(), expires: expires.to_owned() })
    }
}

/// Whether a text has the form `YYYY-MM-DDThh:mm:ssZ`, with every number in its range.
fn is_utc_time(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        let text = text.get(range)?;
        text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok())?
    };
    let within = |range, low, high| digits(range).is_some_and(|number| (low..=high).contains(&number));
    let punctuation = text.char_indices().filter(|(_, c)| !c.is_ascii_digit());
    punctuation.eq([(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':'), (19, 'Z')])
        && text.len() == 20
        && within(0..4, 2_000, 9_999)
        && within(5..7, 1, 12)
        && within(8..10, 1, 31)
        && within(11..13, 0, 23)
        && within(14..16, 0, 59)
        && within(17..19, 0, 60)
}

impl fmt::Display for SecurityContact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Contact: {}", self.contact)?;
        writeln!(f, "Expires: {}", self.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_contact_writes_the_fields_of_rfc_9116() {
        let contact = SecurityContact::new("mailto:security@example.org", "2027-12-31T00:00:00Z");
        let text = contact.map(|contact| contact.to_string());
        assert_eq!(text.as_deref(), Ok("Contact: mailto:security@example.org\nExpires: 2027-12-31T00:00:00Z\n"));
    }

    #[test]
    fn security_contact_is_a_uri_on_one_line() {
        for wrong in
            ["security@example.org", "mailto:", "http://example.org", "mailto:a@b\nPolicy: x", "https://a b", ""]
        {
            assert_eq!(SecurityContact::new(wrong, "2027-12-31T00:00:00Z"), Err(InvalidContact::Contact), "{wrong:?}");
        }
    }

    #[test]
    fn security_expiry_is_a_utc_time() {
        let date = |expires| SecurityContact::new("https://example.org/security", expires);
        assert!(date("2027-02-28T23:59:59Z").is_ok());
        for wrong in ["", "2027-12-31", "2027-13-01T00:00:00Z", "2027-12-31T24:00:00Z", "2027-12-31T00:00:00+01:00"] {
            assert_eq!(date(wrong), Err(InvalidContact::Expires), "{wrong:?}");
        }
    }
}
