//! What could be typed next? The kind of word that fits where the caret is, and the offers that fit what is typed of it.
//!
//! C1  What an offer replaces is the word at the caret and nothing else.
//! C2  An offer that is accepted reads as one token of its language, whatever letters its name has.
//!
//! Not here: which names and values there are, which the server tells (`client`).

use super::super::lower::lower;
use super::token::{Kind, Language, Token, tokens};
use super::word::{
    PROMQL_FUNCTIONS, PROMQL_GROUPING, PROMQL_KEYWORDS, PROMQL_WINDOWS, TRACEQL_CONSTANTS, TRACEQL_FUNCTIONS,
};

/// Offers shown at once.
const OFFERS: usize = 50;

/// What fits at the caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Nothing that could be offered.
    Nothing,
    /// An attribute or an intrinsic of TraceQL.
    Attribute,
    /// A value of one.
    Value(String),
    /// A stage of TraceQL, behind `|`.
    Stage,
    /// A metric, a function, a keyword of PromQL.
    Metric,
    /// A label; of that metric, if one was named.
    Label(String),
    /// A value of a label; of that metric, if one was named.
    LabelValue(String, String),
    /// How long a window is.
    Window,
}

/// What is typed at the caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// First byte of the word.
    pub from: usize,
    /// First byte after it.
    pub to: usize,
    /// What is typed of it so far, without quotes.
    pub typed: String,
    /// What fits.
    pub what: What,
}

/// Something to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What a person reads.
    pub shown: String,
    /// What is typed for them.
    pub text: String,
    /// What it is.
    pub about: &'static str,
}

/// What is wanted at a byte of a text.
pub fn want(language: Language, text: &str, caret: usize) -> Want {
    let all = tokens(language, text);
    let at = all.iter().find(|token| token.start < caret && caret <= token.end && is_open(**token, caret));
    let before: Vec<Token> = all
        .iter()
        .filter(|token| !matches!(token.kind, Kind::Blank | Kind::Comment))
        .filter(|token| token.end <= at.map_or(caret, |at| at.start))
        .copied()
        .collect();
    let in_comment = all.iter().any(|token| token.kind == Kind::Comment && token.start < caret && caret <= token.end);
    let (from, to) = at.map_or((caret, caret), |at| {
        let closed = at.kind != Kind::Text { closed: false };
        (at.start, if closed { at.end } else { caret })
    });
    let typed = text.get(from..caret).unwrap_or_default().trim_start_matches(['"', '\'', '`']).to_owned();
    let what = match language {
        _ if in_comment => What::Nothing,
        Language::TraceQl => of_traces(text, &before),
        Language::PromQl => of_metrics(text, &before, at.is_some()),
    };
    Want { from, to, typed, what }
}

/// Whether typing at the caret changes the token.
fn is_open(token: Token, caret: usize) -> bool {
    match token.kind {
        Kind::Word | Kind::Function | Kind::Name | Kind::Number => true,
        Kind::Text { closed } => !closed || caret < token.end,
        Kind::Blank | Kind::Comment | Kind::Sign => false,
    }
}

const COMPARISONS: [&str; 9] = ["=", "!=", "=~", "!~", "<", "<=", ">", ">=", "=="];

fn of_traces(text: &str, before: &[Token]) -> What {
    let word = |token: Option<&Token>| token.map_or("", |token| token.text(text));
    let last = before.last();
    let one_before = before.len().checked_sub(2).and_then(|index| before.get(index));
    if COMPARISONS.contains(&word(last)) {
        return match one_before {
            Some(name) if name.kind == Kind::Name => What::Value(name.text(text).to_owned()),
            _ => What::Nothing,
        };
    }
    let open = |left, right| {
        let count = |sign| before.iter().filter(|token| token.text(text) == sign).count();
        count(left) > count(right)
    };
    match word(last) {
        "|" if !open("{", "}") => What::Stage,
        "{" | "&&" | "||" | "!" => {
            if open("{", "}") {
                What::Attribute
            } else {
                What::Nothing
            }
        }
        "(" | "," if open("(", ")") => What::Attribute,
        _ => What::Nothing,
    }
}

