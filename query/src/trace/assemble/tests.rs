use super::super::by_id;
use crate::fixture::{Fixture, block_on, trace};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use query_api::otlp::*;
use std::collections::BTreeMap;
use storage::model::attribute::{Map, MapBuilder, Value, put_array, put_map, put_value};
use storage::model::{Batch, SpanBatchBuilder, SpanId, origin, record};

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(AnyValue::default()),
        "\\PC{0,8}".prop_map(AnyValue::StringValue),
        any::<bool>().prop_map(AnyValue::BoolValue),
        any::<i64>().prop_map(AnyValue::IntValue),
        prop_oneof![-1e300..1e300f64, Just(f64::INFINITY), Just(f64::NEG_INFINITY)].prop_map(AnyValue::DoubleValue),
        vec(any::<u8>(), 0..6).prop_map(|bytes| AnyValue::BytesValue(STANDARD.encode(bytes))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|values| AnyValue::ArrayValue(ArrayValue { values })),
            btree_map("[a-c]{1,2}", inner, 0..3)
                .prop_map(|map| AnyValue::KvlistValue(KeyValueList { values: key_values(map) })),
        ]
    })
}

fn key_values(map: BTreeMap<String, AnyValue>) -> Vec<KeyValue> {
    map.into_iter().map(|(key, value)| KeyValue { key, value }).collect()
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    btree_map("[a-z.]{1,5}", any_value(), 0..4).prop_map(key_values)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{1,6}"]
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes(), 0u32..3).prop_map(|(time_unix_nano, name, attributes, dropped)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count: dropped,
    })
}

