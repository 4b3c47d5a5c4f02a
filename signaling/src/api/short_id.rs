//! Ids of records of the API: 8 random bytes, in hexadecimal digits. No secrets.

/// Defines an id: what it names, for people.
macro_rules! short_id {
    ($name:ident, $error:ident, $what:literal) => {
        #[doc = concat!("Names ", $what, ". No secret.")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 8]);

        impl $name {
            pub(crate) fn random() -> Result<Self, getrandom::Error> {
                crate::random::random().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        #[doc = concat!("A text does not name ", $what, ": 16 hexadecimal digits.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("the id of {} is 16 hexadecimal digits", $what)]
        pub struct $error;

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| $error)?;
                bytes.try_into().map(Self).map_err(|_| $error)
            }
        }
    };
}

pub(crate) use short_id;
