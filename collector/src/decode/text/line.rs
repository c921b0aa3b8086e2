//! What does one line say?

use super::super::exposition::{
    COUNTER, Exemplar, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, INFO, Labels, Measured, Names, STATE_SET, SUMMARY, Sample,
};
use super::super::remote::MAX_LABELS;
use super::{Line, TextError, TextFormat};
use std::borrow::Cow;

/// What is wrong with a line, and at which byte.
#[derive(Debug)]
pub(super) struct Wrong {
    at: usize,
    what: String,
}

impl Wrong {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Self {
        Wrong { at, what: what.into() }
    }

    pub(super) fn at_line(self, number: usize, line: &str) -> TextError {
        let column = line.char_indices().take_while(|(at, _)| *at < self.at).count() + 1;
        TextError { line: number, column, what: self.what }
    }
}

type Result<T> = std::result::Result<T, Wrong>;

/// A place in a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

/// Reads a line.
pub(super) fn read(format: TextFormat, line: &str) -> Result<Line<'_>> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let mut cursor = Cursor { line, at: 0 };
    cursor.skip_blanks();
    match cursor.peek() {
        None if format == TextFormat::OpenMetrics => Err(cursor.wrong("OpenMetrics has no empty lines")),
        None => Ok(Line::Nothing),
        Some('#') => cursor.comment(format),
        Some(_) => Ok(Line::Sample(cursor.sample(format)?)),
    }
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn wrong(&self, what: impl Into<String>) -> Wrong {
        Wrong::new(self.at, what)
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
    }

    /// Takes a character, if it stands here.
    fn take(&mut self, wanted: char) -> bool {
        let stands = self.peek() == Some(wanted);
        if stands {
            self.at += wanted.len_utf8();
        }
        stands
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.take(wanted) { Ok(()) } else { Err(self.wrong(format!("expected `{wanted}`, found {}", self.shown()))) }
    }

    /// What stands here, for people.
    fn shown(&self) -> String {
        self.peek().map_or_else(|| "the end of the line".to_owned(), |letter| format!("`{letter}`"))
    }

    /// Takes letters as long as they fit.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = rest.find(|letter| !fits(letter)).map_or(rest, |end| rest.get(..end).unwrap_or_default());
        self.at += taken.len();
        taken
    }

    fn word(&mut self) -> &'a str {
        self.take_while(|letter| !matches!(letter, ' ' | '\t'))
    }

    fn comment(mut self, format: TextFormat) -> Result<Line<'a>> {
        self.take('#');
        let is_open = format == TextFormat::OpenMetrics;
        if is_open && self.rest() == " EOF" {
            return Ok(Line::End);
        }
        // A keyword stands between blanks; otherwise it is a word of a comment.
        let stands_alone = matches!(self.peek(), Some(' ' | '\t'));
        self.skip_blanks();
        let start = self.at;
        let keyword = self.word();
        let is_known = matches!(keyword, "TYPE" | "HELP") || (keyword == "UNIT" && is_open);
        if !is_known || !stands_alone || self.peek().is_none() {
            return if is_open {
                Err(Wrong::new(start, "expected HELP, TYPE, UNIT or EOF"))
            } else {
                Ok(Line::Nothing)
            };
        }
        self.skip_blanks();
        let name = if self.peek() == Some('"') { self.quoted()? } else { Cow::Borrowed(self.name(true)?) };
        if self.peek().is_some_and(|letter| !matches!(letter, ' ' | '\t')) {
            return Err(self.wrong(format!("expected a blank behind the metric's name, found {}", self.shown())));
        }
        match keyword {
            "TYPE" => {
                self.skip_blanks();
                let at = self.at;
                let word = self.rest().trim_end();
                let r#type = type_number(format, word);
                let r#type = r#type.ok_or_else(|| Wrong::new(at, format!("{word:?} is no type of a metric")))?;
                Ok(Line::Type(name, r#type))
            }
            "HELP" => {
                // One blank parts it from the name; further ones are its own.
                let text = self.rest();
                let text = if is_open { text.strip_prefix(' ').unwrap_or(text) } else { text.trim_start() };
                Ok(Line::Help(name, unescaped_help(text, is_open)))
            }
            _ => {
                self.skip_blanks();
                Ok(Line::Unit(name, self.rest().trim_end()))
            }
        }
    }

    /// A name that needs no quotes.
    fn name(&mut self, with_colon: bool) -> Result<&'a str> {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || (with_colon && letter == ':');
        if self.peek().is_none_or(|letter| letter.is_ascii_digit() || !fits(letter)) {
            let what = if with_colon { "a metric's name" } else { "a label's name" };
            return Err(self.wrong(format!("expected {what}, found {}", self.shown())));
        }
        Ok(self.take_while(fits))
    }

    /// A text in quotes.
    fn quoted(&mut self) -> Result<Cow<'a, str>> {
        self.expect('"')?;
        let start = self.at;
        let plain = self.take_while(|letter| !matches!(letter, '"' | '\\'));
        if self.take('"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                None => return Err(Wrong::new(start, "the quote is not closed")),
                Some('"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some('\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some('n') => text.push('\n'),
                        Some(letter @ ('"' | '\\')) => text.push(letter),
                        // As Prometheus does, which keeps what it does not know.
                        Some(letter) => text.extend(['\\', letter]),
                        None => return Err(Wrong::new(start, "the quote is not closed")),
                    }
                    self.at += self.peek().map_or(0, char::len_utf8);
                }
                Some(_) => text.push_str(self.take_while(|letter| !matches!(letter, '"' | '\\'))),
            }
        }
    }

    fn sample(mut self, format: TextFormat) -> Result<Sample<'a>> {
        let mut name = if self.peek() == Some('{') { None } else { Some(Cow::Borrowed(self.name(true)?)) };
        self.skip_blanks();
        let mut labels = Labels::new();
        let start = self.at;
        if self.take('{') {
            self.labels(&mut labels, Some(&mut name))?;
            self.skip_blanks();
        }
        let name = name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Wrong::new(start, "there is no metric's name"))?;
        let value = Measured::Number(self.number("a value")?);
        self.skip_blanks();
        let mut timestamp = None;
        if self.peek().is_some_and(|letter| letter != '#') {
            timestamp = Some(self.timestamp(format)?);
            self.skip_blanks();
        }
        let mut exemplars = Vec::new();
        if format == TextFormat::OpenMetrics && self.take('#') {
            exemplars.push(self.exemplar()?);
            self.skip_blanks();
        }
        match self.peek() {
            None => Ok(Sample { name, labels, value, timestamp, exemplars }),
            Some(_) => Err(self.wrong(format!("expected the end of the line, found {}", self.shown()))),
        }
    }

    /// Labels behind their brace, to the closing one. A lone quoted text is the metric's name.
    fn labels(&mut self, labels: &mut Labels<'a>, mut metric: Option<&mut Option<Cow<'a, str>>>) -> Result<()> {
        let mut names = Names::default();
        loop {
            self.skip_blanks();
            if self.take('}') {
                return Ok(());
            }
            let start = self.at;
            let is_quoted = self.peek() == Some('"');
            let name = if is_quoted { self.quoted()? } else { Cow::Borrowed(self.name(false)?) };
            self.skip_blanks();
            if is_quoted && matches!(self.peek(), Some(',' | '}')) {
                match &mut metric {
                    Some(metric) if metric.is_none() => **metric = Some(name),
                    _ => return Err(Wrong::new(start, "the metric's name is given twice")),
                }
            } else {
                self.expect('=')?;
                self.skip_blanks();
                let value = self.quoted()?;
                if name == "__name__" || names.is_twice(labels, name.clone()) {
                    return Err(Wrong::new(start, format!("label {name:?} is given twice")));
                }
                if name.is_empty() {
                    return Err(Wrong::new(start, "a label has an empty name"));
                }
                if labels.len() >= MAX_LABELS {
                    return Err(Wrong::new(start, format!("there are more than {MAX_LABELS} labels")));
                }
                labels.push((name, value));
                self.skip_blanks();
            }
            if self.peek() != Some('}') {
                self.expect(',')?;
            }
        }
    }

    fn number(&mut self, what: &str) -> Result<f64> {
        let start = self.at;
        let word = self.word();
        number(word).ok_or_else(|| Wrong::new(start, format!("expected {what}, found {word:?}")))
    }

    /// Milliseconds.
    fn timestamp(&mut self, format: TextFormat) -> Result<i64> {
        let start = self.at;
        let word = self.word();
        let parsed = match format {
            TextFormat::Prometheus => word.parse::<i64>().ok(),
            TextFormat::OpenMetrics => number(word).map(|seconds| (seconds * 1_000.0).round()).and_then(whole),
        };
        let milliseconds = parsed.ok_or_else(|| Wrong::new(start, format!("expected a timestamp, found {word:?}")))?;
        match milliseconds.checked_mul(1_000_000) {
            Some(_) => Ok(milliseconds),
            None => Err(Wrong::new(start, format!("the timestamp {word} is outside the years 1677 to 2262"))),
        }
    }

    fn exemplar(&mut self) -> Result<Exemplar<'a>> {
        self.skip_blanks();
        self.expect('{')?;
        let mut labels = Labels::new();
        self.labels(&mut labels, None)?;
        self.skip_blanks();
        let value = self.number("an exemplar's value")?;
        self.skip_blanks();
        let start = self.at;
        let timestamp = if self.peek().is_some() { Some(self.timestamp(TextFormat::OpenMetrics)?) } else { None };
        if timestamp.is_some_and(|time| time < 0) {
            return Err(Wrong::new(start, "an exemplar's timestamp is before 1970"));
        }
        Ok(Exemplar { labels, value, timestamp })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "its size was looked at")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9e18).then_some(number as i64)
}

/// A number as Go reads it, hexadecimal ones left out.
fn number(word: &str) -> Option<f64> {
    let is_number = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
    if word.chars().all(is_number) { word.parse().ok() } else { None }
}

fn type_number(format: TextFormat, word: &str) -> Option<i32> {
    let is_open = format == TextFormat::OpenMetrics;
    Some(match word {
        "counter" => COUNTER,
        "gauge" => GAUGE,
        "histogram" => HISTOGRAM,
        "summary" => SUMMARY,
        "untyped" if !is_open => 0,
        "unknown" => 0,
        "gaugehistogram" => GAUGE_HISTOGRAM,
        "info" => INFO,
        "stateset" => STATE_SET,
        _ => return None,
    })
}

fn unescaped_help(text: &str, with_quotes: bool) -> String {
    let mut help = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, false) => help.push(letter),
            _ => match letters.next() {
                Some('n') => help.push('\n'),
                Some('\\') | None => help.push('\\'),
                Some('"') if with_quotes => help.push('"'),
                Some(other) => help.extend(['\\', other]),
            },
        }
    }
    help
}