fn link() -> impl Strategy<Value = Link> {
    // Ids of any length come back as they were sent.
    let ids = ("([0-9a-f]{2}){0,17}", "([0-9a-f]{2}){0,9}");
    (ids, text(), attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(ids, trace_state, attributes, dropped, flags)| Link {
            trace_id: ids.0,
            span_id: ids.1,
            trace_state,
            attributes,
            dropped_attributes_count: dropped,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let head = (1u64..200, proptest::option::of(1u64..200), text(), text(), any::<u32>());
    let times = (
        prop_oneof![0i64..5, Just(i64::MAX - 5), 1_700_000_000_000_000_000i64..1_900_000_000_000_000_000],
        any::<i32>(),
    );
    let rest = (attributes(), vec(event(), 0..3), vec(link(), 0..3), text(), -1i32..9, -1i32..4);
    (head, times, rest, [0u32..3, 0..3, 0..3]).prop_map(|(head, (start, length), rest, dropped)| Span {
        trace_id: trace(7).to_string(),
        span_id: format!("{:016x}", head.0),
        parent_span_id: head.1.map(|id| format!("{id:016x}")).unwrap_or_default(),
        name: head.2,
        trace_state: head.3,
        flags: head.4,
        start_time_unix_nano: start.cast_unsigned(),
        // Also an end before the start, as a clock that went backwards gives.
        end_time_unix_nano: start.saturating_add(length.into()).max(0).cast_unsigned(),
        attributes: rest.0,
        events: rest.1,
        links: rest.2,
        status: Status { message: rest.3, code: rest.4 },
        kind: rest.5,
        dropped_attributes_count: dropped[0],
        dropped_events_count: dropped[1],
        dropped_links_count: dropped[2],
    })
}

fn resource() -> impl Strategy<Value = (Resource, String)> {
    let entity = (text(), text(), vec("[a-z]{1,3}", 0..3), vec("[a-z]{1,3}", 0..3));
    let entity = entity.prop_map(|(schema_url, r#type, id_keys, description_keys)| EntityRef {
        schema_url,
        r#type,
        id_keys,
        description_keys,
    });
    (attributes(), any::<u32>(), vec(entity, 0..3), text()).prop_map(|(attributes, dropped, entity_refs, url)| {
        (Resource { attributes, dropped_attributes_count: dropped, entity_refs }, url)
    })
}

fn scope() -> impl Strategy<Value = (Scope, String)> {
    (text(), text(), attributes(), any::<u32>(), text()).prop_map(|(name, version, attributes, dropped, url)| {
        (Scope { name, version, attributes, dropped_attributes_count: dropped }, url)
    })
}

type Sent = ((Resource, String), (Scope, String), Span);

/// Spans with their origins; few origins, so that groups form, and no id twice.
fn sent() -> impl Strategy<Value = Vec<Sent>> {
    (vec(resource(), 1..3), vec(scope(), 1..3), vec((span(), 0usize..2, 0usize..2), 1..8)).prop_map(
        |(resources, scopes, mut spans)| {
            spans.sort_by(|(a, ..), (b, ..)| a.span_id.cmp(&b.span_id));
            spans.dedup_by(|(a, ..), (b, ..)| a.span_id == b.span_id);
            let pick = |(span, r, s): (Span, usize, usize)| {
                (resources[r % resources.len()].clone(), scopes[s % scopes.len()].clone(), span)
            };
            spans.into_iter().map(pick).collect()
        },
    )
}

fn encode(out: &mut Vec<u8>, value: &AnyValue) {
    match value {
        AnyValue::Empty(_) => put_value(out, Value::Empty),
        AnyValue::StringValue(text) => put_value(out, Value::String(text)),
        AnyValue::BoolValue(value) => put_value(out, Value::Bool(*value)),
        AnyValue::IntValue(value) => put_value(out, Value::Int(*value)),
        AnyValue::DoubleValue(value) => put_value(out, Value::Double(*value)),
        AnyValue::BytesValue(text) => put_value(out, Value::Bytes(&STANDARD.decode(text).unwrap())),
        AnyValue::ArrayValue(list) => put_array(out, |out| list.values.iter().for_each(|value| encode(out, value))),
        AnyValue::KvlistValue(list) => put_map(out, |out| out.extend(map(&list.values))),
    }
}

fn map(list: &[KeyValue]) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    list.iter().for_each(|entry| builder.push_with(&entry.key, |out| encode(out, &entry.value)));
    builder.finish()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn set_origin(builder: &mut SpanBatchBuilder, (resource, resource_url): &(Resource, String), scope: &(Scope, String)) {
    let keys = |keys: &'static [String]| keys.iter().map(String::as_str).collect();
    // Leaked: the entities borrow their keys, and this is a test.
    let entities = resource.entity_refs.clone().leak().iter().map(|entity| origin::Entity {
        schema_url: &entity.schema_url,
        r#type: &entity.r#type,
        id_keys: keys(&entity.id_keys),
        description_keys: keys(&entity.description_keys),
    });
    builder.set_resource(&origin::Resource {
        attributes: Map::new(&map(&resource.attributes)),
        dropped_attributes_count: resource.dropped_attributes_count,
        schema_url: resource_url,
        entities: entities.collect(),
    });
    builder.set_scope(&origin::Scope {
        name: &scope.0.name,
        version: &scope.0.version,
        attributes: Map::new(&map(&scope.0.attributes)),
        dropped_attributes_count: scope.0.dropped_attributes_count,
        schema_url: &scope.1,
    });
}

fn batch(list: &[Sent]) -> Batch {
    let mut builder = SpanBatchBuilder::default();
    for (resource, scope, span) in list {
        set_origin(&mut builder, resource, scope);
        let (mut events, mut links) = (Vec::new(), Vec::new());
        for event in &span.events {
            let attributes = map(&event.attributes);
            record::Event {
                time_unix_nano: event.time_unix_nano,
                name: &event.name,
                attributes: Map::new(&attributes),
                dropped_attributes_count: event.dropped_attributes_count,
            }
            .put(&mut events);
        }
        for link in &span.links {
            let attributes = map(&link.attributes);
            record::Link {
                trace_id: &unhex(&link.trace_id),
                span_id: &unhex(&link.span_id),
                trace_state: &link.trace_state,
                attributes: Map::new(&attributes),
                dropped_attributes_count: link.dropped_attributes_count,
                flags: link.flags,
            }
            .put(&mut links);
        }
        let start = span.start_time_unix_nano.cast_signed();
        let attributes = map(&span.attributes);
        builder
            .append(&storage::model::Span {
                trace_id: span.trace_id.parse().unwrap(),
                span_id: span.span_id.parse().unwrap(),
                parent_span_id: span.parent_span_id.parse::<SpanId>().ok(),
                trace_state: &span.trace_state,
                flags: span.flags,
                name: &span.name,
                kind: span.kind,
                start,
                duration: span.end_time_unix_nano.cast_signed().wrapping_sub(start),
                status_code: span.status.code,
                status_message: &span.status.message,
                attributes: Map::new(&attributes),
                dropped_attributes_count: span.dropped_attributes_count,
                events: &events,
                dropped_events_count: span.dropped_events_count,
                links: &links,
                dropped_links_count: span.dropped_links_count,
            })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// What A2 says the answer is.
fn expected(mut list: Vec<Sent>) -> TracesData {
    list.sort_by_key(|(.., span)| (span.start_time_unix_nano.cast_signed(), span.span_id.clone()));
    let mut data = TracesData::default();
    for ((resource, resource_url), (scope, scope_url), span) in list {
        let same = |group: &ResourceSpans| group.resource == resource && group.schema_url == resource_url;
        let at = data.resource_spans.iter().position(same).unwrap_or_else(|| {
            let group = ResourceSpans { resource, scope_spans: Vec::new(), schema_url: resource_url };
            data.resource_spans.push(group);
            data.resource_spans.len() - 1
        });
        let group = &mut data.resource_spans[at].scope_spans;
        let same = |spans: &ScopeSpans| spans.scope == scope && spans.schema_url == scope_url;
        let at = group.iter().position(same).unwrap_or_else(|| {
            group.push(ScopeSpans { scope, spans: Vec::new(), schema_url: scope_url });
            group.len() - 1
        });
        group[at].spans.push(span);
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a1_what_was_sent_is_given_back_from_memory_and_from_blocks(list in sent(), cut in 0usize..8) {
        let (first, second) = list.split_at(cut.min(list.len()));
        let (first, second) = (batch(first), batch(second));
        let (mixed, stored) = block_on(async {
            let fixture = Fixture::new();
            fixture.put(first).await;
            fixture.flush().await;
            fixture.put(second).await;
            let mixed = fixture.run(|control| by_id(control, trace(7))).await.unwrap();
            fixture.flush().await;
            let stored = fixture.run(|control| by_id(control, trace(7))).await.unwrap();
            (mixed, stored)
        });
        let expected = expected(list);
        prop_assert_eq!(&mixed, &expected);
        prop_assert_eq!(&stored, &expected);
        let json = serde_json::to_string(&mixed).unwrap();
        prop_assert_eq!(serde_json::from_str::<TracesData>(&json).unwrap(), expected);
    }
}
