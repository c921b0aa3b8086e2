//! What does a regular expression in the syntax of RE2 mean, as Go reads it and so Prometheus, Tempo and Loki do? It is said again in the
//! syntax of the crate `regex`, which differs in what is a repetition, in escapes, in classes and in what `\d` is.
//!
//! T1  What is said again matches the same texts, groups included. What Go refuses is refused, in Go's words; beside that only a group whose
//!     name begins with a digit, a repetition of one that flags part from it, and halves of surrogate pairs, which no text has.
//! T2  Each part carries its flags with it, so that it means the same wherever it stands.
//! T3  Time and memory are linear in the expression; how deep it is nested is the compiler's to limit.

mod class;
mod expand;
#[cfg(test)]
mod tests;

pub use expand::{expand, expanded_len};

/// A repetition may ask for so many, those within it included.
const MOST_REPEATS: u32 = 1000;

/// The expression for a part of a text; `.` is any letter but the end of a line.
pub fn unanchored(expression: &str) -> Result<String, String> {
    Translation::of(expression, Flags::default())
}

/// The expression for a whole text; `.` is any letter.
pub fn anchored(expression: &str) -> Result<String, String> {
    let flags = Flags { is_dot_all: true, ..Flags::default() };
    Ok(format!(r"\A(?:{})\z", Translation::of(expression, flags)?))
}

/// What is wrong, and where.
fn wrong<T>(what: &str, at: &str) -> Result<T, String> {
    const LONGEST: usize = 64;
    let short: String = at.chars().take(LONGEST).collect();
    let rest = if short.len() < at.len() { "…" } else { "" };
    Err(format!("{what}: `{short}{rest}`"))
}

/// The part of a text before another one, which is its end.
fn before<'t>(text: &'t str, rest: &str) -> &'t str {
    text.get(..text.len().saturating_sub(rest.len())).unwrap_or(text)
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    folds_case: bool,
    is_multi_line: bool,
    is_dot_all: bool,
    is_ungreedy: bool,
}

/// A group that is open, or the whole.
#[derive(Debug, Default)]
struct Level {
    /// The flags before it.
    outer: Flags,
    /// What a repetition would repeat: whether it is a repetition itself, and how many times what is within it is.
    last: Option<Part>,
    repeats: u32,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    is_repeated: bool,
    repeats: u32,
}

struct Translation<'e> {
    expression: &'e str,
    out: String,
    flags: Flags,
    levels: Vec<Level>,
    level: Level,
}

impl<'e> Translation<'e> {
    fn of(expression: &'e str, flags: Flags) -> Result<String, String> {
        let level = Level { repeats: 1, ..Level::default() };
        let mut translation = Translation { expression, out: String::new(), flags, levels: Vec::new(), level };
        let mut rest = expression;
        let mut repetition = "";
        while let Some(first) = rest.chars().next() {
            let begun = rest;
            let after = rest.get(first.len_utf8()..).unwrap_or_default();
            let mut repeated = "";
            rest = match first {
                '(' => translation.open(rest)?,
                ')' => translation.close(after)?,
                '|' => {
                    translation.level.last = None;
                    translation.out.push('|');
                    after
                }
                '*' | '+' | '?' => {
                    repeated = begun;
                    translation.repeat(begun, after, repetition, 1)?
                }
                '{' => match Times::read(begun)? {
                    Some((times, after)) => {
                        repeated = begun;
                        translation.repeat(begun, after, repetition, times.most)?
                    }
                    None => translation.literal(first, after),
                },
                '[' => {
                    let (class, after) = class::read(rest)?;
                    translation.class(&class);
                    after
                }
                '\\' => translation.escape(rest)?,
                '.' => translation.part(if translation.flags.is_dot_all { "(?s:.)" } else { "(?-s:.)" }, after),
                '^' => translation.part(if translation.flags.is_multi_line { "(?m:^)" } else { r"\A" }, after),
                '$' => translation.part(if translation.flags.is_multi_line { "(?m:$)" } else { r"\z" }, after),
                letter => translation.literal(letter, after),
            };
            repetition = repeated;
        }
        if !translation.levels.is_empty() {
            return wrong("missing closing )", expression);
        }
        Ok(translation.out)
    }