fn of_metrics(text: &str, before: &[Token], is_typing: bool) -> What {
    let mut metric = String::new();
    let mut in_braces = false;
    let mut in_brackets = false;
    let mut groups = Vec::new();
    let mut last = None::<Token>;
    for token in before {
        match token.text(text) {
            "{" => {
                in_braces = true;
                metric = last
                    .filter(|last| last.kind == Kind::Name)
                    .map_or_else(String::new, |name| name.text(text).to_owned());
            }
            "}" => in_braces = false,
            "[" => in_brackets = true,
            "]" => in_brackets = false,
            "(" => groups.push(last.is_some_and(|last| PROMQL_GROUPING.contains(&last.text(text)))),
            ")" => {
                groups.pop();
            }
            _ => {}
        }
        last = Some(*token);
    }
    let word = last.map_or("", |token| token.text(text));
    if in_braces {
        if COMPARISONS.contains(&word) {
            let label = before.len().checked_sub(2).and_then(|index| before.get(index));
            return label
                .map_or(What::Nothing, |label| What::LabelValue(metric, unquoted(label.text(text)).to_owned()));
        }
        return if matches!(word, "{" | ",") { What::Label(metric) } else { What::Nothing };
    }
    if in_brackets {
        return if word == "[" { What::Window } else { What::Nothing };
    }
    if groups.last() == Some(&true) {
        return if matches!(word, "(" | ",") { What::Label(String::new()) } else { What::Nothing };
    }
    let begins = match last.map(|last| last.kind) {
        None | Some(Kind::Sign) => !matches!(word, ")" | "}" | "]"),
        Some(Kind::Word) => true,
        _ => false,
    };
    if begins || is_typing { What::Metric } else { What::Nothing }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\'', '`'])
}

/// The offers that fit: those that begin with what is typed before those that hold it.
pub fn offers(language: Language, want: &Want, told: &[Offer]) -> Vec<Offer> {
    let typed = lower(&want.typed);
    let mut first = Vec::new();
    let mut second = Vec::new();
    for offer in told.iter().cloned().chain(own(language, &want.what)) {
        let name = lower(&offer.shown);
        // An attribute is found by its own name, without the scope too.
        let own_name = name.split_once('.').map_or("", |(_, rest)| rest);
        if name.starts_with(&typed) || (!typed.is_empty() && own_name.starts_with(typed.trim_start_matches('.'))) {
            first.push(offer);
        } else if name.contains(&typed) {
            second.push(offer);
        }
    }
    first.append(&mut second);
    if first.len() == 1 && first.first().is_some_and(|only| only.shown == want.typed) {
        return Vec::new();
    }
    first.truncate(OFFERS);
    first
}

/// What the language itself has.
fn own(language: Language, what: &What) -> Vec<Offer> {
    let plain =
        |words: &[&str], about| words.iter().map(|word| offer(word, (*word).to_owned(), about)).collect::<Vec<_>>();
    let called =
        |words: &[&str]| words.iter().map(|word| offer(word, format!("{word}("), "function")).collect::<Vec<_>>();
    match what {
        What::Stage => called(&TRACEQL_FUNCTIONS),
        What::Metric => [called(&PROMQL_FUNCTIONS), plain(&PROMQL_KEYWORDS, "keyword")].concat(),
        What::Window => plain(&PROMQL_WINDOWS, "window"),
        What::Value(key) if !key.contains('.') && !matches!(key.as_str(), "status" | "kind") => Vec::new(),
        What::Value(key) if key.contains('.') && language == Language::TraceQl => {
            plain(&TRACEQL_CONSTANTS[2..3], "absent")
        }
        _ => Vec::new(),
    }
}

fn offer(shown: &str, text: String, about: &'static str) -> Offer {
    Offer { shown: shown.to_owned(), text, about }
}

/// An attribute of a scope, as TraceQL writes it.
pub fn attribute(scope: &str, name: &str) -> Offer {
    if scope == "intrinsic" || scope.is_empty() {
        return offer(name, name.to_owned(), "intrinsic");
    }
    let plain = !name.is_empty() && name.chars().all(|c| !c.is_whitespace() && !"{}()=~!<>&|^,\"`\\".contains(c));
    let text = if plain { format!("{scope}.{name}") } else { format!("{scope}.{}", quoted(name)) };
    offer(&format!("{scope}.{name}"), text, "attribute")
}

/// A value of an attribute: what is text is quoted.
pub fn value(kind: &str, value: &str) -> Offer {
    match kind {
        "string" => offer(value, quoted(value), "text"),
        "keyword" => offer(value, value.to_owned(), "word"),
        _ => offer(value, value.to_owned(), "number"),
    }
}

/// A metric, a label or a label's value, as PromQL writes it where it is wanted.
pub fn of_metric(what: &What, name: &str) -> Offer {
    match what {
        What::LabelValue(..) => offer(name, quoted(name), "value"),
        What::Label(_) => offer(name, if is_plain(name, false) { name.to_owned() } else { quoted(name) }, "label"),
        _ => {
            offer(name, if is_plain(name, true) { name.to_owned() } else { format!("{{{}}}", quoted(name)) }, "metric")
        }
    }
}

