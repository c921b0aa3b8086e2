//! Which words has a query, right or wrong? What colours it, and what tells where a person types.
//!
//! QT1  Tokens follow each other without a gap and make up the whole text; they begin and end between characters.
//! QT2  Any text has tokens: what is unfinished ends with the text.
//!
//! Not here: the server's own lexers, which refuse what these colour.

use super::word::{
    PROMQL_FUNCTIONS, PROMQL_KEYWORDS, TRACEQL_CONSTANTS, TRACEQL_FUNCTIONS, TRACEQL_SCOPES, TRACEQL_SERIES,
};

/// A language of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Of traces.
    TraceQl,
    /// Of metrics.
    PromQl,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Between words.
    Blank,
    /// For people.
    Comment,
    /// A word of the language.
    Word,
    /// A function, an aggregation or a stage.
    Function,
    /// An attribute, an intrinsic, a metric or a label.
    Name,
    /// In quotes; `closed` where they end.
    Text {
        /// Whether the closing quote is there.
        closed: bool,
    },
    /// A number or a duration.
    Number,
    /// An operator or a bracket.
    Sign,
}

impl Kind {
    /// The class of style.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Blank => "",
            Kind::Comment => "q-comment",
            Kind::Word => "q-word",
            Kind::Function => "q-function",
            Kind::Name => "q-name",
            Kind::Text { .. } => "q-text",
            Kind::Number => "q-number",
            Kind::Sign => "q-sign",
        }
    }
}

/// A token and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Token {
    /// Its text.
    pub fn text(self, query: &str) -> &str {
        query.get(self.start..self.end).unwrap_or_default()
    }
}

/// All tokens of a text.
pub fn tokens(language: Language, text: &str) -> Vec<Token> {
    let mut scanner = Scanner { text, at: 0, language };
    let mut tokens = Vec::new();
    while let Some(first) = scanner.peek() {
        let start = scanner.at;
        let kind = scanner.next(first);
        tokens.push(Token { kind, start, end: scanner.at });
    }
    tokens
}

/// Whether a query of TraceQL asks for series: a function of metrics is called outside of braces.
pub fn asks_for_series(query: &str) -> bool {
    let all = tokens(Language::TraceQl, query);
    let seen: Vec<&str> = all
        .iter()
        .filter(|token| !matches!(token.kind, Kind::Blank | Kind::Comment))
        .map(|token| token.text(query))
        .collect();
    let mut depth = 0usize;
    seen.iter().enumerate().any(|(at, word)| {
        match *word {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && TRACEQL_SERIES.contains(word) && seen.get(at + 1) == Some(&"(")
    })
}

/// Signs of more than one character, longest first.
const SIGNS: [&str; 17] =
    ["!>>", "!<<", "&>>", "&<<", "&&", "||", ">>", "<<", "=~", "!~", "!=", "==", "<=", ">=", "&>", "&<", "&~"];

/// What ends an unquoted name of TraceQL, beside white space.
const ENDS: &str = "{}()=~!<>&|^,";

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    language: Language,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn take(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn next(&mut self, first: char) -> Kind {
        let second = self.rest().chars().nth(1);
        match first {
            c if c.is_whitespace() => {
                self.skip(char::is_whitespace);
                Kind::Blank
            }
            '#' if self.language == Language::PromQl => self.comment(),
            '/' if self.language == Language::TraceQl && matches!(second, Some('/' | '*')) => self.comment(),
            '"' | '`' => self.quoted(first),
            '\'' if self.language == Language::PromQl => self.quoted(first),
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            '.' if self.language == Language::TraceQl => self.attribute(),
            c if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.sign(),
        }
    }

    fn comment(&mut self) -> Kind {
        if self.rest().starts_with("/*") {
            let rest = self.rest();
            self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else {
            self.skip(|c| c != '\n');
        }
        Kind::Comment
    }

    fn quoted(&mut self, quote: char) -> Kind {
        self.take();
        while let Some(c) = self.peek() {
            self.take();
            if c == quote {
                return Kind::Text { closed: true };
            }
            if c == '\\' && quote != '`' {
                self.take();
            }
        }
        Kind::Text { closed: false }
    }

    /// Digits, letters (`5m`, `1e3`, `0x1f`, `100ms`) and points.
    fn number(&mut self) -> Kind {
        self.skip(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == 'µ');
        Kind::Number
    }

    /// The rest of an attribute, from its point on.
    fn attribute(&mut self) -> Kind {
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace() && !ENDS.contains(*c)) {
            if c == '"' {
                self.quoted(c);
            } else {
                self.take();
            }
        }
        Kind::Name
    }

    fn word(&mut self) -> Kind {
        let colon = self.language == Language::PromQl;
        let word = self.skip(|c| c.is_alphanumeric() || c == '_' || (colon && c == ':'));
        match self.language {
            Language::TraceQl => self.of_traces(word),
            Language::PromQl => of_metrics(word, self.rest()),
        }
    }

    fn of_traces(&mut self, word: &str) -> Kind {
        let next = self.peek();
        // A name that lacks its scope is still typed as one word.
        if next == Some('.') {
            return self.attribute();
        }
        if TRACEQL_SCOPES.contains(&word) && next == Some(':') {
            self.take();
            self.skip(char::is_alphanumeric);
            return Kind::Name;
        }
        if TRACEQL_FUNCTIONS.contains(&word) && self.rest().trim_start().starts_with('(') {
            Kind::Function
        } else if TRACEQL_CONSTANTS.contains(&word) {
            Kind::Word
        } else {
            Kind::Name
        }
    }

    fn sign(&mut self) -> Kind {
        match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            Some(sign) => self.at += sign.len(),
            None => self.take(),
        }
        Kind::Sign
    }
}

