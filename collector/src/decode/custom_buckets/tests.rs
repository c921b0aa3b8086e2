//! Are classic histograms converted as by Prometheus 3, and is what cannot be told?

use super::*;
use crate::decode::DecodeLimits;
use crate::decode::exposition::write;
use crate::decode::remote::writer::Writer;
use crate::decode::remote::{self, Version};
use crate::decode::text::{self, TextFormat};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, UInt32Type, UInt64Type};
use proptest::prelude::*;
use storage::model::record;
use storage::model::schema::column;
use storage::model::verbatim::FLOAT_COUNTS;

/// What a text tells once it is converted: series that stay with their value, histograms by what of them is stored. Then why one is left out.
fn convert(classic: ClassicForm, text: &str) -> (Vec<String>, Option<String>) {
    let (mut conversion, mut told) = (Conversion::new(classic), Vec::new());
    let mut tell = |found: Found<'_, '_>| {
        let labels: Vec<String> = found.sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let time = found.sample.timestamp.map_or_else(String::new, |time| format!(" @{time}"));
        let start = if found.start == 0 { String::new() } else { format!(" since {}", found.start) };
        let exemplars = found.sample.exemplars.iter().map(|exemplar| format!(" # {}", exemplar.value));
        let exemplars: String = exemplars.collect();
        let value = match found.sample.value {
            Measured::Number(value) => value.to_string(),
            Measured::Native(_) => stored(&found),
        };
        told.push(format!("{}{{{}}} {value}{time}{start}{exemplars}", found.sample.name, labels.join(",")));
    };
    let format = TextFormat::detect(text.as_bytes());
    text::parse(format, text.as_bytes(), |found| conversion.pass(found).into_iter().for_each(&mut tell)).unwrap();
    let left_out = conversion.finish(tell);
    (told, left_out)
}

/// Count, sum, bounds and counts of a histogram as it is stored.
fn stored(found: &Found<'_, '_>) -> String {
    let mut writer = Writer::default();
    write(&mut writer, &found.sample.name, std::iter::empty(), found, 5_000);
    let decoded = remote::decode(Version::Two, 0, &writer.finish(), &DecodeLimits::default()).unwrap();
    assert_eq!(decoded.rejected, 0, "{:?}", decoded.message);
    let cell = |name| decoded.batch.columns().column_by_name(name).unwrap();
    let flags = cell(column::FLAGS).as_primitive::<UInt32Type>().value(0);
    let number =
        |bits: u64| if flags & FLOAT_COUNTS == 0 { bits.to_string() } else { format!("{:?}", f64::from_bits(bits)) };
    let bounds: Vec<f64> = record::doubles(cell(column::EXPLICIT_BOUNDS).as_binary::<i32>().value(0)).collect();
    let counts: Vec<String> =
        record::counts(cell(column::BUCKET_COUNTS).as_binary::<i32>().value(0)).map(number).collect();
    let count = number(cell(column::COUNT).as_primitive::<UInt64Type>().value(0));
    let sum = cell(column::SUM).as_primitive::<Float64Type>().value(0);
    format!("{count} sum {sum} {bounds:?} [{}]", counts.join(","))
}

fn replaced(text: &str) -> Vec<String> {
    let (told, left_out) = convert(ClassicForm::Replaced, text);
    assert_eq!(left_out, None);
    told
}

const HEAD: &str = "# TYPE h histogram\n";

#[test]
fn a_classic_histogram_becomes_a_native_one_with_its_bounds() {
    let text = "# TYPE a counter\na 1\n# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 4\nh_sum 7.5\nh_count 4\nb 2\n";
    assert_eq!(replaced(text), ["a{} 1", "b{} 2", "h{} 4 sum 7.5 [0.5, 2.0] [1,0,3]"]);
    let kept = convert(ClassicForm::Kept, text).0;
    assert_eq!(kept.len(), 8);
    assert_eq!((kept[1].as_str(), kept[7].as_str()), ("h_bucket{le=0.5} 1", "h{} 4 sum 7.5 [0.5, 2.0] [1,0,3]"));
}

