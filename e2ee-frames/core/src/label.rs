//! Domain separation: the prefix that says which protocol and purpose a hash, key or signature belongs to.
//!
//! A label is the domain, a space and the purpose, for example `e2ee-frames/1 announce`. Bump the number in the domain
//! when the meaning of any field changes. No label that signs may be a prefix of another one, or bytes signed for one
//! purpose could be read as signed for the other; [`Label::overlap`] is for the tests that hold all of them.

use core::fmt;

/// Maximum length of a label, bytes.
pub const MAX_LABEL_BYTES: usize = 47;

/// The name and version of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain(&'static str);

impl Domain {
    /// A domain such as `"e2ee-frames/1"`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The label of the domain itself, without a purpose: a salt for keys whose info names their purpose.
    ///
    /// # Panics
    /// If the name is longer than [`MAX_LABEL_BYTES`]; at compile time if the label is a constant.
    #[must_use]
    pub const fn root(self) -> Label {
        Label::EMPTY.append(self.0)
    }

    /// The label of one purpose: name, space, purpose.
    ///
    /// # Panics
    /// If the label is longer than [`MAX_LABEL_BYTES`]; at compile time if it is a constant.
    #[must_use]
    pub const fn label(self, purpose: &str) -> Label {
        self.root().append(" ").append(purpose)
    }
}

/// What every hash, salt and signed message of one purpose starts with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Label {
    bytes: [u8; MAX_LABEL_BYTES],
    length: u8,
}

impl Label {
    const EMPTY: Self = Self { bytes: [0; MAX_LABEL_BYTES], length: 0 };

    #[allow(clippy::indexing_slicing, reason = "labels are constants: too long a one does not compile")]
    const fn append(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut index = 0;
        while index < text.len() {
            self.bytes[self.length as usize] = text[index];
            self.length += 1;
            index += 1;
        }
        self
    }

    /// The bytes of the label, without terminator or padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }

    /// Whether `other` starts with this label, so that the two do not separate their purposes.
    #[must_use]
    pub fn is_prefix_of(&self, other: &Label) -> bool {
        other.as_bytes().starts_with(self.as_bytes())
    }

    /// Two of these labels that do not separate their purposes, if there are any: the first one is a prefix of the other.
    #[must_use]
    pub fn overlap(labels: &[Self]) -> Option<[&Self; 2]> {
        labels.iter().enumerate().find_map(|(at, label)| {
            let mut others = labels.iter().enumerate().filter(|(other, _)| *other != at);
            others.find(|(_, other)| label.is_prefix_of(other)).map(|(_, other)| [label, other])
        })
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label({})", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: Domain = Domain::new("example/1");

    #[test]
    fn label_is_domain_space_purpose() {
        assert_eq!(DOMAIN.label("sealed key").as_bytes(), b"example/1 sealed key");
        assert_eq!(DOMAIN.root().as_bytes(), b"example/1");
        assert_eq!(alloc::format!("{:?}", DOMAIN.label("key")), "Label(example/1 key)");
    }

    #[test]
    fn label_prefix_detected() {
        assert!(DOMAIN.label("key").is_prefix_of(&DOMAIN.label("key 2")));
        assert!(!DOMAIN.label("key 2").is_prefix_of(&DOMAIN.label("key")));
        assert!(!DOMAIN.label("ctx").is_prefix_of(&DOMAIN.label("key")));
    }

    #[test]
    fn overlap_names_both_labels() {
        let [key, key_2, ctx] = ["key", "key 2", "ctx"].map(|purpose| DOMAIN.label(purpose));
        assert_eq!(Label::overlap(&[key_2, ctx, key]), Some([&key, &key_2]));
        assert_eq!(Label::overlap(&[key, key]), Some([&key, &key]));
        assert_eq!(Label::overlap(&[key_2, ctx]), None);
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn label_too_long_panics() {
        let _ = DOMAIN.label("a purpose of more than thirty-seven bytes");
    }
}
