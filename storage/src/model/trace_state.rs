//! What does a span's `tracestate` say of sampling?
//!
//! W3C's list has an entry of OpenTelemetry's, `ot=`, of parts `key:value` between semicolons. Two of them are read here: `th`, the threshold
//! by which the span's trace was sampled, and `rv`, what it was compared with where that is not the trace's id. Both are 56 bits in
//! hex; a threshold has no zeros at its end.
//!
//! H1  A trace whose randomness reaches the threshold is kept: the same trace everywhere, and by each lower threshold too.
//! H2  Setting a threshold and taking it away again gives what taking away the first one gives; nothing else is touched. What is
//!     malformed says nothing.

use super::TraceId;
use std::borrow::Cow;
use std::ops::Range;

/// No randomness is so large.
const END: u64 = 1 << 56;
const DIGITS: usize = 14;

/// Traces below it are not kept. The least one keeps all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Threshold(u64);

impl Threshold {
    /// Keeps a share of all traces.
    pub fn of_share(share: f64) -> Self {
        let dropped = (1.0 - share.clamp(0.0, 1.0)) * END as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^56; a cast saturates"
        )]
        Threshold(dropped.round() as u64)
    }

    /// The least that does not keep a trace of this randomness.
    pub fn above(randomness: u64) -> Self {
        Threshold(randomness.saturating_add(1).min(END))
    }

    /// Whether it keeps a trace of this randomness (H1).
    pub fn keeps(self, randomness: u64) -> bool {
        randomness >= self.0
    }

    /// Whether it keeps every trace.
    pub fn keeps_all(self) -> bool {
        self.0 == 0
    }

    /// How many traces there were for each that was kept.
    pub fn adjusted_count(self) -> f64 {
        END as f64 / END.saturating_sub(self.0).max(1) as f64
    }

    /// As it stands behind `th:`.
    fn to_hex(self) -> String {
        let digits = format!("{:014x}", self.0.min(END - 1));
        match digits.trim_end_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }
}

/// The last 56 bits of a trace's id: what a threshold is compared with.
pub fn randomness(trace: &TraceId) -> u64 {
    u64::try_from(u128::from_be_bytes(trace.0) & u128::from(END - 1)).unwrap_or_default()
}

/// What a threshold is compared with instead, where the text says so.
pub fn explicit_randomness(state: &str) -> Option<u64> {
    let digits = state.get(part(state, "rv")?)?;
    if digits.len() == DIGITS { hex(digits) } else { None }
}

/// The threshold of a text, if it has one.
pub fn threshold(state: &str) -> Option<Threshold> {
    let digits = state.get(part(state, "th")?)?;
    let shift = 4 * DIGITS.checked_sub(digits.len())?;
    hex(digits).map(|value| Threshold(value << shift))
}

/// The text with at least a threshold: of two that a trace has passed the higher one tells its share.
pub fn with_threshold(state: &str, least: Threshold) -> Cow<'_, str> {
    if least.keeps_all() || threshold(state).is_some_and(|there| there >= least) {
        return Cow::Borrowed(state);
    }
    let digits = least.to_hex();
    if let Some(there) = part(state, "th") {
        let [before, _, behind] = cut(state, &there);
        return Cow::Owned(format!("{before}{digits}{behind}"));
    }
    Cow::Owned(match entry(state) {
        Some(entry) => {
            let [before, parts, behind] = cut(state, &entry);
            let semicolon = if parts.is_empty() { "" } else { ";" };
            format!("{before}th:{digits}{semicolon}{parts}{behind}")
        }
        None if state.is_empty() => format!("ot=th:{digits}"),
        None => format!("ot=th:{digits},{state}"),
    })
}

/// The text without a threshold: what tells two spans apart, however they were sampled.
pub fn without_threshold(state: &str) -> Cow<'_, str> {
    let Some(entry) = entry(state) else { return Cow::Borrowed(state) };
    if part(state, "th").is_none() && !entry.is_empty() {
        return Cow::Borrowed(state);
    }
    let [before, parts, behind] = cut(state, &entry);
    let parts: Vec<&str> = parts.split(';').filter(|part| !part.starts_with("th:")).collect();
    let parts = parts.join(";");
    if !parts.is_empty() {
        return Cow::Owned(format!("{before}{parts}{behind}"));
    }
    let others: Vec<&str> = state.split(',').filter(|member| !is_ours(member)).collect();
    Cow::Owned(others.join(","))
}

