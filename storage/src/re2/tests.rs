//! What matches, what is refused and in which words: the cases are what Go 1.2x answers.

use super::*;
use proptest::prelude::*;
use regex_automata::meta::Regex;

fn matches(expression: &str, text: &str) -> bool {
    let said = anchored(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    Regex::new(&said).unwrap_or_else(|error| panic!("{expression} is {said}: {error:?}")).is_match(text)
}

fn check(expression: &str, yes: &[&str], no: &[&str]) {
    yes.iter().for_each(|text| assert!(matches(expression, text), "{expression} matches {text:?}"));
    no.iter().for_each(|text| assert!(!matches(expression, text), "{expression} does not match {text:?}"));
}

#[test]
fn t1_what_is_no_repetition_is_a_text() {
    check("/users/{id}", &["/users/{id}"], &["/users/id"]);
    check("K_{,5}", &["K_{,5}"], &["K_", "K__"]);
    check("a{01}", &["a{01}"], &["a"]);
    check("a{1,02}|{|}{", &["a{1,02}", "{", "}{"], &["a"]);
    check("a{2}|b{1,}|c{1,2}", &["aa", "b", "bbb", "cc"], &["a", "ccc", ""]);
    check("a{0}b", &["b"], &["ab"]);
    check("(?:a{10}){100}", &[&"a".repeat(1000)], &["a"]);
    check("^*a|(?:)*|()+b|a??", &["a", "", "b"], &["bb"]);
}

#[test]
fn t1_quotes_and_escapes_are_letters() {
    check(r"\QK_{,5}.\E+", &["K_{,5}.", "K_{,5}..."], &["K_{,5}x"]);
    check(r"\Qa", &["a"], &["b"]);
    check(r"\<x\>\_\-\/\@", &["<x>_-/@"], &["x"]);
    check(r"\113\x4b\x{4B}\0\07", &["KKK\0\u{7}"], &["113"]);
    check(r"\a\f\n\r\t\v", &["\u{7}\u{C}\n\r\t\u{B}"], &[]);
    check(r"#~&--", &["#~&--"], &[]);
}

#[test]
fn t1_classes_are_of_ascii_where_perl_names_them() {
    check(r"x\dy", &["x3y"], &["x٣y"]);
    check(r"\w+", &["aZ_9"], &["é"]);
    check(r"[\w]", &["a"], &["é"]);
    check(r"\s", &[" ", "\t", "\n", "\u{C}", "\r"], &["\u{a0}", "\u{B}"]);
    check(r"\D|\W|\S", &["٣", "é", "\u{a0}"], &[]);
    check(r"[^\d]", &["a", "\n", "٣"], &["3"]);
    check(r"[\D3]", &["a", "3"], &["4"]);
    check(r"[\S\s]", &["a", " "], &[]);
    check("[a&&b]", &["a", "&", "b"], &["", "&&"]);
    check("[+--b~~c]", &["+", ",", "-", "b", "~", "c"], &["a"]);
    check("[[]|a.*", &["[", "ab"], &["]"]);
    check("[]a]|[^]a]b", &["]", "a", "xb"], &["]b"]);
    check("[a-]|[-z]", &["a", "-", "z"], &["b"]);
    check(r"[\]\\x-z]", &["]", "\\", "y"], &["w"]);
    check("[[:alpha:][:^ascii:]]", &["a", "é"], &["1"]);
    check("[[:foo]", &[":", "f", "["], &["a", "]"]);
    check(r"\pL\p{Greek}[\p{^Greek}]\PN\P{^Lu}", &["éωaaA"], &["éaaaA", "éωωaA", "éωa1A", "éωaaa"]);
    check(r"[\x{1F600}-\x{1F64F}]", &["😀"], &["a"]);
}

#[test]
fn t2_flags_reach_as_far_as_in_go() {
    check("a.c", &["a\nc"], &[]);
    check("(?-s)a.c", &["axc"], &["a\nc"]);
    check("(?-s:a.)c.", &["axc\n"], &["a\nc\n"]);
    check("(?i)gét[k]|(?-i)x", &["GÉTK", "gétk", "gét\u{212a}", "x"], &["X"]);
    check("a(?i:b)c", &["aBc"], &["ABc", "aBC"]);
    check("(?i)[^k]", &["a"], &["K", "k", "\u{212a}"]);
    check("(?m)a$\n^b", &["a\nb"], &[]);
    check("a$\n^b", &[], &["a\nb"]);
    check("(a(?i)b)c", &["aBc"], &["aBC"]);
    check("(?P<name>a)(?<other>b)", &["ab"], &[]);
    check(r"\ba\b.*", &["a é", "aé"], &["ab"]);
    check(r"a\B.", &["ab"], &["a "]);
    let captured = |expression: &str, text: &str| {
        let regex = Regex::new(&anchored(expression).unwrap()).unwrap();
        let mut captures = regex.create_captures();
        regex.captures(text, &mut captures);
        captures.get_group(1).map(|span| text[span.range()].to_owned())
    };
    assert_eq!(captured("(a*?)(.*)", "aab").as_deref(), Some(""));
    assert_eq!(captured("(?U)(a*)(.*)", "aab").as_deref(), Some(""));
    assert_eq!(captured("(?U)(a*?)(.*)", "aab").as_deref(), Some("aa"));
    assert_eq!(captured("(?U:(a+))(.*)", "aab").as_deref(), Some("a"));
}

#[test]
fn t1_what_go_refuses_is_refused_in_its_words() {
    for (expression, error) in [
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*+?b", "invalid nested repetition operator: `*+?`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("x{1001}", "invalid repeat count: `{1001}`"),
        ("x{2,1}", "invalid repeat count: `{2,1}`"),
        ("(x{100}){11}", "invalid repeat count: `{11}`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("(|+)", "missing argument to repetition operator: `+`"),
        ("(?i)??", "missing argument to repetition operator: `??`"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<n!>a)", "invalid named capture: `(?P<n!>`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("(a", "missing closing ): `(a`"),
        ("a)(b", "unexpected ): `a)(b`"),
        ("x[a", "missing closing ]: `[a`"),
        ("[]", "missing closing ]: `[]`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        (r"\p{Klingon}", r"invalid character class range: `\p{Klingon}`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\é", r"invalid escape sequence: `\é`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000}`"),
        (r"a\", "trailing backslash at end of expression: ``"),
    ] {
        assert_eq!(anchored(expression), Err(error.to_owned()), "{expression}");
    }
    assert_eq!(anchored("(?"), Err("missing closing ): `(?`".to_owned()));
}

#[test]
fn t3_long_and_deep_expressions_cost_what_they_are_long() {
    for expression in
        ["(".repeat(1 << 20), "a*".repeat(1 << 19), format!("({}", "|()".repeat(1 << 18)), "[a".repeat(1 << 19)]
    {
        // Whatever it says, it says so at once.
        let said = anchored(&expression);
        assert!(said.map_or_else(|error| error.len() < 200, |said| said.len() < expression.len() + 16));
    }
}

#[test]
fn groups_are_filled_in_as_go_does() {
    let number = |number: usize| ["whole", "one", "two"].get(number).copied();
    let name = |name: &str| (name == "n").then_some("named");
    for (template, expanded) in [
        ("$1-${2}", "one-two"),
        ("$n.$$1", "named.$1"),
        ("$01|$10|$1x|${1}x", "|||onex"),
        ("$0$", "whole$"),
        ("${n", "${n"),
        ("${a b}$.", "${a b}$."),
        ("$99999999999999999999", ""),
    ] {
        assert_eq!(expand(template, number, name), expanded, "{template}");
    }
}

proptest! {
    #[test]
    fn t1_what_is_said_is_an_expression(expression in r"[ab\\dDwQE(?:imsU)|*+{}0-2,.^$\[\]<>P-]{0,16}") {
        if let Ok(said) = unanchored(&expression) {
            prop_assert!(regex_syntax::Parser::new().parse(&said).is_ok(), "{expression} is {said}");
        }
    }

    #[test]
    fn t1_where_both_syntaxes_agree_so_do_answers(expression in "[ab.*+?()|^$]{0,8}", text in "[ab\n]{0,5}") {
        if let (Ok(said), Ok(plain)) = (anchored(&expression), Regex::new(&format!(r"\A(?s:{expression})\z"))) {
            prop_assert_eq!(Regex::new(&said).unwrap().is_match(&text), plain.is_match(&text));
        }
    }
}