fn of_metrics(word: &str, rest: &str) -> Kind {
    let next = rest.trim_start();
    let called = next.starts_with('(') || next.starts_with("by") || next.starts_with("without");
    if matches!(word, "Inf" | "NaN" | "inf" | "nan") {
        Kind::Number
    } else if PROMQL_KEYWORDS.contains(&word) || word == "without" {
        Kind::Word
    } else if PROMQL_FUNCTIONS.contains(&word) && called {
        Kind::Function
    } else {
        Kind::Name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The words with the letter of their kind.
    fn shown(language: Language, text: &str) -> String {
        let words = tokens(language, text).into_iter().filter(|token| token.kind != Kind::Blank);
        let words = words.map(|token| {
            let kind = token.kind.class().strip_prefix("q-").unwrap_or("-");
            format!("{}:{}", &kind[..1], token.text(text))
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_call_of_a_function_of_metrics_asks_for_series() {
        for query in [
            "{ } | rate()",
            "{ status = error } | by(name) | quantile_over_time (duration, .9) by (span.x)",
            "({ } | rate()) / ({ } | rate())",
            "{ } // x\n| compare({ status = error })",
        ] {
            assert!(asks_for_series(query), "{query}");
        }
        for query in [
            "{ }",
            "{ .rate = 1 } | count() > 2",
            "{ name = \"rate(\" }",
            "{ } | select(span.rate)",
            "{ } // | rate()",
            "",
        ] {
            assert!(!asks_for_series(query), "{query}");
        }
    }

    #[test]
    fn a_query_of_traces_is_told_apart() {
        let cases = [
            (
                r#"{ resource.service.name = "cart" && duration > 100ms }"#,
                r#"s:{ n:resource.service.name s:= t:"cart" s:&& n:duration s:> n:100ms s:}"#,
            ),
            (r#"{span."a b".c=~`x|y`}"#, r#"s:{ n:span."a b".c s:=~ t:`x|y` s:}"#),
            ("{ .a != nil } !>> { span:id = 1 }", "s:{ n:.a s:!= w:nil s:} s:!>> s:{ n:span:id s:= n:1 s:}"),
            ("{ service.na", "s:{ n:service.na"),
            ("{ } | rate() by (name) // why", "s:{ s:} s:| f:rate s:( s:) f:by s:( n:name s:) c:// why"),
            ("{ name = \"open", "s:{ n:name s:= t:\"open"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(Language::TraceQl, text), expected, "{text}");
        }
    }

    #[test]
    fn a_query_of_metrics_is_told_apart() {
        let cases = [
            (
                r#"sum by (le) (rate(http_total{job=~"a|b"}[5m] offset 1h))"#,
                r#"f:sum w:by s:( n:le s:) s:( f:rate s:( n:http_total s:{ n:job s:=~ t:"a|b" s:} s:[ n:5m s:] w:offset n:1h s:) s:)"#,
            ),
            ("a:b:c / -Inf # half", "n:a:b:c s:/ s:- n:Inf c:# half"),
            ("rate == count", "n:rate s:== n:count"),
            ("{'é.ö'}", "s:{ t:'é.ö' s:}"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(Language::PromQl, text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn qt1_tokens_make_up_the_text(text in "\\PC{0,40}|[{}()\"'`#/*.a-z0-9=!<>&| \n\\\\]{0,60}") {
            for language in [Language::TraceQl, Language::PromQl] {
                let tokens = tokens(language, &text);
                let joined: String = tokens.iter().map(|token| token.text(&text)).collect();
                prop_assert_eq!(&joined, &text);
                prop_assert!(tokens.iter().all(|token| token.start < token.end));
            }
        }
    }
}
