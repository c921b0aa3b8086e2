//! Does a label have a wanted value? `=`, `!=`, `=~`, `!~`, as Prometheus means them.
//!
//! A label that a series does not have is the empty text. Patterns are RE2's, anchored at both ends, and `.` is any character.

use super::label::Label;
use super::series::Series;
use crate::error::{Error, Result};
use crate::re2;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, pikevm};
use regex_automata::{Anchored, Input, MatchKind};
use std::sync::{Mutex, PoisonError};

/// Memory of a pattern's automaton at most: larger ones are run state by state, which is slower and always possible.
const MOST_DFA_BYTES: usize = 1 << 20;
/// Memory of a compiled pattern at most.
const MOST_NFA_BYTES: usize = 4 << 20;

/// How a label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// A condition on one label of a series.
#[derive(Debug)]
pub struct Matcher {
    label: Label,
    relation: Relation,
    test: Test,
}

/// What a matcher compares with, its negation aside.
#[derive(Debug)]
pub(crate) enum Test {
    Equal(String),
    Pattern(Box<Pattern>),
}

impl Matcher {
    /// A condition. Fails for a pattern that is none, or a too large one.
    pub fn new(label: Label, relation: Relation, value: &str) -> Result<Self> {
        let test = match relation {
            Relation::Equal | Relation::NotEqual => Test::Equal(value.to_owned()),
            Relation::Matches | Relation::MatchesNot => Test::Pattern(Box::new(Pattern::new(value)?)),
        };
        Ok(Matcher { label, relation, test })
    }

    /// Whose value it looks at.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Whether a series is wanted.
    pub fn matches(&self, series: &Series) -> bool {
        self.accepts(&self.label.value(series))
    }

    /// Whether a value is wanted.
    pub fn accepts(&self, value: &str) -> bool {
        self.test.holds(value) != self.is_negated()
    }

    pub(crate) fn test(&self) -> &Test {
        &self.test
    }

    pub(crate) fn is_negated(&self) -> bool {
        matches!(self.relation, Relation::NotEqual | Relation::MatchesNot)
    }
}

impl Test {
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Test::Equal(text) => text == value,
            Test::Pattern(pattern) => pattern.matches(value),
        }
    }
}

/// A pattern, ready to run.
#[derive(Debug)]
pub(crate) struct Pattern {
    dfa: Option<dense::DFA<Vec<u32>>>,
    vm: pikevm::PikeVM,
    cache: Mutex<pikevm::Cache>,
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self> {
        let bad = |error: &dyn std::error::Error| {
            let cause = std::iter::successors(Some(error), |error| error.source()).last();
            let cause = cause.map(ToString::to_string).unwrap_or_default();
            Error::Request { what: format!("the pattern `{pattern}` cannot be used: {cause}") }
        };
        let anchored = re2::anchored(pattern)
            .map_err(|cause| Error::Request { what: format!("the pattern `{pattern}` cannot be used: {cause}") })?;
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().nfa_size_limit(Some(MOST_NFA_BYTES)).shrink(false))
            .build(&anchored)
            .map_err(|error| bad(&error))?;
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .match_kind(MatchKind::LeftmostFirst)
            .dfa_size_limit(Some(MOST_DFA_BYTES))
            .determinize_size_limit(Some(MOST_DFA_BYTES));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok();
        let vm = pikevm::Builder::new().build_from_nfa(nfa).map_err(|error| bad(&error))?;
        let cache = Mutex::new(vm.create_cache());
        Ok(Pattern { dfa, vm, cache })
    }

    fn matches(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes);
        if let Some(Ok(found)) = self.dfa.as_ref().map(|dfa| dfa.try_search_fwd(&input)) {
            return found.is_some();
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.vm.is_match(&mut cache, input)
    }

    /// The pattern as an automaton over texts that begin with a prefix, if it is small enough to be one.
    pub(crate) fn behind<'a>(&'a self, prefix: &'a [u8]) -> Option<Behind<'a>> {
        let dfa = self.dfa.as_ref()?;
        let start = dfa.start_state_forward(&Input::new("").anchored(Anchored::Yes)).ok()?;
        Some(Behind { dfa, start, prefix })
    }
}

