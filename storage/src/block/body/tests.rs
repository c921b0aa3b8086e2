//! Bodies come back as they were, and predicates find what a scan of the plain texts finds.

use super::template::{ByteSet, Template, Verdict};
use crate::scan::Condition;

fn template(literals: &[&str], words: &[&str]) -> Template {
    let sets = words.iter().map(|word| ByteSet::of([word.as_bytes()]));
    Template { lines: 1, literals: literals.iter().map(|l| l.as_bytes().to_vec()).collect(), sets: sets.collect() }
}

#[test]
fn a1_a_template_tells_what_holds_of_all_its_lines() {
    let of = template(&["user ", " logged in from ", ""], &["abc", "0123456789."]);
    let check = |needle: &str, case: bool, expected: Verdict| {
        assert_eq!(of.verdict(&Condition::contains(needle, case)), expected, "{needle}");
    };
    check("logged in", true, Verdict::All);
    check("LOGGED", false, Verdict::All);
    check("LOGGED", true, Verdict::None);
    check("", true, Verdict::All);
    check("ca logged", true, Verdict::Ask);
    check("da logged", true, Verdict::None);
    check("from 10.0", true, Verdict::Ask);
    check("from x", true, Verdict::None);
    check("8.8.8.8", true, Verdict::Ask);
    check("user  logged", true, Verdict::Ask);
    assert_eq!(of.text(), "user <_> logged in from <_>");
    let mut bytes = Vec::new();
    of.put(&mut bytes);
    assert_eq!(Template::take(&mut &bytes[..]), Some(of));
}
