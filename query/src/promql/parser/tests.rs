use super::*;

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
    assert!(parse(&format!("a{}", " + a".repeat(100_000 / 4))).is_err());
    assert!(parse(&format!("a{}", "[1m:1m]".repeat(10_000))).is_err());
    assert!(parse(&format!("a[{}1m]", "-".repeat(50_000))).is_err());
    assert!(parse(&format!("a[1m{}]", "*1".repeat(50_000))).is_err());
}
