//! Do templates write what Prometheus's write?

use super::*;
use crate::series::{Labels, Value};

fn found(pairs: &[(&'static str, &'static str)], value: f64) -> Found {
    Found { labels: Labels::new(pairs.iter().copied()), value: Value::Float(value) }
}

fn expand_with(text: &str, value: f64, answers: &[Found]) -> Result<String, String> {
    let template = Template::parse(text).map_err(|fault| format!("parse {fault}"))?;
    let alert = found(&[("instance", "web-1.example.org:9100"), ("job", "shop")], value);
    let mut ask = |text: &str| if text == "bad" { Err("no such thing".to_owned()) } else { Ok(answers.to_vec()) };
    let scene = Scene { found: &alert, now: 1_435_065_584_128, ask: &mut ask };
    template.expand(scene).map_err(|fault| fault.to_string())
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(expand_with(text, 1.5, &[]).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn of(value: f64, text: &str, expected: &str) {
    assert_eq!(expand_with(text, value, &[]).as_deref(), Ok(expected), "{text} of {value}");
}

#[test]
fn labels_and_value_are_written() {
    check("plain", "plain");
    check("", "");
    check("{{ $labels.job }} is {{ $value }}", "shop is 1.5");
    check("{{ .Labels.job }}{{ .Value }}{{ $.Labels.job }}", "shop1.5shop");
    check("[{{ $labels.missing }}][{{ $externalLabels.cluster }}][{{ $externalURL }}]", "[][][]");
    check("{{ $labels }}", "map[instance:web-1.example.org:9100 job:shop]");
    check("a {{- \" b \" -}} c", "a b c");
    check("a {{/* said */}} b {{- /* trimmed */ -}} c", "a  bc");
    check("{{ \"}}\" }}{{ `a\nb` }}{{ '\\n' }}", "}}a\nb10");
    of(1e6, "{{ $value }}", "1e+06");
    of(123_456.0, "{{ $value }}", "123456");
    of(f64::NAN, "{{ $value }}", "NaN");
    of(f64::INFINITY, "{{ $value }}", "+Inf");
}

#[test]
fn numbers_are_humanized_as_by_prometheus() {
    for (value, plain, binary) in [
        (0.0, "0", "0"),
        (1.0, "1", "1"),
        (1_234_567.0, "1.235M", "1.177Mi"),
        (0.12, "120m", "0.12"),
        (12345.67, "12.35k", "12.06ki"),
        (1e25, "10Y", "8.272Yi"),
        (f64::NAN, "NaN", "NaN"),
        (f64::NEG_INFINITY, "-Inf", "-Inf"),
    ] {
        of(value, "{{ $value | humanize }}", plain);
        of(value, "{{ humanize1024 .Value }}", binary);
    }
    for (value, expected) in [
        (0.0, "0s"),
        (1.0, "1s"),
        (60.0, "1m 0s"),
        (3_600.0, "1h 0m 0s"),
        (86_400.0, "1d 0h 0m 0s"),
        (86_400.0 + 3_600.0, "1d 1h 0m 0s"),
        (-(86_400.0 * 2.0 + 3_600.0 * 3.0 + 60.0 * 4.0 + 5.0), "-2d 3h 4m 5s"),
        (899.99, "14m 59s"),
        (0.1, "100ms"),
        (0.0001, "100us"),
        (1.234_567, "1.235s"),
        (f64::INFINITY, "+Inf"),
    ] {
        of(value, "{{ $value | humanizeDuration }}", expected);
    }
    of(0.234_567, "{{ $value | humanizePercentage }}", "23.46%");
    of(1_435_065_584.128, "{{ $value | humanizeTimestamp }}", "2015-06-23 13:19:44.128 +0000 UTC");
    of(0.0, "{{ $value | humanizeTimestamp }}", "1970-01-01 00:00:00 +0000 UTC");
    check("{{ \"1e3\" | humanize }} {{ humanizeDuration 90 }}", "1k 1m 30s");
    check("{{ now | toTime }} {{ now }}", "2015-06-23 13:19:44.128 +0000 UTC 1.435065584128e+09");
    check("{{ toDuration 3661.5 }} {{ parseDuration \"1h2m\" }}", "1h1m1.5s 3720");
}

#[test]
fn texts_are_rewritten() {
    check("{{ \"foo bar_baz don't a.b x-y\" | title }}", "Foo Bar_baz Don't A.b X-Y");
    check("{{ $labels.job | toUpper }}{{ toLower \"ABC\" }}", "SHOPabc");
    check("{{ reReplaceAll \"(.*):[0-9]+\" \"$1\" $labels.instance }}", "web-1.example.org");
    check("{{ if match \"^web\" $labels.instance }}yes{{ end }}", "yes");
    check("{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }}", "web-1.example.org web-1:9100");
    check("{{ stripDomain \"10.0.0.1:80\" }} {{ stripPort \"[::1]:80\" }}", "10.0.0.1:80 ::1");
    check("{{ graphLink \"up == 0\" }}", "/graph?g0.expr=up+%3D%3D+0&g0.tab=0");
    check("{{ \"<a&b>\" | html }} {{ urlquery \"a b\" 1 }}", "&lt;a&amp;b&gt; a+b1");
    check("{{ externalURL }}{{ pathPrefix }}", "");
}

#[test]
fn printf_writes_as_go_does() {
    of(
        12.345_678,
        "{{ printf \"%.2f %f %e %g\" $value $value $value $value }}",
        "12.35 12.345678 1.234568e+01 12.345678",
    );
    of(
        1_234.5,
        "{{ printf \"%.3g|%8.1f|%-8.1f|%08.1f|%+.0f\" .Value .Value .Value .Value .Value }}",
        "1.23e+03|  1234.5|1234.5  |001234.5|+1234",
    );
    check("{{ printf \"%d %05d %x %X %o %b %c %U\" 42 42 42 42 42 5 65 65 }}", "42 00042 2a 2A 52 101 A U+0041");
    check(
        "{{ printf \"%s|%q|%10s|%-5s|%.2s|%x\" \"abc\" \"a\\\"b\" \"c\" \"d\" \"efg\" \"hi\" }}",
        "abc|\"a\\\"b\"|         c|d    |ef|6869",
    );
    check("{{ printf \"%v %t %T %%\" true false 1.5 }}", "true false float64 %");
    // Faults are written, too, as there.
    check("{{ printf \"%d\" $value }}", "%!d(float64=1.5)");
    check("{{ printf \"%s %s\" \"a\" }}{{ printf \"a\" 1 }}", "a %!s(MISSING)a%!(EXTRA int=1)");
    check("{{ $value | printf \"%.1f%%\" }}", "1.5%");
    check("{{ printf \"%*d\" 4 7 }}{{ printf \"%\" }}", "   7%!(NOVERB)");
    check("{{ print 1 2 \"a\" 3 }}{{ println \"x\" 1 }}", "1 2a3x 1\n");
}

#[test]
fn blocks_choose_and_repeat() {
    check("{{ if gt $value 1.0 }}a{{ else }}b{{ end }}", "a");
    check("{{ if gt $value 5 }}a{{ else if eq $labels.job \"x\" \"shop\" }}b{{ else }}c{{ end }}", "b");
    check("{{ if and $labels.job (not $labels.none) }}a{{ end }}{{ if or $labels.none false }}b{{ end }}", "a");
    check(
        "{{ with $labels.none }}a{{ else }}b{{ end }}{{ with $x := $labels.job }}{{ $x }}{{ . }}{{ end }}",
        "bshopshop",
    );
    check(
        "{{ range $name, $value := $labels }}{{ $name }}={{ $value }};{{ end }}{{ $value }}",
        "instance=web-1.example.org:9100;job=shop;1.5",
    );
    check(
        "{{ $n := 0 }}{{ range $i := 3 }}{{ if eq $i 1 }}{{ continue }}{{ end }}{{ $n = $i }}{{ $i }}{{ end }}{{ $n }}",
        "022",
    );
    check("{{ range 9 }}{{ . }}{{ if ge . 1 }}{{ break }}{{ end }}{{ end }}", "01");
    check("{{ define \"t\" }}<{{ .a }}{{ . | len }}>{{ end }}{{ template \"t\" $labels }}", "<2>");
    check("{{ block \"b\" args 1 \"x\" }}{{ .arg0 }}{{ .arg1 }}{{ end }}", "1x");
    check("{{ len \"abc\" }}{{ index $labels \"job\" }}{{ slice \"abcd\" 1 3 }}", "3shopbc");
}

#[test]
fn queries_are_asked() {
    let answers = [found(&[("job", "b")], 2.0), found(&[("job", "a"), ("__value__", "v")], 3.0)];
    let check = |text: &str, expected: &str| {
        assert_eq!(expand_with(text, 0.0, &answers).as_deref(), Ok(expected), "{text}");
    };
    check("{{ query \"up\" | first | value }}", "2");
    check("{{ with query \"up\" }}{{ . | first | label \"job\" }}{{ end }}", "b");
    check(
        "{{ range query \"up\" | sortByLabel \"job\" }}{{ .Labels.job }}={{ .Value }} {{ strvalue . }};{{ end }}",
        "a=3 v;b=2 ;",
    );
    check("{{ len (query \"up\") }}", "2");
    let none = expand_with("{{ query \"up\" | first | value }}", 0.0, &[]);
    assert_eq!(none, Err("1:17: error calling first: first() called on vector with no elements".to_owned()));
    let bad = expand_with("a\n  {{ query \"bad\" }}", 0.0, &[]);
    assert_eq!(bad, Err("2:6: error calling query: no such thing".to_owned()));
}

#[test]
fn t1_what_is_no_template_is_refused_with_its_place() {
    for (text, expected) in [
        ("a {{ foo }}", "1:6: function \"foo\" not defined"),
        ("\n{{ $value | humanise }}", "2:13: function \"humanise\" not defined"),
        ("{{ $lables.job }}", "1:4: undefined variable \"$lables\""),
        ("{{ $value ", "1:1: unclosed action"),
        ("{{ if $value }}a", "1:1: {{if}} has no {{end}}"),
        ("a{{ end }}", "1:2: unexpected {{end}}"),
        ("{{ else }}", "1:1: unexpected {{else}}"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "1:21: unexpected {{else}}"),
        ("{{ break }}", "1:1: {{break}} outside {{range}}"),
        ("{{ \"a }}", "1:4: unterminated quoted string"),
        ("{{ \"\\q\" }}", "1:5: malformed escape in a quoted string"),
        ("{{ ( 1 }}", "1:4: unclosed left paren"),
        ("{{ 1 | 2 }}", "1:8: a constant cannot stand behind |"),
        ("{{ }}", "1:1: missing value"),
        ("{{ 1x }}", "1:4: bad number syntax: \"1x\""),
        ("{{ # }}", "1:4: unexpected '#' in an action"),
        ("{{ template \"a\" }}", "1:1: template \"a\" not defined"),
        ("{{ template a }}", "1:13: template needs a quoted name"),
        ("{{ $x = 1 }}", "1:4: undefined variable \"$x\""),
        ("{{/* a", "1:1: unclosed comment"),
        ("{{ 1 ) }}", "1:6: unexpected token behind a pipeline"),
    ] {
        let fault = Template::parse(text).map(drop).unwrap_err();
        assert_eq!(fault.to_string(), expected, "{text}");
    }
    let deep = format!("{}1{}", "{{ if 1 }}".repeat(1_000), "{{ end }}".repeat(1_000));
    assert!(Template::parse(&deep).unwrap_err().to_string().contains("nested deeper"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(1_000), ")".repeat(1_000));
    assert!(Template::parse(&deep).unwrap_err().to_string().contains("nested deeper"));
}

#[test]
fn t2_an_expansion_ends() {
    for (text, expected) in [
        ("{{ range 100000 }}{{ range 100000 }}a{{ end }}{{ end }}", "more than 100000 steps"),
        ("{{ $x := \"ab\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}", "longer than 262144 bytes"),
        ("{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}", "call each other more than 64 times"),
        ("{{ $x := args 1 }}{{ args $x }}", "wrong arguments for args"),
        ("{{ $x := \"a\" }}{{ range 16 }}{{ $x = print $x $x }}{{ end }}{{ reReplaceAll \"\" $x $x }}", "longer than"),
        ("{{ reReplaceAll \"(\" \"\" \"\" }}", "the pattern \"(\" cannot be used"),
        ("{{ $labels.job.x }}", "can't evaluate field x in type string"),
        ("{{ humanize \"x\" }}", "error calling humanize: strconv.ParseFloat: parsing \"x\": invalid syntax"),
        ("{{ humanize }}", "wrong arguments for humanize: ()"),
        ("{{ lt \"a\" 1 }}", "incompatible types for comparison: string and int"),
        ("{{ 1 2 }}", "can't give argument to non-function"),
        ("{{ index $labels 1 }}", "can't index item"),
        ("{{ toTime 1e300 }}", "overflows int64"),
    ] {
        let fault = expand_with(text, 0.0, &[]).unwrap_err();
        assert!(fault.contains(expected), "{text}: {fault}");
    }
    // Of any text the reading, and of any that can be read the expansion, ends.
    use proptest::prelude::*;
    let parts = [
        "{{", "}}", "if", "end", "range", " ", "$labels", ".x", "|", "(", ")", "\"a\"", "1", "$x", ":=", "else", "-",
        "é",
    ];
    proptest!(|(places in proptest::collection::vec(0..parts.len(), 0..24))| {
        let text: String = places.iter().filter_map(|place| parts.get(*place)).copied().collect();
        drop(expand_with(&text, 1.0, &[]));
    });
}

#[test]
fn every_function_that_is_known_is_there() {
    for name in super::function::FUNCTIONS {
        let fault = expand_with(&format!("{{{{ {name} }}}}"), 1.0, &[]);
        assert!(!fault.is_err_and(|fault| fault.contains("not defined")), "{name}");
    }
}
