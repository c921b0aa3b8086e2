//! Which labels fit a condition, and what do parts of a label's value match?
//!
//! Patterns are RE2's, anchored at both ends, `.` is any character, and what one may cost is limited by the store's matcher.
//!
//! Not here: how the store finds series (`storage`).

use crate::series::quoted;
use regex_automata::nfa::thompson::{self, pikevm};
use std::fmt;
use std::sync::Arc;
use storage::metric::{Label, Relation};
use storage::re2;

/// Memory of a compiled pattern at most.
const MOST_BYTES: usize = 4 << 20;

/// How many bytes are looked at for how many states of a pattern at most, the one times the other: a second or two of a search that cannot
/// be ended before.
const MOST_STEPS: usize = 1 << 28;

/// A condition on a label.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) relation: Relation,
    pub(crate) value: String,
    test: Arc<storage::metric::Matcher>,
}

impl Matcher {
    /// Fails for a pattern that is none.
    pub(crate) fn new(label: &str, relation: Relation, value: &str) -> Result<Self, String> {
        let test = storage::metric::Matcher::new(Label::Name, relation, value).map_err(|error| error.to_string())?;
        Ok(Matcher { label: label.to_owned(), relation, value: value.to_owned(), test: Arc::new(test) })
    }

    /// Whether a value is wanted; a label that is not there is the empty text.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        self.test.accepts(value)
    }

    /// How its relation is written.
    pub(crate) fn sign(&self) -> &'static str {
        match self.relation {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Matches => "=~",
            Relation::MatchesNot => "!~",
        }
    }

    /// Whether it says what the value should be, rather than what not.
    pub(crate) fn is_positive(&self) -> bool {
        matches!(self.relation, Relation::Equal | Relation::Matches)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if crate::series::is_plain_name(&self.label) {
            f.write_str(&self.label)?;
        } else {
            f.write_str(&quoted(self.label.as_bytes()))?;
        }
        write!(f, "{}{}", self.sign(), quoted(self.value.as_bytes()))
    }
}

/// A pattern whose groups are asked for.
#[derive(Debug)]
pub(crate) struct Replacer {
    vm: pikevm::PikeVM,
    cache: pikevm::Cache,
}

impl Replacer {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let anchored = re2::anchored(pattern)?;
        let config = thompson::Config::new().nfa_size_limit(Some(MOST_BYTES));
        let vm = pikevm::Builder::new().thompson(config).build(&anchored);
        let vm = vm.map_err(|error| error.to_string())?;
        let cache = vm.create_cache();
        Ok(Replacer { vm, cache })
    }

    /// Whether a value can be looked at in time.
    pub(crate) fn is_in_time(&self, value: &str) -> bool {
        value.len().saturating_mul(self.vm.get_nfa().states().len()) <= MOST_STEPS
    }

    /// The template with its `$1`, `${1}` and `$name` filled in; `None` where the pattern does not match. It is made once `admit` lets pass
    /// how long it becomes.
    pub(crate) fn expand<E>(
        &mut self,
        value: &str,
        template: &str,
        admit: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Option<String>, E> {
        let mut found = self.vm.create_captures();
        self.vm.captures(&mut self.cache, value, &mut found);
        if !found.is_match() {
            return Ok(None);
        }
        let text = |span: Option<regex_automata::Span>| value.get(span?.range());
        let by_number = |number| text(found.get_group(number));
        let by_name = |name: &str| text(found.get_group_by_name(name));
        admit(re2::expanded_len(template, by_number, by_name))?;
        Ok(Some(re2::expand(template, by_number, by_name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_filled_in() {
        let mut replacer = Replacer::new("(a+)-(?P<tail>.*)").unwrap();
        let mut expanded = |value: &str, template: &str| {
            let mut len = 0;
            let made = replacer.expand::<()>(value, template, |told| {
                len = told;
                Ok(())
            });
            let made = made.unwrap();
            assert_eq!(len, made.as_ref().map_or(0, String::len), "the length is known before");
            made
        };
        assert_eq!(expanded("aa-b", "$1.${tail}$$$x|").unwrap(), "aa.b$|");
        assert_eq!(expanded("b-a", "$1"), None);
        assert_eq!(expanded("a-\n", "[$2]").unwrap(), "[\n]");
        assert_eq!(expanded("a-b", "$01").unwrap(), "", "numbers have no zeros before them");
        assert_eq!(replacer.expand("a-b", "$1", Err), Err(1), "what is not admitted is not made");
        assert!(Replacer::new("(a").is_err());
        assert!(Replacer::new("a)(b").is_err());
    }
}
