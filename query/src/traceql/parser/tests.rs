use super::*;

/// The canonical text of what a text means.
fn canonical(text: &str) -> String {
    let query = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    let printed = query.to_string();
    let again = parse(&printed).unwrap_or_else(|problem| panic!("{text} is printed as {printed}: {problem}"));
    assert_eq!(again, query, "G2: {text} is printed as {printed}");
    printed
}

#[test]
fn precedence_is_as_documented() {
    let cases = [
        ("{ .a || .b && .c = 1 + 2 * 3 }", "{ (.a || .b) && (.c = (1 + (2 * 3))) }"),
        ("{ 1 - 2 - 3 ^ 2 ^ 2 = -.a ^ 2 }", "{ ((1 - 2) - (3 ^ (2 ^ 2))) = (-(.a ^ 2)) }"),
        ("{ -2 ^ 2 = (-2) ^ 2 }", "{ (-(2 ^ 2)) = ((-2) ^ 2) }"),
        ("{ !.a = !(.b || true) }", "{ (!.a) = (!(.b || true)) }"),
        ("{.a} > {.b} && {.c} >> {.d}", "(({ .a }) > ({ .b })) && (({ .c }) >> ({ .d }))"),
        ("{} | count() + 1 * 2 > 3", "{ } | (count() + (1 * 2)) > 3"),
        ("1 + 2 * 3 + ({} | rate()) * 2", "7 + (({ } | rate()) * 2)"),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text), expected);
    }
}

#[test]
fn a_chain_of_one_operator_is_one_list() {
    let chain = vec![".a = 1"; 5000].join(" || ");
    assert_eq!(parse(&format!("{{ {chain} }}")).map(|_| ()), Ok(()));
    assert_eq!(canonical("{ .a && (.b && .c) && .d }"), "{ .a && (.b && .c) && .d }");
}

#[test]
fn g1_spansets_that_are_joined_alike_make_a_low_tree() {
    for op in [" && ", " || "] {
        let many = vec!["{.a}"; 20_000].join(op);
        assert_eq!(parse(&many).map(|query| query.hints.len()), Ok(0));
        assert_eq!(canonical(&vec!["{.a}"; 1000].join(op)).matches(op).count(), 999);
    }
    assert_eq!(canonical("{.a} || {.b} || {.c}"), "(({ .a }) || ({ .b })) || ({ .c })");
    assert_eq!(canonical("{.a} || ({.b} || {.c})"), "({ .a }) || (({ .b }) || ({ .c }))");
    assert_eq!(canonical("{.a} || {.b} && {.c} || {.d}"), "((({ .a }) || ({ .b })) && ({ .c })) || ({ .d })");
    let problem = parse("{.a} || {.b} || count()").unwrap_err();
    assert!(problem.message.contains("here it is a spanset and an aggregate"), "{problem}");
}

#[test]
fn g1_depth_is_limited() {
    let deep = |open: &str, middle: &str, close: &str| format!("{}{middle}{}", open.repeat(3000), close.repeat(3000));
    for text in
        [deep("(", "{ }", ")"), format!("{{ {} }}", deep("(", "true", ")")), format!("{{ {}true }}", "!".repeat(3000))]
    {
        let problem = parse(&text).unwrap_err();
        assert!(problem.message.contains("nested deeper than 128"), "{problem}");
    }
    // What is long is told as such.
    for text in [
        format!("{{ {} = 1 }}", vec!["1"; 2000].join("+")),
        vec!["{}"; 2000].join(" >> "),
        vec!["{}"; 2000].join(" && {} || "),
        vec!["{}"; 2000].join(" | "),
        vec!["({} | rate())"; 2000].join(" + "),
    ] {
        let problem = parse(&text).unwrap_err();
        assert!(problem.message.contains("more than 128 levels: each operator of a chain"), "{problem}");
    }
    assert!(parse(&" ".repeat(MOST_BYTES + 1)).unwrap_err().message.contains("longer"));
}

#[test]
fn problems_tell_place_and_expectation() {
    let cases = [
        (
            "{ .a = }",
            "line 1, column 8: expected a value, an attribute such as `.http.method`, or an intrinsic, found `}`",
        ),
        (
            "{\n  attribute = 4 }",
            "line 2, column 3: `attribute` is unknown; an attribute is written `.attribute`, a text `\"attribute\"`",
        ),
        ("{ true } | count()", "line 1, column 1: an aggregate is compared with something: `| count() > 2`"),
        (
            "{} | rate() + 5",
            "line 1, column 13: expected arithmetic between series that stand in parentheses: `({ } | rate()) + 5`, found `+`",
        ),
        ("{} | topk(2)", "line 1, column 6: `topk` stands behind series: `{ } | rate() | topk(5)`"),
        (
            "{ trace:status = error }",
            "line 1, column 3: there is no `trace:status`; an attribute is written `trace.status`",
        ),
        ("", "line 1, column 1: expected `{`, `(`, a number or a function, found the end"),
    ];
    for (text, expected) in cases {
        let problem = parse(text).unwrap_err();
        let told = format!("line {}, column {}: {}", problem.line, problem.column, problem.message);
        assert_eq!(told, expected, "{text}");
    }
}

#[test]
fn names_and_hints_are_printed_as_they_are_read() {
    let cases = [
        (
            "{ parent.duration > 1s && parent.\"duration\" = 1 }",
            "{ (parent.duration > 1s) && (parent.\"duration\" = 1) }",
        ),
        ("{ .\"5\" = \"a\\u00e9\\n\" }", "{ .\"5\" = \"aé\\n\" }"),
        ("{ trace:duration > 90m }", "{ traceDuration > 90m }"),
        (
            "{} | quantile_over_time(duration, .5, 1) by(span.a,.b) with(sample=true, x=0.1)",
            "{ } | quantile_over_time(duration, 0.5, 1) by(span.a, .b) with(sample=true, x=0.1)",
        ),
        ("{} | compare({status=error}, 5, 1, 9)", "{ } | compare({ status = error }, 5, 1, 9)"),
        ("({} | rate()) > -1e20", "({ } | rate()) > -1e20"),
        ("{ .a = -1.0 && .b = minInt }", "{ (.a = -1.0) && (.b = minInt) }"),
    ];
    for (text, expected) in cases {
        assert_eq!(canonical(text), expected);
    }
}