/// A pattern behind a prefix, for a walk over sorted texts.
#[derive(Debug)]
pub(crate) struct Behind<'a> {
    dfa: &'a dense::DFA<Vec<u32>>,
    start: regex_automata::util::primitives::StateID,
    prefix: &'a [u8],
}

/// How far a text was read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BehindState {
    Prefix(usize),
    Text(regex_automata::util::primitives::StateID),
    Dead,
}

impl fst::Automaton for Behind<'_> {
    type State = BehindState;

    fn start(&self) -> BehindState {
        if self.prefix.is_empty() { BehindState::Text(self.start) } else { BehindState::Prefix(0) }
    }

    fn is_match(&self, state: &BehindState) -> bool {
        match state {
            // A state that gives up is a match as far as this walk goes: every match is compared again.
            BehindState::Text(state) => {
                self.dfa.is_quit_state(*state) || self.dfa.is_match_state(self.dfa.next_eoi_state(*state))
            }
            BehindState::Prefix(_) | BehindState::Dead => false,
        }
    }

    fn can_match(&self, state: &BehindState) -> bool {
        match state {
            BehindState::Text(state) => !self.dfa.is_dead_state(*state),
            BehindState::Prefix(_) => true,
            BehindState::Dead => false,
        }
    }

    fn accept(&self, state: &BehindState, byte: u8) -> BehindState {
        match *state {
            BehindState::Prefix(read) if self.prefix.get(read) == Some(&byte) => match read + 1 {
                whole if whole == self.prefix.len() => BehindState::Text(self.start),
                part => BehindState::Prefix(part),
            },
            BehindState::Prefix(_) | BehindState::Dead => BehindState::Dead,
            BehindState::Text(state) if self.dfa.is_quit_state(state) => BehindState::Text(state),
            BehindState::Text(state) => BehindState::Text(self.dfa.next_state(state, byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(relation: Relation, value: &str, accepted: &[&str], refused: &[&str]) {
        let matcher = Matcher::new(Label::Name, relation, value).unwrap();
        accepted.iter().for_each(|text| assert!(matcher.accepts(text), "{relation:?} {value:?} accepts {text:?}"));
        refused.iter().for_each(|text| assert!(!matcher.accepts(text), "{relation:?} {value:?} refuses {text:?}"));
    }

    #[test]
    fn patterns_are_anchored_and_a_dot_is_any_character() {
        check(Relation::Matches, "a|bc", &["a", "bc"], &["", "ab", "abc", "xa", "ac"]);
        check(Relation::Matches, "a|ab", &["a", "ab"], &["abb"]);
        check(Relation::Matches, "a.c", &["abc", "a\nc", "aéc"], &["ac", "abbc"]);
        check(Relation::Matches, ".*", &["", "x", "\n"], &[]);
        check(Relation::MatchesNot, ".+", &[""], &["x"]);
        check(Relation::Matches, "(?i)GET", &["get"], &["gets"]);
        check(Relation::Equal, "", &[""], &["a"]);
        check(Relation::NotEqual, "a", &["", "aa"], &["a"]);
    }

    #[test]
    fn a_pattern_too_large_for_an_automaton_still_matches() {
        let pattern = r"(?:[\pL\d]{1,30}x){1,6}\b.{0,30}";
        let matcher = Matcher::new(Label::Name, Relation::Matches, pattern).unwrap();
        assert!(matcher.accepts("abcx") && !matcher.accepts("abc"));
    }

    #[test]
    fn what_is_no_pattern_is_the_callers_fault() {
        for bad in ["(", "a)", "a){2}(b", "[", "(?:a{1000}){1000}"] {
            let error = Matcher::new(Label::Name, Relation::Matches, bad).unwrap_err();
            assert_eq!(error.class(), crate::error::Class::Caller, "{bad}");
        }
    }
}
