use super::*;
use proptest::prelude::*;

fn check(text: &str, printed: &str) {
    assert_eq!(parse(text).map(|expr| expr.to_string()).map_err(|fault| fault.message(text)), Ok(printed.to_owned()));
}

fn refuses(text: &str, message: &str) {
    assert_eq!(parse(text).map(|expr| expr.to_string()).map_err(|fault| fault.message(text)), Err(message.to_owned()));
}

#[test]
fn r1_operators_bind_as_in_prometheus() {
    check("-1^2", "-1 ^ 2");
    check("2 ^ 3 ^ 2", "2 ^ 3 ^ 2");
    check("a+b*c % d", "a + b * c % d");
    check("a offset 5m + b", "a offset 5m + b");
    check("-a offset 1d", "-a offset 1d");
    check("sum by(x)(a)", "sum by (x) (a)");
    check("sum(a)by(x,\"é\")", "sum by (x, \"é\") (a)");
    check("a == bool on(x)group_left(y) b", "a == bool on (x) group_left (y) b");
    check("rate(a{b='c',d!~\"e.*\"}[5m] @ 10 offset -1m)", "rate(a{b=\"c\",d!~\"e.*\"}[5m] @ 10.000 offset -1m)");
    check("(a)[1h:] @ end()", "(a)[1h:] @ end()");
    check("{\"a.b\", c=\"d\"}", "{__name__=\"a.b\",c=\"d\"}");
}

#[test]
fn names_may_be_keywords() {
    check("sum", "sum");
    check("by{on=\"1\"}", "by{on=\"1\"}");
    check("start + end", "start + end");
    check(":a:b", ":a:b");
}

#[test]
fn p1_a_failure_has_its_place() {
    refuses("", "1:1: parse error: no expression found in input");
    refuses("a +", "1:4: parse error: unexpected end of input");
    refuses("a\n+ }", "2:3: parse error: unexpected character: '}'");
    refuses("foo(a)", "1:1: parse error: unknown function with name \"foo\"");
    refuses("rate(a)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector");
    refuses("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier");
    refuses("{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher");
    refuses("a[5m", "1:5: parse error: unclosed left bracket");
    refuses("a[0m]", "1:3: parse error: duration must be greater than 0");
    refuses("a and on(b) group_left c", "1:1: parse error: no grouping allowed for \"and\" operation");
}

#[test]
fn r2_depth_is_limited() {
    let deep = |count: usize| format!("{}a{}", "(".repeat(count), ")".repeat(count));
    assert!(parse(&deep(MOST_DEPTH - 10)).is_ok());
    assert!(parse(&deep(100_000)).is_err());
    assert!(parse(&"-".repeat(100_000)).is_err());
    assert!(parse(&format!("a{}", " ^ a".repeat(10_000))).is_err());
    assert!(parse(&format!("{}a{}", "(a + ".repeat(10_000), ")".repeat(10_000))).is_err());
    assert!(parse(&format!("a{}", "[1m:1m]".repeat(10_000))).is_err());
    assert!(parse(&format!("a[{}1m]", "-".repeat(50_000))).is_err());
    assert!(parse(&format!("a[1m{}]", "*1".repeat(50_000))).is_err());
}

#[test]
fn r2_a_chain_may_be_as_long_as_the_text() {
    for op in ["+", "*", "or", "and on (b)", "> bool", "^ 2 -"] {
        let links = (MOST_BYTES - 1) / (op.len() + 3);
        let text = format!("a{}", format!(" {op} a").repeat(links));
        let parsed = parse(&text).unwrap();
        assert_eq!(parsed.to_string(), text);
        assert_eq!(parsed.span().end, text.len());
        drop(parsed.clone());
    }
    let unfinished = format!("a{} +", " + a".repeat(50_000));
    refuses(&unfinished, "1:200004: parse error: unexpected end of input");
    refuses(&format!("a{}", " or a".repeat(100_000)), "1:1: parse error: the expression is longer than 262144 bytes");
    // What does not fit is found wherever it stands.
    refuses(
        &format!("1{} == 1", " + 1".repeat(1000)),
        "1:4003: parse error: comparisons between scalars must use BOOL modifier",
    );
    refuses(
        &format!("a{} + \"b\"", " + a".repeat(1000)),
        "1:4005: parse error: binary expression must contain only scalar and instant vector types",
    );
}

