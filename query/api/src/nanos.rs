//! How is a 64-bit integer written so that every JSON reader keeps all its digits? As a decimal string.
//!
//! Reads a string or a number, as OTLP/JSON demands of 64-bit integers. For `#[serde(with = "nanos")]`.

use serde::{Deserializer, Serializer, de};
use std::fmt;
use std::marker::PhantomData;

/// An integer that travels as a decimal string.
pub trait Wide: Copy + fmt::Display + std::str::FromStr + TryFrom<i64> + TryFrom<u64> {}
impl Wide for i64 {}
impl Wide for u64 {}

/// Writes the integer as a decimal string.
pub fn serialize<T: Wide, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a decimal string or a number.
pub fn deserialize<'de, T: Wide, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(WideVisitor(PhantomData))
}

struct WideVisitor<T>(PhantomData<T>);

impl<T: Wide> de::Visitor<'_> for WideVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit integer, as a decimal string or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }
}

/// The same for a list: an array of decimal strings, as OTLP/JSON writes `fixed64` arrays.
pub mod list {
    use super::Wide;
    use serde::de::{SeqAccess, Visitor};
    use serde::ser::SerializeSeq;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::fmt;
    use std::marker::PhantomData;

    struct Item<T>(T);

    impl<'de, T: Wide> Deserialize<'de> for Item<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            super::deserialize(deserializer).map(Item)
        }
    }

    /// Writes each integer as a decimal string.
    pub fn serialize<T: Wide, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(values.len()))?;
        for value in values {
            seq.serialize_element(&value.to_string())?;
        }
        seq.end()
    }

    /// Reads an array of decimal strings or numbers.
    pub fn deserialize<'de, T: Wide, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Wide> Visitor<'de> for ListVisitor<T> {
            type Value = Vec<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of 64-bit integers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(Item(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}