#[test]
fn h1_interleaved_histograms_are_told_apart_by_labels_and_time() {
    let text = format!(
        "{HEAD}h_bucket{{x=\"1\",le=\"1\"}} 1\nh_bucket{{le=\"1\",x=\"2\"}} 10\nh_bucket{{x=\"1\",le=\"+Inf\"}} 2\n\
         h_bucket{{x=\"2\",le=\"+Inf\"}} 20\nh_sum{{x=\"1\"}} 3\nh_sum{{x=\"2\"}} 30\nh_count{{x=\"1\"}} 2\nh_count{{x=\"2\"}} 20\n"
    );
    assert_eq!(replaced(&text), ["h{x=1} 2 sum 3 [1.0] [1,1]", "h{x=2} 20 sum 30 [1.0] [10,10]"]);
    let text = format!("{HEAD}h_count 1 1000\nh_sum 5 1000\nh_count 2 2000\nh_sum 6 2000\n");
    assert_eq!(replaced(&text), ["h{} 1 sum 5 [] [1] @1000", "h{} 2 sum 6 [] [2] @2000"]);
}

#[test]
fn h1_what_is_no_part_of_a_histogram_passes() {
    let text = "h_bucket{le=\"1\"} 1\n# TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\n# TYPE h histogram\nh_bucket 1\nh_bucket{le=\"NaN\"} 1\n\
                h_bucket{le=\"low\"} 1\nh 1\nh_min 1\n# TYPE s summary\ns_sum 1\ns_count 1\n";
    assert_eq!(replaced(text).len(), 9, "all as they are");
}

#[test]
fn h2_bounds_are_numbers_however_they_are_written() {
    let text = format!(
        "{HEAD}h_bucket{{le=\"1e1\"}} 3\nh_bucket{{le=\"1\"}} 1\nh_bucket{{le=\"1.0\"}} 9\nh_bucket{{le=\"Inf\"}} 5\nh_bucket{{le=\"-1\"}} 0\n"
    );
    assert_eq!(replaced(&text), ["h{} 5 sum 0 [-1.0, 1.0, 10.0] [0,1,2,2]"], "in any order, the first of two counts");
}

#[test]
fn h2_counts_that_are_not_told_follow_from_those_that_are() {
    for (lines, expected) in [
        ("h_bucket{le=\"1\"} 2\nh_count 5\n", "h{} 5 sum 0 [1.0] [2,3]"),
        ("h_bucket{le=\"1\"} 2\n", "h{} 2 sum 0 [1.0] [2,0]"),
        ("h_bucket{le=\"+Inf\"} 2\nh_sum 3\n", "h{} 2 sum 3 [] [2]"),
        ("h_count 2\n", "h{} 2 sum 0 [] [2]"),
        ("h_bucket{le=\"1\"} 0.5\nh_count 2\n", "h{} 2.0 sum 0 [1.0] [0.5,1.5]"),
        ("h_bucket{le=\"1\"} 1\nh_count 1e19\n", "h{} 1e19 sum 0 [1.0] [1.0,1e19]"),
        ("h_count 9007199254740992\nh_sum NaN\n", "h{} 9007199254740992 sum NaN [] [9007199254740992]"),
    ] {
        assert_eq!(replaced(&format!("{HEAD}{lines}")), [expected], "{lines}");
    }
}

