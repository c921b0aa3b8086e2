//! Where is a query wrong? The server's words name line and column; here they become a place in the text.
//!
//! Columns count characters from 1.

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, without the place.
    pub message: String,
    /// Line and column, where the server told them.
    pub place: Option<(usize, usize)>,
}

/// Reads `… line 2, column 6: expected …` (TraceQL) and `…: 1:55: parse error: …` (PromQL); other words are kept whole.
pub fn read(message: &str) -> Fault {
    let found = in_words(message).or_else(|| in_numbers(message));
    match found {
        Some((place, rest)) => {
            let rest = rest.trim_start_matches([':', ' ']);
            let rest = rest.strip_prefix("parse error: ").unwrap_or(rest);
            Fault { message: rest.to_owned(), place: Some(place) }
        }
        None => Fault { message: message.to_owned(), place: None },
    }
}

fn in_words(message: &str) -> Option<((usize, usize), &str)> {
    let (_, rest) = message.split_once("line ")?;
    let (line, rest) = number(rest)?;
    let (column, rest) = number(rest.strip_prefix(", column ")?)?;
    Some(((line, column), rest))
}

fn in_numbers(message: &str) -> Option<((usize, usize), &str)> {
    let mut rest = message;
    loop {
        let at = rest.find(|c: char| c.is_ascii_digit())?;
        let (line, after) = number(&rest[at..])?;
        let place = after.strip_prefix(':').and_then(number);
        match place {
            Some((column, after)) if after.starts_with(':') => return Some(((line, column), after)),
            _ => rest = after,
        }
    }
}

fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// The byte of a place in a text; the end where the place is beyond it.
pub fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let mut at = 0;
    for (index, content) in text.split('\n').enumerate() {
        if index + 1 == line {
            let within = content.char_indices().nth(column.saturating_sub(1)).map_or(content.len(), |(byte, _)| byte);
            return at + within;
        }
        at += content.len() + 1;
    }
    text.len()
}

/// The byte of a place that the browser tells: it counts units of UTF-16.
pub fn from_utf16(text: &str, units: usize) -> usize {
    let mut left = units;
    for (byte, c) in text.char_indices() {
        if left < c.len_utf16() {
            return byte;
        }
        left -= c.len_utf16();
    }
    text.len()
}

/// The same the other way.
pub fn to_utf16(text: &str, byte: usize) -> u32 {
    text.get(..byte).unwrap_or(text).chars().map(|c| c.len_utf16() as u32).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_read_from_the_servers_words() {
        let cases = [
            (
                "invalid TraceQL query: parse error at line 2, column 6: expected a value",
                Some((2, 6)),
                "expected a value",
            ),
            (
                "invalid parameter \"query\": 1:55: parse error: unexpected end of input",
                Some((1, 55)),
                "unexpected end of input",
            ),
            ("invalid parameter \"query\": 1:5: expected 10:20: in", Some((1, 5)), "expected 10:20: in"),
            ("more than 50000 samples", None, "more than 50000 samples"),
            ("at 12:30 nothing was there", None, "at 12:30 nothing was there"),
            ("99999999999999999999999:1: x", None, "99999999999999999999999:1: x"),
        ];
        for (message, place, rest) in cases {
            assert_eq!(read(message), Fault { message: rest.into(), place }, "{message}");
        }
    }

    #[test]
    fn a_place_is_a_byte_between_characters() {
        assert_eq!(offset("{ ö = }\n b", (1, 4)), 4);
        assert_eq!(offset("{ ö = }\n b", (2, 2)), 10);
        assert_eq!(offset("ab", (1, 9)), 2);
        assert_eq!(offset("ab", (7, 1)), 2);
    }

    proptest! {
        #[test]
        fn places_of_the_browser_go_there_and_back(text in "\\PC{0,20}", at in 0usize..40) {
            let byte = from_utf16(&text, at);
            prop_assert!(text.is_char_boundary(byte));
            prop_assert_eq!(from_utf16(&text, to_utf16(&text, byte) as usize), byte);
        }

        #[test]
        fn any_words_are_read(text in "\\PC{0,60}") {
            let fault = read(&text);
            if let Some(place) = fault.place {
                prop_assert!(text.is_char_boundary(offset(&text, place)));
            }
        }
    }
}
