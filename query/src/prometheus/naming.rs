//! What is a metric or an attribute called in Prometheus?

/// What a metric's name is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    pub(super) unit: &'a str,
    pub(super) is_counter: bool,
    pub(super) is_gauge: bool,
}

impl Named<'_> {
    /// The name with suffixes for unit and kind; `None` where nothing would be left.
    pub(super) fn metric(&self) -> Option<String> {
        let mut words: Vec<String> = words(self.name).map(str::to_owned).collect();
        if words.is_empty() {
            return None;
        }
        let (unit, per) = self.unit.split_once('/').map_or((self.unit, ""), |(unit, per)| (unit, per));
        let suffixes = [unit_word(unit), per_word(per).map(|per| format!("per_{per}"))];
        for suffix in suffixes.into_iter().flatten() {
            if !words.contains(&suffix) {
                words.push(suffix);
            }
        }
        if self.is_counter {
            move_to_end(&mut words, "total");
        }
        if self.is_gauge && self.unit == "1" {
            move_to_end(&mut words, "ratio");
        }
        let name = words.join("_");
        let starts_with_digit = name.starts_with(|letter: char| letter.is_ascii_digit());
        Some(if starts_with_digit { format!("_{name}") } else { name })
    }
}

/// What every name that is made of this one begins with.
pub(super) fn certain_start(name: &str) -> String {
    let kept: Vec<&str> = words(name).filter(|word| !matches!(*word, "total" | "ratio")).collect();
    let start = kept.join("_");
    if start.starts_with(|letter: char| letter.is_ascii_digit()) { format!("_{start}") } else { start }
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != ':');
    parts.filter(|word| !word.is_empty())
}

fn move_to_end(words: &mut Vec<String>, word: &str) {
    words.retain(|other| other != word);
    words.push(word.to_owned());
}

fn unit_word(unit: &str) -> Option<String> {
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
        other => return cleaned(other),
    };
    (!word.is_empty()).then(|| word.to_owned())
}

fn per_word(unit: &str) -> Option<String> {
    let word = match unit.trim() {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        other => return cleaned(other),
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

/// A label's name; `None` for the metric's own name, which no attribute sets.
pub(super) fn label(key: &str) -> Option<String> {
    let name: String = key.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    if name.is_empty() || key == crate::series::NAME {
        return None;
    }
    if name.starts_with(|letter: char| letter.is_ascii_digit()) {
        return Some(format!("key_{name}"));
    }
    // Two of them are for names of Prometheus's own.
    Some(if name.starts_with('_') && !name.starts_with("__") { format!("key{name}") } else { name })
}
