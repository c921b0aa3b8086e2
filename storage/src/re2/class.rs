//! Which letters does a class of RE2 name, such as `[a-f]`, `\d` or `[[:alpha:]]`, and which one an escape?

use super::{before, write_letter, wrong};

const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A class in brackets, in the other syntax, and what follows.
pub(super) fn read(text: &str) -> Result<(String, &str), String> {
    let mut class = String::from("[");
    let mut rest = text.get(1..).unwrap_or_default();
    if let Some(negated) = rest.strip_prefix('^') {
        class.push('^');
        rest = negated;
    }
    let mut is_first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']').filter(|_| !is_first) {
            class.push(']');
            return Ok((class, after));
        }
        is_first = false;
        if let Some((named, after)) = named(rest)? {
            class.push_str(named);
            rest = after;
            continue;
        }
        if let Some((escaped, after)) = escaped(rest)? {
            class.push_str(&escaped);
            rest = after;
            continue;
        }
        let begun = rest;
        let (low, after) = letter(rest, text)?;
        let (high, after) = match after.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']')) {
            Some(after) => letter(after, text)?,
            None => (low, after),
        };
        if high < low {
            return wrong("invalid character class range", before(begun, after));
        }
        write_letter(&mut class, low);
        if high > low {
            class.push('-');
            write_letter(&mut class, high);
        }
        rest = after;
    }
}

/// `[:alpha:]` and its like.
fn named(text: &str) -> Result<Option<(&str, &str)>, String> {
    let Some((name, rest)) = text.strip_prefix("[:").and_then(|text| text.split_once(":]")) else { return Ok(None) };
    let whole = before(text, rest);
    if NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        Ok(Some((whole, rest)))
    } else {
        wrong("invalid character class range", whole)
    }
}

/// A class that is one escape, to stand in brackets, and what follows.
pub(super) fn escaped(text: &str) -> Result<Option<(String, &str)>, String> {
    let Some(escape) = text.strip_prefix('\\') else { return Ok(None) };
    let Some(letter) = escape.chars().next() else { return Ok(None) };
    let rest = escape.get(letter.len_utf8()..).unwrap_or_default();
    let class = match letter {
        'd' => "0-9",
        'D' => "[^0-9]",
        's' => r"\t\n\x0C\r\x20",
        'S' => r"[^\t\n\x0C\r\x20]",
        'w' => "0-9A-Za-z_",
        'W' => "[^0-9A-Za-z_]",
        'p' | 'P' => return unicode(text, rest, letter == 'P').map(Some),
        _ => return Ok(None),
    };
    Ok(Some((class.to_owned(), rest)))
}

/// `\pL`, `\p{Greek}`, `\p{^Greek}`.
fn unicode<'t>(text: &'t str, after: &'t str, mut is_negated: bool) -> Result<(String, &'t str), String> {
    let (name, rest) = match after.strip_prefix('{') {
        Some(braced) => match braced.split_once('}') {
            Some(found) => found,
            None => return wrong("invalid character class range", text),
        },
        None => match after.chars().next() {
            Some(letter) => after.split_at(letter.len_utf8()),
            None => return wrong("invalid character class range", text),
        },
    };
    let plain = name.strip_prefix('^').unwrap_or(name);
    is_negated ^= plain.len() < name.len();
    let sign = if is_negated { 'P' } else { 'p' };
    let class = format!(r"\{sign}{{{plain}}}");
    let is_name = !plain.is_empty() && plain.chars().all(|letter| letter == '_' || letter.is_ascii_alphabetic());
    // What classes there are is the compiler's to know.
    if is_name && regex_syntax::parse(&class).is_ok() {
        Ok((class, rest))
    } else {
        wrong("invalid character class range", before(text, rest))
    }
}

/// A letter of a class, and what follows.
fn letter<'t>(text: &'t str, class: &str) -> Result<(char, &'t str), String> {
    match text.chars().next() {
        None => wrong("missing closing ]", class),
        Some('\\') => escaped_letter(text),
        Some(letter) => Ok((letter, text.get(letter.len_utf8()..).unwrap_or_default())),
    }
}

/// The letter that an escape stands for, and what follows.
pub(super) fn escaped_letter(text: &str) -> Result<(char, &str), String> {
    let escape = text.get(1..).unwrap_or_default();
    let Some(letter) = escape.chars().next() else { return wrong("trailing backslash at end of expression", "") };
    let rest = escape.get(letter.len_utf8()..).unwrap_or_default();
    let bad = |rest: &str| wrong("invalid escape sequence", before(text, rest));
    let found = match letter {
        // One digit alone would be a reference to a group.
        '1'..='7' if !rest.starts_with(|next: char| matches!(next, '0'..='7')) => return bad(rest),
        '0'..='7' => {
            let digits = escape.bytes().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
            let (digits, rest) = escape.split_at(digits);
            (u32::from_str_radix(digits, 8).ok().and_then(char::from_u32), rest)
        }
        'x' => hexadecimal(rest),
        'a' => (Some('\u{7}'), rest),
        'f' => (Some('\u{C}'), rest),
        'n' => (Some('\n'), rest),
        'r' => (Some('\r'), rest),
        't' => (Some('\t'), rest),
        'v' => (Some('\u{B}'), rest),
        letter if letter.is_ascii() && !letter.is_ascii_alphanumeric() => (Some(letter), rest),
        _ => (None, rest),
    };
    match found {
        (Some(letter), rest) => Ok((letter, rest)),
        (None, rest) => bad(rest),
    }
}

/// `7F` or `{10FFFF}`.
fn hexadecimal(text: &str) -> (Option<char>, &str) {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(braced) => match braced.split_once('}') {
            Some(found) => found,
            None => return (None, ""),
        },
        None => match text.split_at_checked(2) {
            Some(found) => found,
            None => return (None, ""),
        },
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_number.then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)).flatten(), rest)
}
