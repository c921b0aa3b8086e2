//! Where does the next page begin? An opaque text that carries the place, the range and a hash of the filters.
//!
//! P1  A cursor is used with the filters it was made for, or refused: a page of another list is never answered.
//! P2  The range of the first page travels along, so that `now-1h` means the same on every page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use storage::scan::TimeRange;

/// Written first; another layout gets another number.
const VERSION: u8 = 1;
/// Longest cursor that is looked at; real ones are far shorter.
const MAX_LEN: usize = 256;

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor<const N: usize> {
    /// Of everything that decides which list it is.
    pub(crate) filter_hash: u64,
    /// Range of the first page.
    pub(crate) range: TimeRange,
    /// The sort key of the last item answered.
    pub(crate) key: i64,
    /// What tells items with one key apart.
    pub(crate) tie: [u8; N],
}

/// The text is no cursor, or that of another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Not something that we made.
    #[error("not a cursor that this server has given")]
    Malformed,
    /// Made for other filters.
    #[error("the cursor belongs to a query with other filters")]
    OtherFilters,
}

impl<const N: usize> Cursor<N> {
    /// The text.
    pub(crate) fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.filter_hash.to_le_bytes());
        bytes.extend(self.range.start.to_le_bytes());
        bytes.extend(self.range.end.to_le_bytes());
        bytes.extend(self.key.to_le_bytes());
        bytes.extend(self.tie);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text, if it belongs to these filters.
    pub(crate) fn decode(text: &str, filter_hash: u64) -> Result<Self, Refused> {
        if text.len() > MAX_LEN {
            return Err(Refused::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Malformed)?;
        let cursor = Self::parse(&bytes).ok_or(Refused::Malformed)?;
        if cursor.filter_hash != filter_hash {
            return Err(Refused::OtherFilters);
        }
        Ok(cursor)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else { return None };
        let (filter_hash, rest) = rest.split_first_chunk::<8>()?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (key, tie) = rest.split_first_chunk::<8>()?;
        let range = TimeRange { start: i64::from_le_bytes(*start), end: i64::from_le_bytes(*end) };
        if range.start >= range.end {
            return None;
        }
        Some(Cursor {
            filter_hash: u64::from_le_bytes(*filter_hash),
            range,
            key: i64::from_le_bytes(*key),
            tie: tie.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn p1_a_cursor_is_read_back_for_its_own_filters_only(
            filter_hash: u64, other: u64, start in i64::MIN..0, end in 0i64.., key: i64, tie: [u8; 16],
        ) {
            let cursor = Cursor { filter_hash, range: TimeRange { start, end }, key, tie };
            prop_assume!(start < end);
            prop_assert_eq!(Cursor::decode(&cursor.encode(), filter_hash), Ok(cursor));
            if other != filter_hash {
                prop_assert_eq!(Cursor::<16>::decode(&cursor.encode(), other), Err(Refused::OtherFilters));
            }
            prop_assert_eq!(Cursor::<8>::decode(&cursor.encode(), filter_hash), Err(Refused::Malformed));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,80}", bytes: Vec<u8>) {
            prop_assert_eq!(Cursor::<16>::decode(&text, 0).is_ok(), false);
            let well_formed = Cursor::<16>::decode(&URL_SAFE_NO_PAD.encode(&bytes), 0) != Err(Refused::Malformed);
            prop_assert!(!well_formed || bytes.len() == 1 + 4 * 8 + 16);
        }
    }
}
