//! Which tokens has a text? The index knows a text by them, and a search asks for those that its needle must have.
//!
//! The text is folded first, letter by letter: lower case, and the forms of one letter that lower case tells apart as one
//! (`ς` as `σ`, `ſ` as `s`). Folding a part of a text gives a part of the folded text, so a needle folded the same way is
//! found wherever it is found with or without regard to case.
//!
//! Then it falls into runs:
//!
//! ```text
//! run of a-z 0-9                an id if it is 16 hex digits or more, or from 8 on with letters and digits both; too long to
//!                               be kept beyond 256 bytes; else a word
//! run of other letters (>= 80)  each pair of neighbours is a word; a letter alone is one
//! anything else                 separates
//! ```
//!
//! Pairs, because scripts that are written without spaces have no words that could be told by their ends.
//!
//! K1  Tokens depend on the folded run alone, never on what lies beyond the separators or letters at its ends.
//! K2  An id is known by pieces of eight digits, at its start and at every ninth digit after that. So a part of 16 digits holds
//!     one, wherever it lies, which is as long as the ids of spans, and an id of 16 digits has one piece only.

use std::borrow::Cow;

/// A longer word or id is not kept.
pub(super) const LONGEST: usize = 256;
/// A run of so many hex digits is an id …
const SURE_ID: usize = 16;
/// … and so is one of so many that has both letters and digits: no number, no word.
const SHORTEST_ID: usize = PIECE;
/// Digits of a piece of an id.
pub(super) const PIECE: usize = 8;
/// A piece begins every so many digits.
pub(super) const STRIDE: usize = 9;

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Word(&'a [u8]),
    Id(&'a [u8]),
    /// Something that is not kept.
    TooLong,
}

/// A run of letters or digits of a folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run<'a> {
    Ascii(&'a str),
    Other(&'a str),
}

const SEPARATOR: u8 = 0;
const ASCII: u8 = 1;
const OTHER: u8 = 2;

/// The kind of run that a byte of a folded text belongs to.
const CLASS: [u8; 256] = {
    let mut class = [OTHER; 256];
    let mut byte = 0;
    while byte < 128 {
        let ascii = byte as u8;
        class[byte] = if ascii.is_ascii_lowercase() || ascii.is_ascii_digit() { ASCII } else { SEPARATOR };
        byte += 1;
    }
    class
};

/// The text without what a search disregards.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => text.to_ascii_lowercase().into(),
            false => text.into(),
        };
    }
    text.chars().flat_map(char::to_lowercase).map(one_form).collect::<String>().into()
}

fn one_form(letter: char) -> char {
    match letter {
        'ς' => 'σ',
        'ſ' => 's',
        other => other,
    }
}

/// The runs of a folded text, and where each begins.
pub(super) fn runs(folded: &str) -> impl Iterator<Item = (usize, Run<'_>)> {
    let bytes = folded.as_bytes();
    let class = |at: usize| bytes.get(at).map(|&byte| CLASS[usize::from(byte)]);
    let mut at = 0;
    std::iter::from_fn(move || {
        while class(at)? == SEPARATOR {
            at += 1;
        }
        let (from, kind) = (at, class(at)?);
        while class(at) == Some(kind) {
            at += 1;
        }
        // Cut between ASCII and others, so between letters.
        let run = folded.get(from..at)?;
        Some((from, if kind == ASCII { Run::Ascii(run) } else { Run::Other(run) }))
    })
}

/// Hands on the tokens of a folded text.
pub(super) fn tokens<'a>(folded: &'a str, mut take: impl FnMut(Token<'a>)) {
    for (_, run) in runs(folded) {
        match run {
            Run::Ascii(run) => take(token(run)),
            Run::Other(run) => words_of_letters(run, |word| take(Token::Word(word.as_bytes()))),
        }
    }
}

/// The token of a run of ASCII letters and digits.
pub(super) fn token(run: &str) -> Token<'_> {
    let run = run.as_bytes();
    match run.len() {
        0..SHORTEST_ID => Token::Word(run),
        SHORTEST_ID..=LONGEST if is_id(run) => Token::Id(run),
        SHORTEST_ID..=LONGEST => Token::Word(run),
        _ => Token::TooLong,
    }
}

fn is_id(run: &[u8]) -> bool {
    is_hex(run)
        && (run.len() >= SURE_ID || (run.iter().any(u8::is_ascii_digit) && run.iter().any(u8::is_ascii_alphabetic)))
}

/// The pieces of an id, or of a part of one that begins where a piece does.
pub(super) fn pieces(id: &[u8]) -> impl Iterator<Item = &[u8]> {
    id.windows(PIECE).step_by(STRIDE)
}

/// Whether a run may be, or lie within, an id.
pub(super) fn is_hex(run: &[u8]) -> bool {
    run.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Each pair of neighbours, or the only letter.
pub(super) fn words_of_letters<'a>(run: &'a str, mut take: impl FnMut(&'a str)) {
    let mut starts = run.char_indices().map(|(at, _)| at).chain([run.len()]);
    let (Some(mut first), Some(mut second)) = (starts.next(), starts.next()) else { return };
    let mut alone = true;
    for third in starts {
        take(run.get(first..third).unwrap_or_default());
        (first, second) = (second, third);
        alone = false;
    }
    if alone {
        take(run.get(first..second).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let folded = fold(text);
        let mut found = Vec::new();
        tokens(&folded, |token| {
            found.push(match token {
                Token::Word(word) => String::from_utf8(word.to_vec()).unwrap(),
                Token::Id(id) => format!("#{}", std::str::from_utf8(id).unwrap()),
                Token::TooLong => "...".to_owned(),
            });
        });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn texts_fall_into_words_pairs_and_ids() {
        check("", &[]);
        check(" - ", &[]);
        check("GET /api/v1/Users_42?x=1", &["get", "api", "v1", "users", "42", "x", "1"]);
        check("größe", &["gr", "öß", "e"]);
        check("Ö", &["ö"]);
        check("東京都に", &["東京", "京都", "都に"]);
        check("b7ad6b7169203331", &["#b7ad6b7169203331"]);
        check("B7AD6B71", &["#b7ad6b71"]);
        check("b7ad6b7 12345678 deadbeef", &["b7ad6b7", "12345678", "deadbeef"]);
        check(&"x".repeat(256), &[&"x".repeat(256)]);
        check(&"x".repeat(257), &["..."]);
        check(&"a1".repeat(129), &["..."]);
        check("\u{1}\u{2}a\0b", &["a", "b"]);
    }

    #[test]
    fn k2_a_part_of_sixteen_digits_holds_a_piece() {
        let id = b"4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(pieces(id).count(), 3);
        assert_eq!(pieces(&id[..16]).count(), 1);
        for part in id.windows(16) {
            assert!(pieces(id).any(|piece| part.windows(PIECE).any(|window| window == piece)));
        }
    }

    #[test]
    fn folding_keeps_parts_parts() {
        for text in ["ΑΣΑ ΑΣ", "İstanbul", "Kelvin K", "ſharp ẞ", "plain ASCII", "東京"] {
            let folded = fold(text);
            let lower = text.to_lowercase();
            for (from, _) in text.char_indices() {
                for to in text.char_indices().map(|(at, _)| at).chain([text.len()]).filter(|&to| to > from) {
                    assert!(folded.contains(&*fold(&text[from..to])), "{text:?} {from}..{to}");
                }
            }
            for (from, _) in lower.char_indices() {
                assert!(folded.contains(&*fold(&lower[from..])), "{lower:?} {from}");
            }
        }
    }
}
