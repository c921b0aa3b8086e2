//! Of which words does a log line consist, and what lies between them?
//!
//! A line is words and the *gaps* between them. Gaps are what lines of one kind share: blanks, brackets, commas. Its
//! skeleton is all its gaps.
//!
//! L1  Words and gaps alternate and are the whole line, so that equal skeletons and equal words are equal lines.
//! L2  What a line's words are depends on the line alone.
//! L3  A skeleton is told by bytes that no other line's skeleton equals: `ff`, which UTF-8 does not have, stands for a word.
//!
//! Not here: which words are the same in all lines of a kind (`mine`).

use super::clock::time_length;
use std::ops::Range;

/// Stands for a word in a skeleton.
pub(super) const WORD: u8 = 0xff;
/// Stands for the end of a line that goes on.
pub(super) const CUT: u8 = 0xfe;
/// A text in quotes that is longer is not one word.
const LONGEST_QUOTE: usize = 4096;
/// The key of a text in quotes is looked for in so many bytes before it.
const LONGEST_KEY: usize = 24;
/// Texts in quotes that are a person's words and not one value, by their keys.
const MESSAGES: [&[u8]; 12] = [
    b"msg",
    b"message",
    b"Message",
    b"log",
    b"event",
    b"error",
    b"err",
    b"body",
    b"text",
    b"description",
    b"reason",
    b"detail",
];

/// One word of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Whether it holds a digit, and so will be another in the next line.
    pub(super) varies: bool,
}

impl Word {
    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.range()).unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Gap,
    /// Part of a word, but not enough to be one.
    Mark,
    Letter,
    Digit,
    Quote,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Gap; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "the loop ends at 255")]
        let value = byte as u8;
        classes[byte] = match value {
            b'0'..=b'9' => Class::Digit,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80..=0xff => Class::Letter,
            b'_' | b'-' | b'.' | b'/' | b'\\' | b'+' | b'*' | b'$' | b'~' | b'%' | b'^' | b'#' => Class::Mark,
            b'"' => Class::Quote,
            _ => Class::Gap,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Finds the words of a line, at most so many, and appends its skeleton.
pub(super) fn lex(text: &[u8], most: usize, words: &mut Vec<Word>, skeleton: &mut Vec<u8>) {
    words.clear();
    let (mut at, mut gap) = (0, 0);
    while let Some(&byte) = text.get(at) {
        let (range, varies) = match class(byte) {
            Class::Gap => {
                at += 1;
                continue;
            }
            Class::Quote => match quoted(text, at, words.last().copied()) {
                Some(found) => found,
                None => {
                    at += 1;
                    continue;
                }
            },
            Class::Mark | Class::Letter | Class::Digit => match word(text, at) {
                Ok(found) => found,
                Err(end) => {
                    at = end;
                    continue;
                }
            },
        };
        if words.len() == most {
            break;
        }
        skeleton.extend_from_slice(text.get(gap..range.start).unwrap_or_default());
        skeleton.push(WORD);
        // Lines are far shorter than 4 GiB.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        words.push(Word { start: place(range.start), end: place(range.end), varies });
        (at, gap) = (range.end, range.end);
        // The quote that ends a value begins no other.
        if byte == b'"' {
            at += 1;
        }
    }
    if words.len() == most && gap < text.len() {
        skeleton.push(CUT);
    } else {
        skeleton.extend_from_slice(text.get(gap..).unwrap_or_default());
    }
}

/// The word at a place, and whether it varies; or where the marks end that are none.
fn word(text: &[u8], at: usize) -> Result<(Range<usize>, bool), usize> {
    let rest = text.get(at..).unwrap_or_default();
    if rest.first().is_some_and(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        let length = time_length(rest);
        if length > 0 {
            return Ok((at..at + length, true));
        }
    }
    let (mut letters, mut digits, mut end) = (false, false, at);
    for &byte in rest {
        match class(byte) {
            Class::Gap | Class::Quote => break,
            Class::Mark => {}
            Class::Letter => letters = true,
            Class::Digit => digits = true,
        }
        end += 1;
    }
    if !letters && !digits {
        return Err(end);
    }
    // The stop at the end of a sentence.
    while end > at + 1 && text.get(end - 1) == Some(&b'.') {
        end -= 1;
    }
    Ok((at..end, digits))
}

/// What is in the quotes that open at a place, if it is one word: a JSON key, or a value that is no message.
fn quoted(text: &[u8], at: usize, before: Option<Word>) -> Option<(Range<usize>, bool)> {
    // The quote that ends a message follows its last word.
    let opens = at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|byte| b" =:,[({\t".contains(byte));
    if !opens {
        return None;
    }
    let from = at + 1;
    let inside = text.get(from..)?;
    let inside = inside.get(..LONGEST_QUOTE).unwrap_or(inside);
    let mut escaped = false;
    let length = inside.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    let range = from..from + length;
    if text.get(range.end + 1) == Some(&b':') {
        return Some((range, false));
    }
    if let Some(key) = before {
        let gap = text.get(key.range().end..at).unwrap_or_default();
        let is_key = gap.len() <= LONGEST_KEY && gap.iter().any(|byte| matches!(byte, b':' | b'='));
        if is_key && MESSAGES.contains(&key.of(text)) {
            return None;
        }
    }
    let varies = text.get(range.clone())?.iter().any(u8::is_ascii_digit);
    Some((range, varies))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words_of(text: &str, most: usize) -> Vec<&str> {
        let (mut words, mut skeleton) = (Vec::new(), Vec::new());
        lex(text.as_bytes(), most, &mut words, &mut skeleton);
        words.iter().map(|word| &text[word.range()]).collect()
    }

    #[test]
    fn words_are_what_people_would_call_so() {
        let check = |text: &str, expected: &[&str]| assert_eq!(words_of(text, 99), expected, "{text}");
        check("Server listening on 0.0.0.0 port 22.", &["Server", "listening", "on", "0.0.0.0", "port", "22"]);
        check(
            "[2016-12-20 00:04:03,231] TRACE [Controller 0]:",
            &["2016-12-20 00:04:03,231", "TRACE", "Controller", "0"],
        );
        check(
            r#"1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200"#,
            &["1.2.3.4", "17/May/2015:10:05:03 +0000", "GET / HTTP/1.1", "200"],
        );
        check(r#"{"a":"b \" c","n1":-5,"msg":"id 7 gone"}"#, &["a", r#"b \" c"#, "n1", "-5", "msg", "id", "7", "gone"]);
        check(
            r#"level=info msg="took 3 ms" path="/a b""#,
            &["level", "info", "msg", "took", "3", "ms", "path", "/a b"],
        );
        check("日本語 ログ... -- \u{7}", &["日本語", "ログ"]);
        check("\"", &[]);
    }

    proptest! {
        #[test]
        fn l1_words_and_gaps_are_the_whole_line(text in "([a-c0-9 \"=:,.é\\[\\]\\\\-]|2026-11-23 12:00:00){0,40}", most in 1usize..9) {
            let (mut words, mut skeleton) = (Vec::new(), Vec::new());
            lex(text.as_bytes(), most, &mut words, &mut skeleton);
            let mut whole = Vec::new();
            let mut next = words.iter();
            for &byte in &skeleton {
                match byte {
                    WORD => whole.extend_from_slice(next.next().unwrap().of(text.as_bytes())),
                    CUT => whole.extend_from_slice(&text.as_bytes()[words.last().unwrap().range().end..]),
                    other => whole.push(other),
                }
            }
            prop_assert_eq!(whole, text.as_bytes());
            prop_assert!(next.next().is_none() && words.len() <= most);
        }
    }
}
