//! How is an attribute's value shown, searched and written into a filter?
//!
//! Nesting is bounded by the JSON reader (128 levels), so recursion here is bounded too.

use super::lower::lower;
use query_api::otlp::{AnyValue, KeyValue};

/// A value as one line of text; lists and maps as JSON writes them.
pub fn text(value: &AnyValue) -> String {
    match value {
        AnyValue::StringValue(text) => text.clone(),
        other => {
            let mut out = String::new();
            write(&mut out, other);
            out
        }
    }
}

fn write(out: &mut String, value: &AnyValue) {
    match value {
        AnyValue::StringValue(text) => write_quoted(out, text),
        AnyValue::BoolValue(value) => out.push_str(if *value { "true" } else { "false" }),
        AnyValue::IntValue(value) => out.push_str(&value.to_string()),
        AnyValue::DoubleValue(value) => out.push_str(&value.to_string()),
        AnyValue::BytesValue(base64) => write_quoted(out, base64),
        AnyValue::Empty(_) => out.push_str("null"),
        AnyValue::ArrayValue(list) => {
            out.push('[');
            for (i, item) in list.values.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write(out, item);
            }
            out.push(']');
        }
        AnyValue::KvlistValue(map) => {
            out.push('{');
            for (i, entry) in map.values.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                write_quoted(out, &entry.key);
                out.push_str(": ");
                write(out, &entry.value);
            }
            out.push('}');
        }
    }
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The word for a value's type.
pub fn kind(value: &AnyValue) -> &'static str {
    match value {
        AnyValue::StringValue(_) => "string",
        AnyValue::BoolValue(_) => "bool",
        AnyValue::IntValue(_) => "int",
        AnyValue::DoubleValue(_) => "double",
        AnyValue::ArrayValue(_) => "array",
        AnyValue::KvlistValue(_) => "map",
        AnyValue::BytesValue(_) => "bytes",
        AnyValue::Empty(_) => "empty",
    }
}

/// The text of an attribute by key.
pub fn find(attributes: &[KeyValue], key: &str) -> Option<String> {
    attributes.iter().find(|attribute| attribute.key == key).map(|attribute| text(&attribute.value))
}

/// Whether key or value holds the text, in any case; the empty text is held by all.
pub fn matches(attribute: &KeyValue, wanted: &str) -> bool {
    let wanted = lower(wanted.trim());
    wanted.is_empty() || lower(&attribute.key).contains(&wanted) || lower(&text(&attribute.value)).contains(&wanted)
}

/// Whether a value can be filtered by with `key=value`.
pub fn can_filter(value: &AnyValue) -> bool {
    matches!(
        value,
        AnyValue::StringValue(_) | AnyValue::BoolValue(_) | AnyValue::IntValue(_) | AnyValue::DoubleValue(_)
    )
}

/// The same in the order of their keys.
pub fn sorted(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let mut sorted = attributes.to_vec();
    sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    sorted
}

/// `key=value, key=value` for a legend; the empty list is the empty text.
pub fn joined(attributes: &[KeyValue]) -> String {
    let parts: Vec<String> = attributes.iter().map(|a| format!("{}={}", a.key, text(&a.value))).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use query_api::otlp::{ArrayValue, KeyValueList};

    #[test]
    fn values_are_shown_as_json_except_plain_text() {
        assert_eq!(text(&AnyValue::StringValue("a \"b\"".into())), "a \"b\"");
        let list = AnyValue::ArrayValue(ArrayValue {
            values: vec![AnyValue::StringValue("a\n\"".into()), AnyValue::IntValue(-1), AnyValue::default()],
        });
        assert_eq!(text(&list), r#"["a\n\"", -1, null]"#);
        let map = AnyValue::KvlistValue(KeyValueList { values: vec![KeyValue { key: "k".into(), value: list }] });
        assert_eq!(text(&map), r#"{"k": ["a\n\"", -1, null]}"#);
    }

    #[test]
    fn search_looks_at_keys_and_values_in_any_case() {
        let attribute = KeyValue { key: "http.Method".into(), value: AnyValue::StringValue("GET".into()) };
        assert!(matches(&attribute, "method") && matches(&attribute, " get ") && matches(&attribute, ""));
        assert!(!matches(&attribute, "post"));
    }
}