    /// Writes something that a repetition may follow.
    fn part<'r>(&mut self, text: &str, rest: &'r str) -> &'r str {
        self.out.push_str(text);
        self.level.last = Some(Part { is_repeated: false, repeats: 1 });
        rest
    }

    fn literal<'r>(&mut self, letter: char, rest: &'r str) -> &'r str {
        let folds = self.flags.folds_case && (letter.is_ascii_alphabetic() || !letter.is_ascii());
        if folds {
            self.out.push_str("(?i:");
        }
        if regex_syntax::is_meta_character(letter) {
            self.out.push('\\');
        }
        self.out.push(letter);
        self.part(if folds { ")" } else { "" }, rest)
    }

    fn class(&mut self, class: &str) {
        if self.flags.folds_case {
            self.out.push_str("(?i:");
        }
        self.out.push_str(class);
        self.part(if self.flags.folds_case { ")" } else { "" }, "");
    }

    fn escape<'r>(&mut self, text: &'r str) -> Result<&'r str, String> {
        let rest = text.get(2..).unwrap_or_default();
        match text.as_bytes().get(1) {
            Some(b'A') => return Ok(self.part(r"\A", rest)),
            Some(b'z') => return Ok(self.part(r"\z", rest)),
            Some(b'b') => return Ok(self.part(r"(?-u:\b)", rest)),
            Some(b'B') => return Ok(self.part(r"(?-u:\B)", rest)),
            Some(b'Q') => {
                let (quoted, rest) = rest.split_once(r"\E").unwrap_or((rest, ""));
                for letter in quoted.chars() {
                    self.literal(letter, "");
                }
                return Ok(rest);
            }
            _ => {}
        }
        if let Some((class, rest)) = class::escaped(text)? {
            self.class(&format!("[{class}]"));
            return Ok(rest);
        }
        let (letter, rest) = class::escaped_letter(text)?;
        Ok(self.literal(letter, rest))
    }

    /// Opens a group, or sets flags for the rest of the one that is open.
    fn open<'r>(&mut self, text: &'r str) -> Result<&'r str, String> {
        let Some(perl) = text.strip_prefix("(?") else {
            self.descend("(", self.flags);
            return Ok(text.get(1..).unwrap_or_default());
        };
        if let Some(named) = perl.strip_prefix("P<").or_else(|| perl.strip_prefix('<')) {
            let Some((name, rest)) = named.split_once('>') else { return wrong("invalid named capture", text) };
            let is_name = name.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric());
            if !is_name || name.is_empty() || name.starts_with(|letter: char| letter.is_ascii_digit()) {
                return wrong("invalid named capture", before(text, rest));
            }
            self.descend(&format!("(?P<{name}>"), self.flags);
            return Ok(rest);
        }
        let (mut flags, mut is_on, mut has_flag) = (self.flags, true, false);
        for (at, letter) in perl.char_indices() {
            let flag = match letter {
                'i' => &mut flags.folds_case,
                'm' => &mut flags.is_multi_line,
                's' => &mut flags.is_dot_all,
                'U' => &mut flags.is_ungreedy,
                '-' if is_on => {
                    (is_on, has_flag) = (false, false);
                    continue;
                }
                ':' | ')' if is_on || has_flag => {
                    if letter == ':' {
                        self.descend("(?:", flags);
                    } else {
                        self.flags = flags;
                    }
                    return Ok(perl.get(at + 1..).unwrap_or_default());
                }
                _ => {
                    let rest = perl.get(at + letter.len_utf8()..).unwrap_or_default();
                    return wrong("invalid or unsupported Perl syntax", before(text, rest));
                }
            };
            *flag = is_on;
            has_flag = true;
        }
        wrong("missing closing )", self.expression)
    }

    fn descend(&mut self, opening: &str, flags: Flags) {
        let level = Level { outer: self.flags, last: None, repeats: 1 };
        self.levels.push(std::mem::replace(&mut self.level, level));
        self.out.push_str(opening);
        self.flags = flags;
    }

    fn close<'r>(&mut self, rest: &'r str) -> Result<&'r str, String> {
        let Some(outer) = self.levels.pop() else { return wrong("unexpected )", self.expression) };
        let Level { outer: flags, repeats, .. } = std::mem::replace(&mut self.level, outer);
        self.flags = flags;
        self.level.repeats = self.level.repeats.max(repeats);
        self.out.push(')');
        self.level.last = Some(Part { is_repeated: false, repeats });
        Ok(rest)
    }

    /// Repeats what was written last. `earlier` is where a repetition right before this one begins.
    fn repeat<'r>(&mut self, text: &'r str, mut rest: &'r str, earlier: &str, times: u32) -> Result<&'r str, String> {
        let operator = before(text, rest);
        let is_lazy = rest.starts_with('?');
        rest = rest.strip_prefix('?').unwrap_or(rest);
        if !earlier.is_empty() {
            return wrong("invalid nested repetition operator", before(earlier, rest));
        }
        let Some(part) = self.level.last else {
            return wrong("missing argument to repetition operator", before(text, rest));
        };
        if part.is_repeated {
            return wrong("invalid nested repetition operator", before(text, rest));
        }
        let repeats = part.repeats.saturating_mul(times.max(1));
        if repeats > MOST_REPEATS {
            return wrong("invalid repeat count", operator);
        }
        self.out.push_str(operator);
        if is_lazy != self.flags.is_ungreedy {
            self.out.push('?');
        }
        self.level.repeats = self.level.repeats.max(repeats);
        self.level.last = Some(Part { is_repeated: true, repeats });
        Ok(rest)
    }
}

/// How often `{…}` repeats.
struct Times {
    /// The largest number in it.
    most: u32,
}

impl Times {
    /// Reads `{2}`, `{2,}` or `{2,3}`, and gives what follows; what is none is a text.
    fn read(text: &str) -> Result<Option<(Self, &str)>, String> {
        let Some((least, rest)) = text.strip_prefix('{').and_then(number) else { return Ok(None) };
        let (most, rest) = match rest.strip_prefix(',') {
            None => (Some(least), rest),
            Some(rest) if rest.starts_with('}') => (None, rest),
            Some(rest) => match number(rest) {
                Some((most, rest)) => (Some(most), rest),
                None => return Ok(None),
            },
        };
        let Some(rest) = rest.strip_prefix('}') else { return Ok(None) };
        let largest = most.unwrap_or(least);
        if least > MOST_REPEATS || largest > MOST_REPEATS || largest < least {
            return wrong("invalid repeat count", before(text, rest));
        }
        Ok(Some((Times { most: largest }, rest)))
    }
}

/// A number without zeros before it, and what follows; larger ones are too large.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

/// Writes a letter such that it is nothing else in a class.
fn write_letter(out: &mut String, letter: char) {
    out.push_str(&format!(r"\x{{{:X}}}", u32::from(letter)));
}