#[test]
fn h3_what_does_not_add_up_is_left_out_and_why_is_told() {
    for (lines, expected) in [
        (
            "h_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 2\nh_count 3\n",
            "\"h\": its bucket le=2 has the count 2, the one before 3",
        ),
        ("h_bucket{le=\"1\"} 3\nh_count 2\n", "\"h\": its bucket le=inf has the count 2, the one before 3"),
        ("h_bucket{le=\"+Inf\"} 3\nh_count 2\n", "\"h\": its count is 2, its last bucket has 3"),
        ("h_bucket{le=\"1\"} -1\nh_count 2\n", "\"h\": its bucket le=1 has the negative count -1"),
        ("h_sum 1.5\n", "\"h\": it has neither a count nor buckets"),
        ("h_count NaN\n", "\"h\": its count is NaN, its last bucket has NaN"),
    ] {
        let text = format!("{HEAD}{lines}# TYPE i histogram\ni_count 1\n");
        let (told, left_out) = convert(ClassicForm::Replaced, &text);
        assert_eq!((told.len(), left_out.as_deref()), (1, Some(expected)), "the next one is converted");
    }
    let buckets: String = (0..=MAX_BUCKETS).map(|bound| format!("h_bucket{{le=\"{bound}\"}} 1\n")).collect();
    let (told, left_out) = convert(ClassicForm::Replaced, &format!("{HEAD}{buckets}"));
    assert_eq!((told.len(), left_out.as_deref()), (0, Some("\"h\": it has more than 65536 buckets")));
}

#[test]
fn starts_and_exemplars_with_a_time_are_the_histograms() {
    let text = "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {a=\"b\"} 0.5 3\nh_bucket{le=\"+Inf\"} 2 # {a=\"c\"} 7\nh_count 2\nh_sum 7.5\nh_created 4\n# EOF\n";
    assert_eq!(replaced(text), ["h_created{} 4", "h{} 2 sum 7.5 [1.0] [1,1] since 4000 # 0.5"]);
    let kept = convert(ClassicForm::Kept, text).0;
    assert_eq!(kept[1], "h_bucket{le=+Inf} 2 since 4000 # 7", "the classic ones have theirs");
}

#[test]
fn h4_a_histogram_that_is_native_already_is_not_converted() {
    let family = Arc::new(Family { name: "h".to_owned(), r#type: HISTOGRAM, ..Family::default() });
    let found = |name: &'static str, labels: Labels<'static>, value| Found {
        sample: Sample { name: name.into(), labels, value, timestamp: None, exemplars: Vec::new() },
        family: &family,
        start: 0,
    };
    let label = |name: &'static str| vec![(Cow::Borrowed(name), Cow::Borrowed("1"))];
    let mut conversion = Conversion::new(ClassicForm::Kept);
    for (name, labels, value) in [
        ("h", label("a"), Measured::Native(&[])),
        ("h_count", label("a"), Measured::Number(1.0)),
        ("h_count", label("b"), Measured::Number(1.0)),
    ] {
        assert!(conversion.pass(found(name, labels, value)).is_some());
    }
    let mut converted = Vec::new();
    assert_eq!(conversion.finish(|found| converted.push(found.sample.labels[0].0.to_string())), None);
    assert_eq!(converted, ["b"]);
}

proptest! {
    /// Whatever the order and the counts, cumulative counts are those that were told.
    #[test]
    fn every_histogram_that_rises_is_stored_with_its_counts(
        steps in proptest::collection::vec((1u32..1_000, 0u32..1_000), 1..40),
        turn in 0usize..40,
    ) {
        let (mut bound, mut count) = (0, 0);
        let mut lines: Vec<String> = steps.iter().map(|(width, own)| {
            (bound, count) = (bound + width, count + own);
            format!("h_bucket{{le=\"{bound}\"}} {count}\n")
        }).collect();
        let turn = turn % lines.len();
        lines.rotate_left(turn);
        let told = replaced(&format!("{HEAD}{}h_count {}\n", lines.concat(), count + 7));
        let own: Vec<String> = steps.iter().map(|(_, own)| own.to_string()).collect();
        prop_assert!(told[0].ends_with(&format!("[{},7]", own.join(","))), "{}", told[0]);
        prop_assert!(told[0].starts_with(&format!("h{{}} {} sum", count + 7)), "{}", told[0]);
    }
}