fn any_shift() -> impl Strategy<Value = String> {
    let at = prop_oneof![Just(""), Just(" @ 1.5"), Just(" @ start()"), Just(" @ -3"), Just(" @ end()")];
    let offset = prop_oneof![
        Just(""),
        Just(" offset 5m"),
        Just(" offset -1h30m"),
        Just(" offset -(step() * 2)"),
        Just(" offset -max_of(1m, range())"),
    ];
    (at, offset, any::<bool>()).prop_map(
        |(at, offset, first)| {
            if first { format!("{at}{offset}") } else { format!("{offset}{at}") }
        },
    )
}

fn any_selector() -> impl Strategy<Value = String> {
    let names = prop_oneof![Just("a"), Just("sum"), Just(":x:"), Just("fill"), Just("")];
    let labels =
        prop_oneof![Just("{b=\"c\"}"), Just("{b!='c',\"d.e\"=~\"f.*|g\"}"), Just("{\"h.i\",j!~`k`,l=\"\\\"\\n\"}"),];
    (names, labels, any::<bool>()).prop_filter_map("a name twice", |(name, labels, with)| {
        let is_named = !name.is_empty();
        if is_named && labels.contains("h.i") {
            return None;
        }
        Some(if is_named && !with { name.to_owned() } else { format!("{name}{labels}") })
    })
}

fn any_range() -> impl Strategy<Value = String> {
    let lengths = prop_oneof![Just("5m"), Just("1.5"), Just("-(-1h)"), Just("step()+5s*2"), Just("min_of(1m, 2^3)")];
    let extensions = prop_oneof![Just(""), Just(" anchored"), Just(" smoothed")];
    (any_selector(), lengths, extensions, any_shift())
        .prop_map(|(selector, length, extension, shift)| format!("{selector}[{length}]{extension}{shift}"))
}

/// Expressions whose value is a vector.
fn any_vector() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (any_selector(), any_shift()).prop_map(|(selector, shift)| format!("{selector}{shift}")),
        any_range().prop_map(|range| format!("rate({range})")),
        Just("vector(-1e3)".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let ops = prop_oneof![
            Just("+"),
            Just("^"),
            Just("and"),
            Just("unless on(x)"),
            Just("> bool"),
            Just("</"),
            Just("* on(x,\"y z\") group_left(z)"),
            Just("- ignoring(x) fill_right(-1) fill_left(2)"),
            Just("atan2 fill(0)"),
        ];
        prop_oneof![
            (inner.clone(), ops, inner.clone()).prop_map(|(left, op, right)| format!("{left} {op} {right}")),
            inner.clone().prop_map(|inner| format!("-{inner}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.clone().prop_map(|inner| format!("topk without(a)(2, {inner})")),
            inner.clone().prop_map(|inner| format!("sum({inner})by(a)")),
            inner.clone().prop_map(|inner| format!("label_join({inner}, 'a', '\\x00', \"b\")")),
            (inner, any_shift()).prop_map(|(inner, shift)| format!("avg_over_time(({inner})[1h:5m]{shift})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn p2_what_is_printed_is_the_same_expression(text in any_vector()) {
        let printed = parse(&text).map(|expr| expr.to_string()).map_err(|fault| fault.message(&text));
        let printed = printed.map_err(|message| TestCaseError::fail(format!("{text}: {message}")))?;
        let again = parse(&printed).map(|expr| expr.to_string()).map_err(|fault| fault.message(&printed));
        prop_assert_eq!(again, Ok(printed));
    }

    #[test]
    fn y2_what_lies_on_lines_is_the_same_expression(text in any_vector()) {
        let parsed = parse(&text).map_err(|fault| TestCaseError::fail(fault.message(&text)))?;
        let lines = crate::promql::pretty(&parsed);
        // A sign is put before what fits without it.
        let is_short = lines.trim_start_matches('-').len() <= 100;
        prop_assert!(is_short || lines.contains('\n') || matches!(parsed, crate::promql::Expr::Vector(_)));
        let again = parse(&lines).map(|expr| expr.to_string()).map_err(|fault| fault.message(&lines));
        prop_assert_eq!(again, Ok(parsed.to_string()));
    }

    #[test]
    fn p1_no_text_ends_the_process(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "{", "}", "[", "]", "(", ")", "5m", "1", "+", "-", "offset", "@", "sum", "by", "\"", "'x'", "=~", ":",
                "é", "step()", "max_of(", ",", "bool", "on", "fill", "0x", "1e", "\\", "#", "\n", "and", "!=", "[5m",
            ]),
            0..24,
        ),
    ) {
        let text = words.concat();
        if let Err(fault) = parse(&text) {
            prop_assert!(!fault.message(&text).is_empty());
        }
    }
}
