//! Which texts must a text hold so that a regular expression can match it?
//!
//! X1  What is asked for is necessary: every text that the expression matches satisfies the query. An expression that tells
//!     nothing asks for nothing.
//! X2  The work is bounded by the length of the expression and of what it says when its repetitions are not written out.

use super::query::TextQuery;
use super::token::fold;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Alternatives and members of a class beyond this are not asked for.
const MOST_ALTERNATIVES: usize = 64;
const MOST_MEMBERS: u32 = 16;
/// An expression that nests deeper is refused.
const DEEPEST: u32 = 100;

impl TextQuery {
    /// What a regular expression, in the syntax of the crate `regex`, needs; `None` where it is malformed.
    pub fn needed_by_regex(expression: &str) -> Option<Self> {
        let hir = ParserBuilder::new().nest_limit(DEEPEST).build().parse(expression).ok()?;
        Some(simplified(held(need(&hir))))
    }
}

/// What an expression says of the text that it matches.
enum Need {
    /// The text is this, letter by letter, folded.
    Exactly(String),
    /// The text holds it.
    Holds(TextQuery),
}

fn need(hir: &Hir) -> Need {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Need::Exactly(String::new()),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => Need::Exactly(fold(text).into_owned()),
            Err(_) => Need::Holds(TextQuery::All),
        },
        HirKind::Class(class) => one_form(class).map_or(Need::Holds(TextQuery::All), Need::Exactly),
        HirKind::Repetition(repetition) if repetition.min == 0 => Need::Holds(TextQuery::All),
        HirKind::Repetition(repetition) => {
            let once = need(&repetition.sub);
            match once {
                Need::Exactly(text) if repetition.min == 1 && repetition.max == Some(1) => Need::Exactly(text),
                once => Need::Holds(held(once)),
            }
        }
        HirKind::Capture(capture) => need(&capture.sub),
        HirKind::Concat(list) => concatenation(list),
        HirKind::Alternation(list) if list.len() > MOST_ALTERNATIVES => Need::Holds(TextQuery::All),
        HirKind::Alternation(list) => Need::Holds(TextQuery::Or(list.iter().map(|part| held(need(part))).collect())),
    }
}

/// Texts that follow each other are one needle.
fn concatenation(list: &[Hir]) -> Need {
    let mut parts = Vec::new();
    let mut text = String::new();
    for part in list {
        match need(part) {
            Need::Exactly(more) => text.push_str(&more),
            Need::Holds(query) => {
                parts.push(held(Need::Exactly(std::mem::take(&mut text))));
                parts.push(query);
            }
        }
    }
    if parts.is_empty() {
        return Need::Exactly(text);
    }
    parts.push(held(Need::Exactly(text)));
    Need::Holds(TextQuery::And(parts))
}

fn held(need: Need) -> TextQuery {
    match need {
        Need::Exactly(text) if text.is_empty() => TextQuery::All,
        Need::Exactly(text) => TextQuery::substring(&text),
        Need::Holds(query) => query,
    }
}

/// What all members of a class fold to.
fn one_form(class: &Class) -> Option<String> {
    let Class::Unicode(class) = class else { return None };
    let members: u32 = class.iter().map(|range| u32::from(range.end()) - u32::from(range.start()) + 1).sum();
    if members > MOST_MEMBERS {
        return None;
    }
    let mut forms =
        class.iter().flat_map(|range| range.start()..=range.end()).map(|letter| fold(&letter.to_string()).into_owned());
    let first = forms.next()?;
    forms.all(|form| form == first).then_some(first)
}

/// The same, without parts that say nothing.
fn simplified(query: TextQuery) -> TextQuery {
    match query {
        TextQuery::And(list) => {
            let mut parts = Vec::new();
            for part in list.into_iter().map(simplified) {
                match part {
                    TextQuery::All => {}
                    TextQuery::And(more) => parts.extend(more),
                    other => parts.push(other),
                }
            }
            match parts.len() {
                0 => TextQuery::All,
                1 => parts.swap_remove(0),
                _ => TextQuery::And(parts),
            }
        }
        TextQuery::Or(list) => {
            let parts: Vec<TextQuery> = list.into_iter().map(simplified).collect();
            if parts.contains(&TextQuery::All) { TextQuery::All } else { TextQuery::Or(parts) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::string::string_regex;

    fn check(expression: &str, expected: &str) {
        let told = TextQuery::needed_by_regex(expression).map(|query| tell(&query));
        assert_eq!(told.as_deref(), Some(expected), "{expression}");
    }

    fn tell(query: &TextQuery) -> String {
        let list = |list: &[TextQuery], by: &str| list.iter().map(tell).collect::<Vec<_>>().join(by);
        match query {
            TextQuery::All => "*".into(),
            TextQuery::And(parts) => format!("({})", list(parts, " & ")),
            TextQuery::Or(parts) => format!("({})", list(parts, " | ")),
            TextQuery::Text { needle, .. } => format!("{needle:?}"),
        }
    }

    #[test]
    fn x1_what_an_expression_needs_is_told() {
        check("error", r#""error""#);
        check("Error: .* timeout", r#"("error: " & " timeout")"#);
        check("(?i)KELVIN Straße", r#""kelvin straße""#);
        check("^GET /api$", r#""get /api""#);
        check("a|b", "*");
        check("foo|bar.baz", r#"("foo" | ("bar" & "baz"))"#);
        check("(foo)+bar", r#"("foo" & "bar")"#);
        check("(foo)?bar", r#""bar""#);
        check("x{2,3}y", r#"("x" & "y")"#);
        check("[0-9]+ms", r#""ms""#);
        check("", "*");
        check(".*", "*");
        check("(a|.*)b", r#""b""#);
        check(r"\bword\b", r#""word""#);
        check("(?:ab|cd)(?:ef|gh)", r#"(("ab" | "cd") & ("ef" | "gh"))"#);
        check("[ǅ]", r#""ǆ""#);
    }

    const EXPRESSIONS: &[&str] = &[
        "[Ee]rror: [a-z]{0,4} (timeout|refused)",
        "(?i)straße k[0-9]+",
        "(ab){1,3}c?|x(yz)*",
        "(中|文)+ [ΑΣ]{2}",
        "a.{0,3}b(c|)d",
        "((a|b)c|de)f{2}",
    ];

    proptest! {
        #[test]
        fn x1_what_an_expression_matches_has_what_it_needs(
            (expression, text) in proptest::sample::select(EXPRESSIONS).prop_flat_map(|expression| {
                (Just(expression), string_regex(expression).expect("an expression without anchors"))
            }),
            around in ".{0,3}",
        ) {
            let query = TextQuery::needed_by_regex(expression).unwrap();
            let text = format!("{around}{text}{around}");
            prop_assert!(query.admits(&text), "{:?} {:?}", query, text);
        }
    }

    #[test]
    fn what_is_malformed_or_too_deep_has_no_answer() {
        assert_eq!(TextQuery::needed_by_regex("("), None);
        assert_eq!(TextQuery::needed_by_regex(&"(".repeat(500)), None);
        assert_eq!(TextQuery::needed_by_regex(&format!("{}{}", "(".repeat(200), ")".repeat(200))), None);
    }
}