/// What is before a range, in it, and behind it.
fn cut<'a>(state: &'a str, range: &Range<usize>) -> [&'a str; 3] {
    [0..range.start, range.clone(), range.end..state.len()].map(|range| state.get(range).unwrap_or_default())
}

fn is_ours(member: &str) -> bool {
    member.trim_start().starts_with("ot=")
}

/// Where the value of OpenTelemetry's entry is.
fn entry(state: &str) -> Option<Range<usize>> {
    let mut at = 0;
    for member in state.split(',') {
        if is_ours(member) {
            let start = at + member.find('=')? + 1;
            return Some(start..at + member.trim_end().len().max(start - at));
        }
        at += member.len() + 1;
    }
    None
}

/// Where the value of a part of it is.
fn part(state: &str, key: &str) -> Option<Range<usize>> {
    let entry = entry(state)?;
    let mut at = entry.start;
    for part in state.get(entry)?.split(';') {
        if let Some(value) = part.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')) {
            return Some(at + part.len() - value.len()..at + part.len());
        }
        at += part.len() + 1;
    }
    None
}

fn hex(digits: &str) -> Option<u64> {
    let are_digits = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if are_digits { u64::from_str_radix(digits, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn h1_shares_and_thresholds_are_opentelemetrys() {
        let shown = |share| Threshold::of_share(share).to_hex();
        assert_eq!([1.0, 0.5, 0.25, 0.75].map(shown), ["0", "8", "c", "4"]);
        assert_eq!(shown(0.1), "e6666666666668");
        assert_eq!(threshold("ot=th:c"), Some(Threshold::of_share(0.25)));
        assert_eq!(threshold("a=1, ot=rv:0000000000001f;th:c ,b=2"), Some(Threshold::of_share(0.25)));
        assert_eq!(explicit_randomness("a=1, ot=rv:0000000000001f;th:c ,b=2"), Some(0x1f));
        assert_eq!(Threshold::of_share(0.25).adjusted_count(), 4.0);
        let id = TraceId(*b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x01\x02");
        assert_eq!(randomness(&id), 0x102);
        assert!(Threshold::above(0x102).keeps(0x103) && !Threshold::above(0x102).keeps(0x102));
        assert!(!Threshold::of_share(0.0).keeps(END - 1) && Threshold::of_share(1.0).keeps(0));
        assert!(!Threshold::above(END - 1).keeps(END - 1));
    }

    #[test]
    fn h2_what_is_malformed_says_nothing() {
        for state in [
            "",
            "ot",
            "ot=",
            "ot=th",
            "ot=th:",
            "ot=th:xyz",
            "ot=th:+1",
            "ot=th:123456789abcdef",
            "xot=th:8",
            "ot=rv:12",
            "a=th:8",
        ] {
            assert_eq!((threshold(state), explicit_randomness(state)), (None, None), "{state}");
        }
    }

    #[test]
    fn h2_the_higher_threshold_stays_and_others_entries_are_not_touched() {
        let quarter = Threshold::of_share(0.25);
        let check = |state: &str, expected: &str| {
            let set = with_threshold(state, quarter);
            assert_eq!(set, expected);
            assert_eq!(without_threshold(&set), without_threshold(state), "{state}");
        };
        check("", "ot=th:c");
        check("a=1,b=2", "ot=th:c,a=1,b=2");
        check("ot=th:8", "ot=th:c");
        check("ot=th:e", "ot=th:e");
        check("a=1,ot=rv:0000000000001f,b=2", "a=1,ot=th:c;rv:0000000000001f,b=2");
        check("a=1,ot=rv:0000000000001f;th:8,b=2", "a=1,ot=rv:0000000000001f;th:c,b=2");
        check("ot=", "ot=th:c");
        assert_eq!(with_threshold("a=1", Threshold::default()), "a=1");
        assert_eq!(without_threshold("a=1,ot=th:8,b=2"), "a=1,b=2");
    }

    proptest! {
        #[test]
        fn h2_holds_for_any_text(state in "[a-c=,;: ot hrv0-9é]{0,40}|(a=1,)?ot=(th:[0-9a-f]{1,14};)?(rv:[0-9a-f]{14})?(,b= 2)?", value in 1..END) {
            let set = with_threshold(&state, Threshold(value));
            prop_assert!(threshold(&set) >= Some(Threshold(value)));
            prop_assert_eq!(without_threshold(&set), without_threshold(&state));
            prop_assert_eq!(explicit_randomness(&set), explicit_randomness(&state));
        }
    }
}
