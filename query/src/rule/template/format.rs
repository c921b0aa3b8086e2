//! What does `printf` write? Go's verbs, flags, widths and precisions.

use super::value::Value;
use crate::series::number::{general, significant};
use crate::series::quoted;

/// Letters that a width may fill.
const MOST_WIDTH: usize = 1_000;

/// How a value is asked for.
#[derive(Debug, Default, Clone, Copy)]
struct Wish {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// A text with its verbs replaced by values.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let wish = wish(&mut letters, &mut values);
        match letters.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&one(value, verb, wish)),
            },
        }
    }
    let left: Vec<String> = values.map(|value| format!("{}={}", value.type_name(), value.printed())).collect();
    if !left.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    out
}

fn wish(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, values: &mut std::slice::Iter<'_, Value>) -> Wish {
    let mut wish = Wish::default();
    while let Some(letter) = letters.peek() {
        match letter {
            '-' => wish.minus = true,
            '+' => wish.plus = true,
            ' ' => wish.space = true,
            '0' => wish.zero = true,
            '#' => wish.sharp = true,
            _ => break,
        }
        letters.next();
    }
    wish.width = count(letters, values);
    if letters.next_if_eq(&'.').is_some() {
        wish.precision = Some(count(letters, values).unwrap_or(0));
    }
    wish
}

/// A number of letters, or a star for the next value.
fn count(
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    values: &mut std::slice::Iter<'_, Value>,
) -> Option<usize> {
    if letters.next_if_eq(&'*').is_some() {
        let Some(Value::Int(count)) = values.next() else { return None };
        return usize::try_from(*count).ok().map(|count| count.min(MOST_WIDTH));
    }
    let mut count: Option<usize> = None;
    while let Some(digit) = letters.peek().and_then(|letter| letter.to_digit(10)) {
        let digit = usize::try_from(digit).unwrap_or(0);
        count = Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit).min(MOST_WIDTH));
        letters.next();
    }
    count
}

fn one(value: &Value, verb: char, wish: Wish) -> String {
    let bad = || format!("%!{verb}({}={})", value.type_name(), value.printed());
    match (verb, value) {
        ('T', _) => padded(value.type_name(), wish),
        ('v', Value::Float(number)) => signed(float(*number, 'v', wish), *number < 0.0, wish),
        ('v' | 'd', Value::Int(number)) => signed(integer(*number, 10), *number < 0, wish),
        ('d', Value::Duration(number)) => signed(integer(*number, 10), *number < 0, wish),
        ('v' | 's', Value::Text(text)) => padded(&cut(text, wish), wish),
        ('v' | 's', Value::Histogram(_) | Value::Time(_) | Value::Duration(_)) => padded(&value.printed(), wish),
        ('v', Value::Nil) => padded("<nil>", wish),
        ('v', _) => padded(&value.printed(), wish),
        ('s', Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_)) => bad(),
        ('s', _) => padded(&cut(&value.printed(), wish), wish),
        ('q', Value::Text(text)) => padded(&quoted(cut(text, wish).as_bytes()), wish),
        ('q', Value::Histogram(_) | Value::Time(_) | Value::Duration(_)) => {
            padded(&quoted(value.printed().as_bytes()), wish)
        }
        ('t', Value::Bool(value)) => padded(&value.to_string(), wish),
        ('x', Value::Text(text)) => padded(&hex(text.as_bytes()), wish),
        ('X', Value::Text(text)) => padded(&hex(text.as_bytes()).to_uppercase(), wish),
        ('x', Value::Int(number)) => signed(mark(integer(*number, 16), "0x", wish), *number < 0, wish),
        ('X', Value::Int(number)) => signed(mark(integer(*number, 16).to_uppercase(), "0X", wish), *number < 0, wish),
        ('o', Value::Int(number)) => signed(mark(integer(*number, 8), "0", wish), *number < 0, wish),
        ('b', Value::Int(number)) => signed(integer(*number, 2), *number < 0, wish),
        ('c', Value::Int(number)) => {
            let letter = u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
            padded(&letter.to_string(), wish)
        }
        ('U', Value::Int(number)) => padded(&format!("U+{number:04X}"), wish),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(number)) => {
            let text = float(*number, verb.to_ascii_lowercase(), wish);
            let text = if verb == 'E' || verb == 'G' { text.replace('e', "E") } else { text };
            signed(text, number.is_sign_negative() && !number.is_nan(), wish)
        }
        _ => bad(),
    }
}

fn cut(text: &str, wish: Wish) -> String {
    text.chars().take(wish.precision.unwrap_or(usize::MAX)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mark(digits: String, mark: &str, wish: Wish) -> String {
    if wish.sharp { format!("{mark}{digits}") } else { digits }
}

/// Without its sign.
fn integer(number: i64, radix: u32) -> String {
    let size = number.unsigned_abs();
    match radix {
        16 => format!("{size:x}"),
        8 => format!("{size:o}"),
        2 => format!("{size:b}"),
        _ => size.to_string(),
    }
}

/// Without its sign.
fn float(number: f64, verb: char, wish: Wish) -> String {
    let size = number.abs();
    if !size.is_finite() {
        return if size.is_nan() { "NaN".to_owned() } else { "Inf".to_owned() };
    }
    match (verb, wish.precision) {
        ('f', precision) => format!("{size:.*}", precision.unwrap_or(6)),
        ('e', precision) => {
            let text = format!("{size:.*e}", precision.unwrap_or(6));
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        (_, Some(precision)) => significant(size, precision.max(1)),
        (_, None) => general(size),
    }
}

/// A number with its sign, as wide as it is asked for.
fn signed(digits: String, is_negative: bool, wish: Wish) -> String {
    let sign = match () {
        () if is_negative => "-",
        () if wish.plus => "+",
        () if wish.space => " ",
        // An infinite number always has one.
        () if digits == "Inf" => "+",
        () => "",
    };
    let width = wish.width.unwrap_or(0);
    let is_number = digits.starts_with(|letter: char| letter.is_ascii_hexdigit());
    if wish.zero && !wish.minus && is_number {
        let zeros = width.saturating_sub(sign.len() + digits.chars().count());
        return format!("{sign}{}{digits}", "0".repeat(zeros));
    }
    padded(&format!("{sign}{digits}"), wish)
}

fn padded(text: &str, wish: Wish) -> String {
    let spaces = " ".repeat(wish.width.unwrap_or(0).saturating_sub(text.chars().count()));
    if wish.minus { format!("{text}{spaces}") } else { format!("{spaces}{text}") }
}