/// Whether a name of PromQL needs no quotes.
pub fn is_plain(name: &str, colon: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(fits)
}

/// A text in quotes, in both languages.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is wanted at `|` in a text, and the word there.
    fn check(language: Language, marked: &str, what: What, word: &str) {
        let caret = marked.find('^').unwrap();
        let text = marked.replacen('^', "", 1);
        let want = want(language, &text, caret);
        assert_eq!(want.what, what, "{marked}");
        assert_eq!(&text[want.from..want.to], word, "{marked}");
    }

    #[test]
    fn the_caret_tells_what_fits_in_a_query_of_traces() {
        let of = |marked, what, word| check(Language::TraceQl, marked, what, word);
        let value = |key: &str| What::Value(key.to_owned());
        of("{ ^", What::Attribute, "");
        of("{ .a = 1 && res^ }", What::Attribute, "res");
        of("{ service.na^", What::Attribute, "service.na");
        of("{ resource.service.name = ^ }", value("resource.service.name"), "");
        of("{ name = \"GET ^/x\" }", value("name"), "\"GET /x\"");
        of("{ name = \"GET ^", value("name"), "\"GET ");
        of("{ status=er^", value("status"), "er");
        of("{ } | ra^", What::Stage, "ra");
        of("{ } | rate() by (^)", What::Attribute, "");
        of("{ .a = 1 ^", What::Nothing, "");
        of("^", What::Nothing, "");
        of("{ // a ^", What::Nothing, "");
    }

    #[test]
    fn the_caret_tells_what_fits_in_a_query_of_metrics() {
        let of = |marked, what, word| check(Language::PromQl, marked, what, word);
        let label = |metric: &str| What::Label(metric.to_owned());
        let value = |metric: &str, label: &str| What::LabelValue(metric.to_owned(), label.to_owned());
        of("^", What::Metric, "");
        of("sum(ra^", What::Metric, "ra");
        of("a + ^", What::Metric, "");
        of("a{^}", label("a"), "");
        of("a{job=\"x\", in^}", label("a"), "in");
        of("{job=\"^\"}", value("", "job"), "\"\"");
        of("rate(a{job=~\"x^\"}[5m])", value("a", "job"), "\"x\"");
        of("sum by (^) (a)", label(""), "");
        of("a / on(j^)", label(""), "j");
        of("rate(a[^])", What::Window, "");
        of("a{job=\"x\"} ^", What::Nothing, "");
        of("sum(a) b^", What::Metric, "b");
    }

    #[test]
    fn what_begins_like_the_typed_word_comes_first() {
        let told =
            [attribute("span", "http.route"), attribute("resource", "service.name"), attribute("span", "my.service")];
        let typed = want(Language::TraceQl, "{ serv", 6);
        let names: Vec<String> =
            offers(Language::TraceQl, &typed, &told).into_iter().map(|offer| offer.shown).collect();
        assert_eq!(names, ["resource.service.name", "span.my.service"]);
        let whole = want(Language::TraceQl, "{ span.http.route", 17);
        assert_eq!(offers(Language::TraceQl, &whole, &told), []);
    }

    #[test]
    fn functions_are_called_and_metrics_named() {
        let typed = want(Language::PromQl, "histogram_q", 11);
        let found = offers(Language::PromQl, &typed, &[of_metric(&What::Metric, "histogram_queue")]);
        assert_eq!(found[0].text, "histogram_queue");
        assert_eq!(found[1].text, "histogram_quantile(");
    }

    proptest! {
        #[test]
        fn c2_an_offer_is_one_token(name in "\\PC{1,12}") {
            for (language, offer) in [
                (Language::TraceQl, attribute("span", &name)),
                (Language::TraceQl, value("string", &name)),
                (Language::PromQl, of_metric(&What::Label(String::new()), &name)),
                (Language::PromQl, of_metric(&What::LabelValue(String::new(), String::new()), &name)),
            ] {
                prop_assert_eq!(tokens(language, &offer.text).len(), 1, "{}", offer.text);
            }
        }

        #[test]
        fn any_caret_wants_something(text in "[{}()\"a-z.=|&, \\[\\]é#/*]{0,30}", at in 0usize..40) {
            for language in [Language::TraceQl, Language::PromQl] {
                let caret = super::super::fault::from_utf16(&text, at);
                let want = want(language, &text, caret);
                prop_assert!(want.from <= caret && caret <= want.to && text.is_char_boundary(want.to));
            }
        }
    }
}
