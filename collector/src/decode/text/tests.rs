//! Are texts read as Prometheus reads them, and what is none told with its place?

use super::super::exposition::{Exemplar, Imported};
use super::super::remote::{self, MAX_LABELS, Version};
use super::*;
use crate::decode::DecodeLimits;
use proptest::prelude::*;

/// Samples as short texts: name, labels, value, time, start, type.
fn read(format: TextFormat, text: &str) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let parsed = parse(format, text.as_bytes(), |Found { sample, family, start }| {
        let labels: Vec<String> = sample.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let time = sample.timestamp.map_or_else(String::new, |time| format!(" @{time}"));
        let start = if start == 0 { String::new() } else { format!(" since {start}") };
        let exemplar = sample.exemplars.iter().map(|Exemplar { labels, value, timestamp }| {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            format!(" # {} {value} {timestamp:?}", labels.join(","))
        });
        let exemplar: String = exemplar.collect();
        let Measured::Number(value) = sample.value else { panic!("a text has numbers") };
        lines.push(format!(
            "{} {{{}}} {}{time}{start}{exemplar} type {}",
            sample.name,
            labels.join(","),
            value,
            family.r#type
        ));
    });
    parsed.map(|()| lines).map_err(|error| error.to_string())
}

fn prometheus(text: &str) -> Vec<String> {
    read(TextFormat::Prometheus, text).unwrap()
}

fn open(text: &str) -> Vec<String> {
    read(TextFormat::OpenMetrics, text).unwrap()
}

