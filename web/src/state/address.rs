//! How is state written into the URL, and read from it? As query parameters, percent-encoded.
//!
//! U1  `parse` of `encode` gives the same parameters, whatever is in them.
//! U2  Parameters keep their order; a key may occur more than once (`attr`).
//! U3  `carried` are the parameters that every link inside the interface takes along.

/// Parameters that go along from page to page.
pub const CARRIED: [&str; 4] = ["from", "to", "refresh", "tenant"];

/// Query parameters in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=b&c=d`, with or without a leading `?`.
    pub fn parse(query: &str) -> Params {
        let query = query.strip_prefix('?').unwrap_or(query);
        let pairs = query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key), decode(value))
        });
        Params(pairs.collect())
    }

    /// The first value of a key; an empty one counts as absent.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of a key.
    pub fn all(&self, key: &str) -> Vec<String> {
        self.0.iter().filter(|(k, _)| k == key).map(|(_, v)| v.clone()).collect()
    }

    /// Replaces all values of a key by one; none, or an empty one, removes it.
    pub fn set(&mut self, key: &str, value: Option<&str>) {
        let value = value.filter(|v| !v.is_empty());
        match (self.0.iter().position(|(k, _)| k == key), value) {
            (Some(at), Some(value)) => {
                self.0[at].1 = value.to_owned();
                let mut index = 0;
                self.0.retain(|(k, _)| {
                    index += 1;
                    k != key || index - 1 == at
                });
            }
            (None, Some(value)) => self.push(key, value),
            (_, None) => self.0.retain(|(k, _)| k != key),
        }
    }

    /// Replaces all values of a key.
    pub fn set_all(&mut self, key: &str, values: &[String]) {
        self.0.retain(|(k, _)| k != key);
        for value in values {
            self.push(key, value);
        }
    }

    /// Adds a value.
    pub fn push(&mut self, key: &str, value: &str) {
        self.0.push((key.to_owned(), value.to_owned()));
    }

    /// Only the parameters that go along to other pages.
    pub fn carried(&self) -> Params {
        Params(self.0.iter().filter(|(k, _)| CARRIED.contains(&k.as_str())).cloned().collect())
    }

    /// `a=b&c=d`
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (key, value) in &self.0 {
            if !out.is_empty() {
                out.push('&');
            }
            encode_into(&mut out, key);
            out.push('=');
            encode_into(&mut out, value);
        }
        out
    }

    /// A path with these parameters behind it.
    pub fn behind(&self, path: &str) -> String {
        let query = self.encode();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// One part of a path or query, percent-encoded.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    encode_into(&mut out, text);
    out
}

fn encode_into(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// Undoes percent-encoding and `+`; what is not valid is left as it is.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a text is a trace id: hex digits, at most 32, not all zero; gives all 32 in lower case. Zeros in front may be missing, as
/// with the APIs: Jaeger once had ids of 16 digits.
pub fn trace_id(text: &str) -> Option<String> {
    let text = text.trim();
    let hex = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b != b'0');
    hex.then(|| format!("{:0>32}", text.to_ascii_lowercase()))
}

/// The same of a text that may as well be a word, such as `cafe`: an id has 16 digits at least.
pub fn pasted_id(text: &str) -> Option<String> {
    trace_id(text).filter(|_| text.trim().len() >= 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_set_replaced_and_removed() {
        let mut params = Params::parse("?attr=a%3Db&service=x&attr=c");
        assert_eq!(params.all("attr"), ["a=b", "c"]);
        params.set("attr", Some("d"));
        params.set("service", None);
        params.set("empty", Some(""));
        assert_eq!(params.encode(), "attr=d");
        params.set_all("attr", &["1".into(), "2 3".into()]);
        assert_eq!(params.behind("/logs"), "/logs?attr=1&attr=2%203");
    }

    #[test]
    fn broken_escapes_are_kept() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz+%41%"), "%zz A%");
    }

    #[test]
    fn trace_ids_are_recognised() {
        assert_eq!(trace_id(&"AB".repeat(16)), Some("ab".repeat(16)));
        assert_eq!(trace_id(&"0".repeat(32)), None);
        assert_eq!(trace_id("Ab"), Some(format!("{}ab", "0".repeat(30))));
        assert_eq!(trace_id("1234567890abcdef"), Some("00000000000000001234567890abcdef".to_owned()));
        for none in ["", "0", "xy", "1 2", &"1".repeat(33)] {
            assert_eq!(trace_id(none), None, "{none}");
        }
        assert_eq!((pasted_id("cafe"), pasted_id("1234567890abcdef")), (None, trace_id("1234567890abcdef")));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(pairs in proptest::collection::vec(("\\PC{1,8}", "\\PC{0,8}"), 0..5)) {
            let params = Params(pairs);
            prop_assert_eq!(Params::parse(&params.encode()), params);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,30}") {
            Params::parse(&text);
        }
    }
}
