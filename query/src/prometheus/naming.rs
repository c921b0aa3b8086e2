//! What is a metric or an attribute called in Prometheus?

use crate::config::TranslationStrategy;

/// What a metric's name is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) is_counter: bool,
    pub(super) is_gauge: bool,
}

impl Named<'_> {
    /// The name that a strategy makes of it; `None` where nothing would be left.
    pub(super) fn metric(&self, strategy: TranslationStrategy) -> Option<String> {
        if self.name.is_empty() {
            return None;
        }
        let name = match strategy {
            TranslationStrategy::UnderscoreEscapingWithSuffixes => self.words_with_suffixes()?,
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes => escaped(self.name),
            TranslationStrategy::NoUtf8EscapingWithSuffixes => self.with_suffixes(),
            TranslationStrategy::NoTranslation => self.name.to_owned(),
        };
        let is_left = !name.is_empty() && (name == self.name || !name.bytes().all(|byte| byte == b'_'));
        is_left.then_some(name)
    }

    /// Words joined by underscores, then the words of unit and kind that are not among them.
    fn words_with_suffixes(&self) -> Option<String> {
        let mut words: Vec<String> = words(self.name).map(str::to_owned).collect();
        if words.is_empty() {
            return None;
        }
        let (unit, per) = self.unit_parts();
        let suffixes = [unit_word(unit, cleaned), per_word(per, cleaned).map(|per| format!("per_{per}"))];
        for suffix in suffixes.into_iter().flatten() {
            if !words.contains(&suffix) {
                words.push(suffix);
            }
        }
        if self.is_counter {
            move_to_end(&mut words, "total");
        }
        if self.is_ratio() {
            move_to_end(&mut words, "ratio");
        }
        Some(after_digit(words.join("_")))
    }

    /// The name as it is, then unit and kind unless it ends with them.
    fn with_suffixes(&self) -> String {
        let (unit, per) = self.unit_parts();
        let per = per_word(per, uncleaned).map(|per| format!("per_{per}"));
        let kinds = [per.as_deref(), self.is_counter.then_some("total"), self.is_ratio().then_some("ratio")];
        let mut name = self.name;
        for kind in kinds.into_iter().rev().flatten() {
            name = without_end(name, kind);
        }
        let mut name = name.to_owned();
        if let Some(unit) = unit_word(unit, uncleaned).filter(|unit| !name.ends_with(unit)) {
            name.extend(["_", &unit]);
        }
        kinds.into_iter().flatten().for_each(|kind| name.extend(["_", kind]));
        name
    }

    fn unit_parts(&self) -> (&str, &str) {
        self.unit.split_once('/').unwrap_or((self.unit, ""))
    }

    fn is_ratio(&self) -> bool {
        self.is_gauge && self.unit == "1"
    }
}

/// What every name that a strategy makes of this one begins with.
pub(super) fn certain_start(name: &str, strategy: TranslationStrategy) -> String {
    match strategy {
        TranslationStrategy::UnderscoreEscapingWithSuffixes => {
            // Those two may move to the end.
            let kept: Vec<&str> = words(name).take_while(|word| !matches!(*word, "total" | "ratio")).collect();
            after_digit(kept.join("_"))
        }
        TranslationStrategy::UnderscoreEscapingWithoutSuffixes => escaped(name),
        TranslationStrategy::NoUtf8EscapingWithSuffixes => {
            let kept = without_end(without_end(name, "ratio"), "total");
            // A unit per another may be taken off before it is put on.
            let before = kept.find("per_").and_then(|at| kept.get(..at));
            without_last(before.unwrap_or(kept), usize::from(before.is_some())).to_owned()
        }
        TranslationStrategy::NoTranslation => name.to_owned(),
    }
}

/// A name without an end and the letter before it, unless no more is left.
fn without_end<'n>(name: &'n str, end: &str) -> &'n str {
    match name.strip_suffix(end) {
        Some(rest) if rest.len() > 1 => without_last(rest, 1),
        _ => name,
    }
}

fn without_last(text: &str, letters: usize) -> &str {
    let mut kept = text.chars();
    for _ in 0..letters {
        kept.next_back();
    }
    kept.as_str()
}

fn after_digit(name: String) -> String {
    if name.starts_with(|letter: char| letter.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// A name with an underscore for each run of letters that Prometheus's older names do not have.
fn escaped(name: &str) -> String {
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, ':' | '_'));
    after_digit(parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_"))
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != ':');
    parts.filter(|word| !word.is_empty())
}

fn move_to_end(words: &mut Vec<String>, word: &str) {
    words.retain(|other| other != word);
    words.push(word.to_owned());
}

fn unit_word(unit: &str, unknown: fn(&str) -> Option<String>) -> Option<String> {
    let word = match unit.trim() {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        // As Prometheus's receiver spells it.
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        other => return unknown(other),
    };
    (!word.is_empty()).then(|| word.to_owned())
}

fn per_word(unit: &str, unknown: fn(&str) -> Option<String>) -> Option<String> {
    let word = match unit.trim() {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => return unknown(other),
    };
    Some(word.to_owned())
}

/// A unit that is in no list; those in braces are remarks.
fn cleaned(unit: &str) -> Option<String> {
    if unit.contains(['{', '}']) {
        return None;
    }
    let words: Vec<&str> = words(unit).collect();
    (!words.is_empty()).then(|| words.join("_"))
}

/// The same as it is.
fn uncleaned(unit: &str) -> Option<String> {
    (!unit.is_empty() && !unit.contains(['{', '}'])).then(|| unit.to_owned())
}

/// A label's name; `None` for the metric's own name, which no attribute sets, and where nothing would be left.
pub(super) fn label(key: &str, strategy: TranslationStrategy) -> Option<String> {
    if key.is_empty() || key == crate::series::NAME {
        return None;
    }
    if !strategy.escapes() {
        return Some(key.to_owned());
    }
    let name: String = key.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    if name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return Some(format!("key_{name}"));
    }
    // Two of them are for names of Prometheus's own.
    let name = if name.starts_with('_') && !name.starts_with("__") { format!("key{name}") } else { name };
    (name == key || !name.bytes().all(|byte| byte == b'_')).then_some(name)
}