#[test]
fn prometheus_text_is_read() {
    let text = "\
# HELP http_requests_total The total number of HTTP requests.\n\
# TYPE http_requests_total counter\n\
http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
\n\
# a comment # TYPE\n\
  # TYPE rpc summary\n\
rpc { quantile = \"0.5\" , } +Inf -5\n\
rpc_sum\t1.7560473e+07\r\n\
rpc_count 2693\n\
# TYPE h histogram\n\
h_bucket{le=\"+Inf\"} 3\n\
msdos{error=\"Cannot find\\nFILE \\\"C:\\\\dir\\\" \\q\"} 1.458255915e9\n\
{\"quoted.name\",\"la bel\"=\"é\"} NaN\n\
inf -Inf";
    assert_eq!(
        prometheus(text),
        [
            "http_requests_total {method=\"post\",code=\"200\"} 1027 @1395066363000 type 1",
            "rpc {quantile=\"0.5\"} inf @-5 type 5",
            "rpc_sum {} 17560473 type 5",
            "rpc_count {} 2693 type 5",
            "h_bucket {le=\"+Inf\"} 3 type 3",
            "msdos {error=\"Cannot find\\nFILE \\\"C:\\\\dir\\\" \\\\q\"} 1458255915 type 0",
            "quoted.name {la bel=\"é\"} NaN type 0",
            "inf {} -inf type 0",
        ]
    );
}

#[test]
fn open_metrics_is_read_with_exemplars_units_and_starts() {
    let text = "\
# TYPE foo_seconds counter\n\
# UNIT foo_seconds seconds\n\
# HELP foo_seconds Say \\\"hi\\\".\n\
foo_seconds_total{a=\"b\"} 17.0 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879606.5\n\
foo_seconds_created{a=\"b\"} 1520430000.123\n\
# TYPE h histogram\n\
h_bucket{le=\"1\"} 2 # {} 0.5\n\
h_bucket{le=\"+Inf\"} 2\n\
h_count 2\n\
h_sum 1\n\
h_created 5\n\
# TYPE i info\n\
i_info{v=\"1\"} 1\n\
# EOF\n";
    assert_eq!(
        open(text),
        [
            "foo_seconds_total {a=\"b\"} 17 @1520879607789 since 1520430000123 \
             # trace_id=\"KOO5S4vxi0o\" 0.67 Some(1520879606500) type 1",
            "foo_seconds_created {a=\"b\"} 1520430000.123 type 0",
            "h_bucket {le=\"1.0\"} 2 since 5000 #  0.5 None type 3",
            "h_bucket {le=\"+Inf\"} 2 since 5000 type 3",
            "h_count {} 2 since 5000 type 3",
            "h_sum {} 1 since 5000 type 3",
            "h_created {} 5 type 0",
            "i_info {v=\"1\"} 1 type 6",
        ]
    );
    assert_eq!(TextFormat::detect(text.as_bytes()), TextFormat::OpenMetrics);
    assert_eq!(TextFormat::detect(b"a 1\n"), TextFormat::Prometheus);
}

#[test]
fn t1_what_is_wrong_is_told_with_line_and_column() {
    for (text, expected) in [
        ("a 1\nb", "line 2, column 2: expected a value, found \"\""),
        ("a x", "line 1, column 3: expected a value, found \"x\""),
        ("a 0x10", "line 1, column 3: expected a value"),
        ("é 1", "line 1, column 1: expected a metric's name, found `é`"),
        ("1a 1", "line 1, column 1: expected a metric's name"),
        ("a{b=\"é\" c=\"d\"} 1", "line 1, column 9: expected `,`, found `c`"),
        ("a{b:c=\"d\"} 1", "line 1, column 4: expected `=`, found `:`"),
        ("a{b=\"c} 1", "line 1, column 6: the quote is not closed"),
        ("a{b=\"c\\", "line 1, column 6: the quote is not closed"),
        ("a{b=\"c\"", "line 1, column 8: expected `,`, found the end of the line"),
        ("a{b=\"1\",b=\"2\"} 1", "line 1, column 9: label \"b\" is given twice"),
        ("a{__name__=\"b\"} 1", "line 1, column 3: label \"__name__\" is given twice"),
        ("a{\"b\"} 1", "line 1, column 3: the metric's name is given twice"),
        ("{b=\"c\"} 1", "line 1, column 1: there is no metric's name"),
        ("a 1 2.5", "line 1, column 5: expected a timestamp, found \"2.5\""),
        ("a 1 2 3", "line 1, column 7: expected the end of the line, found `3`"),
        ("# TYPE a countr", "line 1, column 10: \"countr\" is no type of a metric"),
        ("# TYPE a{} counter", "line 1, column 9: expected a blank"),
        ("a 1\n{\"\"} 1", "line 2, column 1: there is no metric's name"),
        ("a{\"\"=\"b\"} 1", "line 1, column 3: a label has an empty name"),
        ("a 1 9223372036855", "line 1, column 5: the timestamp 9223372036855 is outside the years 1677 to 2262"),
        ("a 1 -9223372036855", "line 1, column 5: the timestamp -9223372036855 is outside"),
    ] {
        let error = read(TextFormat::Prometheus, text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
    for (text, expected) in [
        ("a 1\n", "line 2, column 1: the text ends without `# EOF`"),
        ("a 1\n# EOF\nb 2\n", "line 3, column 1: there is text behind `# EOF`"),
        ("a 1\n\n# EOF\n", "line 2, column 1: OpenMetrics has no empty lines"),
        ("# hello\n# EOF\n", "line 1, column 3: expected HELP, TYPE, UNIT or EOF"),
        ("a 1 # {b=\"c\"} x\n# EOF\n", "line 1, column 15: expected an exemplar's value"),
        ("a 1 # 5\n# EOF\n", "line 1, column 7: expected `{`"),
        ("a 1 # {} 1 -5\n# EOF\n", "line 1, column 12: an exemplar's timestamp is before 1970"),
        ("a 1 1e300\n# EOF\n", "line 1, column 5: expected a timestamp"),
        ("a 1 9.3e9\n# EOF\n", "line 1, column 5: the timestamp 9.3e9 is outside the years"),
    ] {
        let error = read(TextFormat::OpenMetrics, text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
    let error = parse(TextFormat::Prometheus, b"a 1\nb\xff 2", |_| {}).unwrap_err();
    assert_eq!((error.line, error.column), (2, 2));
}

#[test]
fn a_line_of_many_labels_is_refused_before_they_are_compared() {
    let line = |count: usize| {
        let labels: String = (0..count).map(|n| format!("l{n}=\"\",")).collect();
        format!("a{{{labels}}} 1\n")
    };
    assert_eq!(read(TextFormat::Prometheus, &line(MAX_LABELS)).unwrap().len(), 1);
    use storage::fs::{Clock as _, SystemClock};
    let clock = SystemClock::default();
    let started = clock.monotonic();
    let error = read(TextFormat::Prometheus, &line(1_000_000)).unwrap_err();
    assert!(error.contains("there are more than 1024 labels") && error.starts_with("line 1, column "), "{error}");
    assert!(clock.monotonic() - started < std::time::Duration::from_secs(5), "each label is not compared with each");
}

#[test]
fn t6_bounds_and_quantiles_are_numbers() {
    let text = "# TYPE h histogram\nh_bucket{le=\"5\"} 1\nh_bucket{le=\"1e3\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_bucket{le=\"x\"} 1\n\
                # TYPE s summary\ns{quantile=\"0.50\",le=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n";
    assert_eq!(
        prometheus(text),
        [
            "h_bucket {le=\"5.0\"} 1 type 3",
            "h_bucket {le=\"1000.0\"} 1 type 3",
            "h_bucket {le=\"+Inf\"} 1 type 3",
            "h_bucket {le=\"x\"} 1 type 3",
            "s {quantile=\"0.5\",le=\"1\"} 1 type 5",
            "g {le=\"1\"} 1 type 2",
        ]
    );
}

#[test]
fn a_keyword_that_does_not_stand_alone_is_a_comment() {
    assert_eq!(prometheus("#TYPE a nonsense\n# TYPE\n# HELP\n# TYPES a b\na 1\n"), ["a {} 1 type 0"]);
}

#[test]
fn a_text_becomes_a_message_of_remote_write() {
    let text = "# TYPE a counter\n# HELP a Help.\na_total{b=\"c\"} 1 # {d=\"e\"} 2\na_created{b=\"c\"} 3\n# EOF";
    let message =
        to_remote_write(TextFormat::OpenMetrics, text.as_bytes(), 7_000, (&Imported::default(), 0)).unwrap().0;
    let limits = crate::decode::DecodeLimits::default();
    let version = crate::decode::remote::Version::Two;
    let decoded = crate::decode::remote::decode(version, 0, &message, &limits).unwrap();
    let written = decoded.written;
    assert_eq!((written.samples, written.exemplars, decoded.rejected), (2, 1, 0));
    // The exemplar lies within the millisecond.
    let (first, last) = decoded.batch.time_range().unwrap();
    assert_eq!((first, last / 1_000_000), (7_000_000_000, 7_000));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c#{}\"\\\\=, \n\te1.é_]{0,60}") {
        for format in [TextFormat::Prometheus, TextFormat::OpenMetrics] {
            if let Ok(lines) = read(format, &text) {
                prop_assert!(lines.len() <= text.lines().count());
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        name in "[a-z_:][a-z0-9_:]{0,5}", label in "[a-z_][a-z0-9]{0,4}", value in any::<String>(),
        number in any::<f64>(), time in -1_000_000_000_000i64..4_000_000_000_000,
    ) {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        prop_assume!(!escaped.contains('\r'));
        let text = format!("{name}{{{label}=\"{escaped}\"}} {number} {time}\n");
        let mut found = Vec::new();
        parse(TextFormat::Prometheus, text.as_bytes(), |one| found.push(one.sample)).unwrap();
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(&found[0].labels[0].1, &value);
        let Measured::Number(read) = found[0].value else { panic!("a text has numbers") };
        prop_assert_eq!((read.to_bits(), found[0].timestamp), (number.to_bits(), Some(time)));
    }
}

/// Exemplars that a text brings, as one of a request after others.
fn exemplars_of(imported: &Imported, whose: u64, lines: &[String]) -> u64 {
    let text = format!("{}# EOF\n", lines.concat());
    let (message, told) = to_remote_write(TextFormat::OpenMetrics, text.as_bytes(), 5_000, (imported, whose)).unwrap();
    imported.remember(told);
    remote::decode(Version::Two, 0, &message, &DecodeLimits::default()).unwrap().written.exemplars
}

fn line(labels: &str, time: i64, exemplar: &str) -> String {
    format!("a_total{{{labels}}} 1 {time} # {{id=\"x\"}} {exemplar}\n")
}

#[test]
fn an_exemplar_without_a_time_that_is_told_again_is_the_same() {
    let exemplars = |lines: &[String]| exemplars_of(&Imported::default(), 0, lines);
    assert_eq!(exemplars(&[line("b=\"1\",c=\"2\"", 1, "1"), line("c=\"2\",b=\"1\"", 2, "1")]), 1);
    assert_eq!(exemplars(&[line("b=\"1\"", 1, "1"), line("b=\"2\"", 2, "1")]), 2, "of two series");
    assert_eq!(exemplars(&[line("", 1, "1"), line("", 2, "2"), line("", 3, "1")]), 3, "with another in between");
    assert_eq!(exemplars(&[line("", 1, "1 1"), line("", 2, "1 2")]), 2, "at two times");
}

#[test]
fn so_is_one_of_another_request_once_that_is_stored() {
    let imported = Imported::default();
    let exemplars = |whose: u64, lines: &[String]| exemplars_of(&imported, whose, lines);
    assert_eq!(exemplars(0, &[line("", 1, "1")]), 1);
    assert_eq!(exemplars(0, &[line("", 2, "1"), line("b=\"1\"", 2, "1")]), 1, "of another series");
    assert_eq!(exemplars(1, &[line("", 2, "1")]), 1, "another tenant's");
    assert_eq!(exemplars(0, &[line("", 3, "2")]), 1, "another");
    assert_eq!(exemplars(0, &[line("", 4, "1"), line("", 5, "1")]), 1, "with another in between");
    assert_eq!(exemplars(0, &[line("", 6, "1 6")]), 1, "with a time");
    assert_eq!(exemplars(0, &[line("", 6, "1 6")]), 1, "what tells its time is the same row");
    // What is not stored is not remembered.
    let told = [line("c=\"1\"", 1, "1")].concat() + "# EOF\n";
    for _ in 0..2 {
        let (message, _) = to_remote_write(TextFormat::OpenMetrics, told.as_bytes(), 5_000, (&imported, 0)).unwrap();
        let decoded = remote::decode(Version::Two, 0, &message, &DecodeLimits::default()).unwrap();
        assert_eq!(decoded.written.exemplars, 1);
    }
}
