use super::*;
use crate::model::attribute::{Map, MapBuilder, Value};
use crate::model::origin::{Resource, Scope};
use crate::model::{LogBatchBuilder, LogRecord, SpanId, TraceId};
use crate::scan::TimeRange;

/// Three records: a text body with attributes, a structured body, nothing at all.
fn records() -> RecordBatch {
    let map = |entries: &[(&str, Value<'_>)]| {
        let mut builder = MapBuilder::default();
        entries.iter().for_each(|(key, value)| builder.push(key, *value));
        builder.finish()
    };
    let encoded = |value: Value<'_>| {
        let mut out = Vec::new();
        crate::model::attribute::put_value(&mut out, value);
        out
    };
    let resource = map(&[("service.name", Value::String("cart")), ("k", Value::String("resource"))]);
    let scope = map(&[("k", Value::String("scope")), ("only", Value::Bool(true))]);
    let own = map(&[("k", Value::Int(5)), ("d", Value::Double(f64::NAN)), ("e", Value::Empty)]);
    let inner = map(&[("inner", Value::String("Deep Needle"))]);
    let bodies = [encoded(Value::String("Hello World")), encoded(Value::Map(Map::new(&inner))), Vec::new()];
    let mut builder = LogBatchBuilder::default();
    builder.set_resource(&Resource { attributes: Map::new(&resource), ..Resource::default() });
    builder.set_scope(&Scope { attributes: Map::new(&scope), ..Scope::default() });
    for (row, body) in (0i64..).zip(&bodies) {
        let record = LogRecord {
            time: row * 10,
            observed_time: (row == 0).then_some(3),
            severity_number: 9,
            body,
            trace_id: (row == 1).then_some(TraceId([1; 16])),
            span_id: (row == 1).then_some(SpanId([2; 8])),
            attributes: Map::new(if row == 0 { &own } else { b"" }),
            ..LogRecord::default()
        };
        builder.append(&record).unwrap();
    }
    builder.finish().unwrap().columns().clone()
}

fn check(predicate: Predicate, expected: [bool; 3]) {
    let answer = evaluate(&records(), &predicate).unwrap();
    assert_eq!(answer.values().iter().collect::<Vec<_>>(), expected, "{predicate:?}");
    assert!(arrow_array::Array::nulls(&answer).is_none());
    let opposite = evaluate(&records(), &Predicate::Not(Box::new(predicate.clone()))).unwrap();
    assert_eq!(opposite.values().iter().collect::<Vec<_>>(), expected.map(|matches| !matches), "not {predicate:?}");
}

fn compare(field: Field, compare: Compare, value: Scalar) -> Predicate {
    Predicate::Compare { field, compare, value }
}

fn attribute(scope: AttributeScope, key: &str) -> Field {
    Field::Attribute(scope, key.into())
}

fn text(text: &str) -> Scalar {
    Scalar::String(text.into())
}

#[test]
fn e1_absent_values_match_no_comparison() {
    use AttributeScope::Own;
    check(compare(attribute(Own, "k"), Compare::Equal, Scalar::Int(5)), [true, false, false]);
    check(compare(attribute(Own, "k"), Compare::NotEqual, Scalar::Int(5)), [false; 3]);
    check(compare(attribute(Own, "k"), Compare::NotEqual, text("5")), [true, false, false]);
    check(compare(attribute(Own, "missing"), Compare::NotEqual, Scalar::Int(5)), [false; 3]);
    check(compare(Field::Column(name::OBSERVED_TIME), Compare::LessOrEqual, Scalar::Int(3)), [true, false, false]);
    check(Predicate::Exists(Field::Column(name::TRACE_ID)), [false, true, false]);
    check(Predicate::Exists(attribute(Own, "e")), [true, false, false]);
    check(compare(attribute(Own, "d"), Compare::Equal, Scalar::Double(f64::NAN)), [false; 3]);
    check(compare(attribute(Own, "d"), Compare::NotEqual, Scalar::Double(f64::NAN)), [true, false, false]);
}

#[test]
fn any_is_the_own_attribute_else_the_resources_else_the_scopes() {
    use AttributeScope::{Any, Resource, Scope};
    check(compare(attribute(Any, "k"), Compare::Equal, text("resource")), [false, true, true]);
    check(compare(attribute(Any, "k"), Compare::Equal, Scalar::Typed("5".into())), [true, false, false]);
    check(compare(attribute(Any, "k"), Compare::NotEqual, text("resource")), [true, false, false]);
    check(compare(attribute(Any, "k"), Compare::Equal, text("scope")), [false; 3]);
    check(compare(attribute(Scope, "k"), Compare::Equal, text("scope")), [true; 3]);
    check(compare(attribute(Any, "only"), Compare::Equal, Scalar::Bool(true)), [true; 3]);
    check(compare(attribute(Resource, "service.name"), Compare::GreaterOrEqual, text("car")), [true; 3]);
}

#[test]
fn text_is_found_in_bodies_of_both_kinds() {
    let contains =
        |field, needle: &str, case_sensitive| Predicate::Contains { field, needle: needle.into(), case_sensitive };
    let body = || Field::Column(name::BODY);
    check(contains(body(), "hello", false), [true, false, false]);
    check(contains(body(), "hello", true), [false; 3]);
    check(contains(body(), "needle", false), [false, true, false]);
    check(contains(body(), "inner", true), [false, true, false]);
    check(Predicate::Exists(body()), [true, true, false]);
    check(compare(body(), Compare::Equal, text("Hello World")), [true, false, false]);
    check(contains(Field::Column(name::ATTRIBUTES), "k", true), [true, false, false]);
    check(contains(Field::Column(name::SEVERITY_NUMBER), "9", true), [false; 3]);
}

#[test]
fn predicates_combine() {
    check(Predicate::All, [true; 3]);
    check(Predicate::And(vec![]), [true; 3]);
    check(Predicate::Or(vec![]), [false; 3]);
    let (trace, span) = (Predicate::Trace(TraceId([1; 16])), Predicate::Span(SpanId([2; 8])));
    check(trace.clone().and(span.clone()), [false, true, false]);
    check(Predicate::Or(vec![trace, Predicate::Exists(Field::Column(name::OBSERVED_TIME))]), [true, true, false]);
}

#[test]
fn a_filter_takes_time_and_predicate_and_projects() {
    let request =
        ScanRequest { time: TimeRange { start: 5, end: 20 }, ..ScanRequest::all([name::SEVERITY_NUMBER, name::TIME]) };
    let answer = filter(Signal::Logs, &records(), &request).unwrap().unwrap();
    assert_eq!((answer.num_rows(), answer.num_columns()), (1, 2));
    assert_eq!(answer.schema().field(0).name(), name::SEVERITY_NUMBER);
    let none = ScanRequest { time: TimeRange { start: 21, end: 30 }, ..request.clone() };
    assert!(filter(Signal::Logs, &records(), &none).unwrap().is_none());
    let wrong = ScanRequest { columns: vec!["no such column"], ..request };
    assert!(filter(Signal::Logs, &records(), &wrong).is_err());
}
