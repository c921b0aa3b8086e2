//! How well does a text fit what is searched for? By Prometheus's own measures, from 0 to 1.

/// Longer texts are compared as a whole only, not letter by letter: that takes up to the square of their length.
const MOST_LETTERS: usize = 2_048;

/// Scores that are no exact matches stay below 1.
const INEXACT: f64 = 0.999;

/// How texts that do not have a term in them are compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// The term's letters come in their order.
    Subsequence,
    JaroWinkler,
}

/// What is searched for: any of some terms.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) terms: Vec<String>,
    pub(super) algorithm: Algorithm,
    /// The least score of what fits but in part.
    pub(super) threshold: f64,
    pub(super) ignores_case: bool,
}

impl Wanted {
    /// The best score by any term, 1 where there is none; `None` where none fits. At most proportional to terms and text, where
    /// that is short, to the square of it.
    pub(super) fn score(&self, text: &str) -> Option<f64> {
        let lower = self.ignores_case.then(|| text.to_lowercase());
        let text = lower.as_deref().unwrap_or(text);
        if self.terms.is_empty() {
            return Some(1.0);
        }
        self.terms.iter().filter_map(|term| self.of_term(term, text)).max_by(f64::total_cmp)
    }

    fn of_term(&self, term: &str, text: &str) -> Option<f64> {
        let is_long = text.len() > MOST_LETTERS || term.len() > MOST_LETTERS;
        match self.algorithm {
            Algorithm::Subsequence if text.starts_with(term) => Some(1.0),
            Algorithm::Subsequence if !is_long => {
                let score = by_letters(term, text, subsequence, subsequence);
                (score > 0.0 && score >= self.threshold).then_some(score)
            }
            Algorithm::JaroWinkler if !is_long && self.threshold > 0.0 && !text.contains(term) => {
                let score = by_letters(term, text, jaro_winkler, jaro_winkler);
                (score >= self.threshold).then_some(score)
            }
            _ => substring(term, text),
        }
    }
}

/// By the bytes where both are ASCII, by their characters otherwise.
fn by_letters(
    term: &str,
    text: &str,
    of_bytes: impl Fn(&[u8], &[u8]) -> f64,
    of_chars: impl Fn(&[char], &[char]) -> f64,
) -> f64 {
    if term == text {
        1.0
    } else if term.is_ascii() && text.is_ascii() {
        of_bytes(term.as_bytes(), text.as_bytes())
    } else {
        let letters = |text: &str| text.chars().collect::<Vec<char>>();
        of_chars(&letters(term), &letters(text))
    }
}

/// The earlier a term stands in a text, the better.
fn substring(term: &str, text: &str) -> Option<f64> {
    let (before, _) = text.split_once(term)?;
    let letters = |text: &str| text.chars().count();
    let most = letters(text).saturating_sub(letters(term));
    Some(if before.is_empty() { 1.0 } else { 1.0 - 0.9 * letters(before) as f64 / most.max(1) as f64 })
}

/// The sum of the squares of runs of letters less what lies between them, of the best place to begin.
fn subsequence<T: PartialEq>(term: &[T], text: &[T]) -> f64 {
    let (Some(first), Some(last_start)) = (term.first(), text.len().checked_sub(term.len())) else { return 0.0 };
    let starts = text.iter().enumerate().take(last_start + 1).filter(|(_, letter)| *letter == first);
    // Where it does not fit from one place, it fits from no later one.
    let scores = starts.map_while(|(start, _)| from(term, text, start));
    let best = scores.max_by(f64::total_cmp).filter(|score| *score >= 0.0);
    best.map_or(0.0, |score| score / (term.len() * term.len()) as f64 * INEXACT)
}

fn from<T: PartialEq>(term: &[T], text: &[T], start: usize) -> Option<f64> {
    let inverse = 1.0 / text.len() as f64;
    let mut wanted = term.iter().peekable();
    let (mut score, mut run, mut gap, mut passed) = (0.0, 0usize, start, start);
    for letter in text.iter().skip(start) {
        let Some(next) = wanted.peek() else { break };
        passed += 1;
        if *next == letter {
            if run == 0 {
                score -= gap as f64 * inverse;
                gap = 0;
            }
            run += 1;
            wanted.next();
        } else {
            score += (run * run) as f64;
            run = 0;
            gap += 1;
        }
    }
    let is_whole = wanted.peek().is_none();
    let trailing = text.len().saturating_sub(passed) as f64;
    is_whole.then_some(score + (run * run) as f64 - trailing * inverse * 0.5)
}

