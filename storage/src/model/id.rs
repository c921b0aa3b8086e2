//! By which names are tenants, traces and spans told apart?

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest tenant name; it becomes a folder name, and common file systems allow 255 bytes.
const TENANT_MAX_LEN: usize = 64;

/// The unit of isolation: every batch, block, WAL record and query has one.
///
/// Grammar: `[a-zA-Z0-9_-]{1,64}`, so that it is safe as a folder name and in a URL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// The text is not a tenant name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is named by 1 to {TENANT_MAX_LEN} of the characters a-z, A-Z, 0-9, `_` and `-`")]
pub struct InvalidTenant;

impl TenantId {
    /// Reads a tenant name.
    pub fn new(name: &str) -> Result<Self, InvalidTenant> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > TENANT_MAX_LEN || !name.bytes().all(allowed) {
            return Err(InvalidTenant);
        }
        Ok(TenantId(name.into()))
    }

    /// Whose the dead letters of Kafka are.
    pub fn dead_letters() -> Self {
        TenantId("dead-letters".into())
    }

    /// Whether only Spanlight writes to it.
    pub fn is_own(&self) -> bool {
        *self == TenantId::dead_letters()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        TenantId("default".into())
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenant;

    fn from_str(name: &str) -> Result<Self, InvalidTenant> {
        TenantId::new(name)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

/// The text is not an id of the expected length in hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hex digits, not all zero")]
pub struct InvalidId {
    expected: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Takes the bytes of an id; `None` for another length or all zeros, which OpenTelemetry calls invalid.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                let bytes: [u8; $len] = bytes.try_into().ok()?;
                (bytes != [0; $len]).then_some($name(bytes))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Reads hex digits of either case.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = InvalidId { expected: 2 * $len };
                let digits = text.as_bytes();
                if digits.len() != 2 * $len {
                    return Err(invalid);
                }
                let mut bytes = [0; $len];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    for &digit in pair {
                        let value = char::from(digit).to_digit(16).ok_or(invalid)?;
                        *byte = (*byte << 4) | u8::try_from(value).map_err(|_| invalid)?;
                    }
                }
                Self::from_slice(&bytes).ok_or(invalid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id! {
    /// A trace's id: 16 bytes, not all zero.
    TraceId, 16
}
id! {
    /// A span's id: 8 bytes, not all zero.
    SpanId, 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_names_are_safe_as_folder_names() {
        for good in ["default", "a", "Team-7_x", &"x".repeat(64)] {
            assert_eq!(TenantId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "..", "../x", "a/b", "a\\b", "a b", "a\0", "é", "%2e", &"x".repeat(65)] {
            assert_eq!(TenantId::new(bad), Err(InvalidTenant), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_read_in_either_case_and_written_in_lower_case() {
        let id: SpanId = "00F067aa0BA902b7".parse().unwrap();
        assert_eq!(id.to_string(), "00f067aa0ba902b7");
        for bad in ["", "0000000000000000", "00f067aa0ba902b", "00f067aa0ba902b7a", "00f067aa0ba902bg", "éééééééé"]
        {
            assert!(bad.parse::<SpanId>().is_err(), "{bad:?}");
        }
    }
}
