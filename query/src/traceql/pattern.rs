//! What does a regular expression match, and what must be in a text that it matches?
//!
//! R1  Patterns are RE2's, anchored at both ends, as TraceQL means them; time is linear in the text, memory limited.
//! R2  A `hint` never leaves out a text that matches.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};
use storage::re2;

/// Memory of a compiled pattern, and of its automaton.
const MOST_BYTES: usize = 1 << 20;
/// Longest pattern that is looked at.
const LONGEST: usize = 16 * 1024;
/// Alternatives that are looked up one by one.
const MOST_TEXTS: usize = 64;

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

/// What an index may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Exactly these texts match.
    Texts(Vec<String>),
    /// Every text that matches contains it.
    Contains(String),
    /// Nothing is known.
    Any,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > LONGEST {
            return Err(format!("the regular expression is longer than {LONGEST} bytes"));
        }
        let said = re2::unanchored(pattern).map_err(|what| format!("this is no regular expression: {what}"))?;
        RegexBuilder::new(&format!("^(?:{said})$"))
            .size_limit(MOST_BYTES)
            .dfa_size_limit(MOST_BYTES)
            .build()
            .map(Pattern)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the regular expression is too large once compiled".to_owned(),
                // The last line of the report says what; the ones before draw the pattern.
                error => {
                    let report = error.to_string();
                    let what = report.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    format!("this is no regular expression: {what}")
                }
            })
    }

    /// Whether it matches the whole text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// What is known of the texts that a pattern matches.
pub(crate) fn hint(pattern: &str) -> Hint {
    let said = re2::unanchored(pattern).ok().and_then(|said| regex_syntax::parse(&said).ok());
    let Some(hir) = said else { return Hint::Any };
    if let Some(texts) = texts(&hir) {
        return Hint::Texts(texts);
    }
    longest(&hir).filter(|text| !text.is_empty()).map_or(Hint::Any, Hint::Contains)
}

fn text_of(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// All texts that match, where they are few.
fn texts(hir: &Hir) -> Option<Vec<String>> {
    let list = match hir.kind() {
        HirKind::Empty => vec![String::new()],
        HirKind::Literal(literal) => vec![text_of(&literal.0)?],
        HirKind::Capture(capture) => texts(&capture.sub)?,
        HirKind::Class(class) => {
            let hir = Hir::class(class.clone());
            let length = hir.properties().maximum_len()?;
            let regex_syntax::hir::Class::Unicode(class) = class else { return None };
            let letters: usize = class.iter().map(|range| range.len()).sum();
            if letters > MOST_TEXTS || length == 0 {
                return None;
            }
            class.iter().flat_map(|range| range.start()..=range.end()).map(String::from).collect()
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(texts(part)?);
                if all.len() > MOST_TEXTS {
                    return None;
                }
            }
            all
        }
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let next = texts(part)?;
                if all.len() * next.len() > MOST_TEXTS {
                    return None;
                }
                all = all.iter().flat_map(|head| next.iter().map(move |tail| format!("{head}{tail}"))).collect();
            }
            all
        }
        HirKind::Look(_) | HirKind::Repetition(_) => return None,
    };
    Some(list)
}

/// The longest text that every match contains.
fn longest(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => text_of(&literal.0),
        HirKind::Capture(capture) => longest(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => longest(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(longest).max_by_key(String::len),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r1_patterns_are_anchored_and_limited() {
        let pattern = Pattern::new("a|b.").unwrap();
        assert!(pattern.is_match("a") && pattern.is_match("bx") && !pattern.is_match("ab") && !pattern.is_match("b"));
        for bad in ["[", "(?:a{1000}){1000}", "\\8", &"a".repeat(LONGEST + 1)] {
            assert!(Pattern::new(bad).is_err(), "{bad:.20}");
        }
        assert_eq!(Pattern::new("[").unwrap_err(), "this is no regular expression: missing closing ]: `[`");
    }

    #[test]
    fn hints_are_what_every_match_has() {
        let texts = |list: &[&str]| Hint::Texts(list.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(hint("a|b|cd"), texts(&["a", "b", "cd"]));
        assert_eq!(hint("x(a|b)"), texts(&["xa", "xb"]));
        assert_eq!(hint("GET.*"), Hint::Contains("GET".into()));
        assert_eq!(hint(".*foo[0-9]+bars"), Hint::Contains("bars".into()));
        assert_eq!(hint("(?i)ab.*"), Hint::Any);
        assert_eq!(hint(".*"), Hint::Any);
        assert_eq!(hint("(foo)?bar*"), Hint::Contains("ba".into()));
    }

    proptest! {
        #[test]
        fn r2_a_hint_leaves_out_no_match(pattern in "[ab.*+?()|^$]{0,8}", text in "[ab]{0,5}") {
            let Ok(compiled) = Pattern::new(&pattern) else { return Ok(()) };
            if compiled.is_match(&text) {
                match hint(&pattern) {
                    Hint::Texts(texts) => prop_assert!(texts.contains(&text)),
                    Hint::Contains(needle) => prop_assert!(text.contains(&needle)),
                    Hint::Any => {}
                }
            } else if let Hint::Texts(texts) = hint(&pattern) {
                prop_assert!(!texts.contains(&text));
            }
        }
    }
}