/// The similarity by Jaro, better where the first letters are equal.
fn jaro_winkler<T: PartialEq>(term: &[T], text: &[T]) -> f64 {
    let (short, long) = if term.len() > text.len() { (text, term) } else { (term, text) };
    let distance = (long.len() / 2).saturating_sub(1);
    let mut is_taken = vec![false; long.len()];
    let mut matched: Vec<&T> = Vec::new();
    for (place, letter) in short.iter().enumerate() {
        let near = long.iter().zip(&mut is_taken).take(place + distance + 1).skip(place.saturating_sub(distance));
        if let Some((_, is_taken)) = near.into_iter().find(|(other, is_taken)| *other == letter && !**is_taken) {
            *is_taken = true;
            matched.push(letter);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let others = long.iter().zip(&is_taken).filter(|(_, is_taken)| **is_taken).map(|(letter, _)| letter);
    let transposed = matched.iter().zip(others).filter(|(letter, other)| **letter != *other).count() as f64;
    let count = matched.len() as f64;
    let shares = count * (1.0 / short.len() as f64) + count * (1.0 / long.len() as f64);
    let jaro = (shares + (count - transposed * 0.5) / count) / 3.0;
    let prefix = short.iter().zip(long).take(4).take_while(|(own, other)| own == other).count() as f64;
    jaro + prefix * 0.1 * (1.0 - jaro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(terms: &[&str], algorithm: Algorithm, threshold: f64) -> Wanted {
        let terms = terms.iter().map(|term| (*term).to_owned()).collect();
        Wanted { terms, algorithm, threshold, ignores_case: false }
    }

    #[test]
    fn texts_are_scored_as_by_prometheus() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.unwrap();
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        };
        let subsequence = |term: &str, text: &str| wanted(&[term], Algorithm::Subsequence, 0.0).score(text);
        near(subsequence("my", "mystery"), 1.0);
        // One run of 2, three letters before it, two behind it, of seven.
        near(subsequence("st", "my_st__"), (4.0 - 3.0 / 7.0 - 2.0 / 7.0 / 2.0) / 4.0 * INEXACT);
        // Two runs of 1 with one letter between them.
        near(subsequence("bd", "abcd"), (2.0 - 1.0 / 4.0 - 1.0 / 4.0) / 4.0 * INEXACT);
        // The later place to begin is the better one.
        near(subsequence("ab", "xa_ab"), (4.0 - 3.0 / 5.0) / 4.0 * INEXACT);
        near(subsequence("éd", "aébcd"), (2.0 - 1.0 / 5.0 - 2.0 / 5.0) / 4.0 * INEXACT);
        assert_eq!(subsequence("db", "abcd"), None);
        let jaro = |term: &str, text: &str| wanted(&[term], Algorithm::JaroWinkler, 0.01).score(text);
        near(jaro("MARTHA", "MARHTA"), 0.961_111_111_111);
        near(jaro("DWAYNE", "DUANE"), 0.84);
        near(jaro("DIXON", "DICKSONX"), 0.813_333_333_333);
        near(jaro("bc", "abcd"), 1.0 - 0.9 / 2.0);
        assert_eq!(wanted(&["bd"], Algorithm::JaroWinkler, 0.0).score("abcd"), None);
        assert_eq!(wanted(&["zzz", "b"], Algorithm::Subsequence, 0.9).score("bcd"), Some(1.0));
        assert_eq!(wanted(&[], Algorithm::Subsequence, 1.0).score("x"), Some(1.0));
    }

    #[test]
    fn what_is_long_is_compared_as_a_whole() {
        let long = format!("{}b", "a".repeat(1 << 20));
        for algorithm in [Algorithm::Subsequence, Algorithm::JaroWinkler] {
            assert_eq!(wanted(&["aab"], algorithm, 0.01).score(&long).map(|score| score < 0.2), Some(true));
            assert_eq!(wanted(&["abb"], algorithm, 0.01).score(&long), None);
        }
    }
}
