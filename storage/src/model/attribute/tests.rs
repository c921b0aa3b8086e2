use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Empty,
    String(String),
    Bool(bool),
    Int(i64),
    Double(u64),
    Bytes(Vec<u8>),
    Array(Vec<Owned>),
    Map(std::collections::BTreeMap<String, Owned>),
}

fn put(out: &mut Vec<u8>, value: &Owned) {
    match value {
        Owned::Empty => put_value(out, Value::Empty),
        Owned::String(text) => put_value(out, Value::String(text)),
        Owned::Bool(value) => put_value(out, Value::Bool(*value)),
        Owned::Int(value) => put_value(out, Value::Int(*value)),
        Owned::Double(bits) => put_value(out, Value::Double(f64::from_bits(*bits))),
        Owned::Bytes(bytes) => put_value(out, Value::Bytes(bytes)),
        Owned::Array(values) => put_array(out, |out| values.iter().for_each(|value| put(out, value))),
        Owned::Map(map) => put_map(out, |out| out.extend(encode(map))),
    }
}

fn encode<'a>(entries: impl IntoIterator<Item = (&'a String, &'a Owned)>) -> Vec<u8> {
    let mut builder = MapBuilder::default();
    for (key, value) in entries {
        builder.push_with(key, |out| put(out, value));
    }
    builder.finish()
}

fn own(value: Value<'_>) -> Owned {
    match value {
        Value::Empty => Owned::Empty,
        Value::String(text) => Owned::String(text.into()),
        Value::Bool(value) => Owned::Bool(value),
        Value::Int(value) => Owned::Int(value),
        Value::Double(value) => Owned::Double(value.to_bits()),
        Value::Bytes(bytes) => Owned::Bytes(bytes.into()),
        Value::Array(array) => Owned::Array(array.iter().map(own).collect()),
        Value::Map(map) => Owned::Map(map.iter().map(|(key, value)| (key.into(), own(value))).collect()),
    }
}

fn any_value() -> impl Strategy<Value = Owned> {
    let leaf = prop_oneof![
        Just(Owned::Empty),
        ".{0,12}".prop_map(Owned::String),
        any::<bool>().prop_map(Owned::Bool),
        any::<i64>().prop_map(Owned::Int),
        any::<u64>().prop_map(Owned::Double),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Owned::Bytes),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Owned::Array),
            proptest::collection::btree_map(".{0,6}", inner, 0..5).prop_map(Owned::Map),
        ]
    })
}

proptest! {
    #[test]
    fn t1_a_map_is_read_back_and_does_not_depend_on_the_order_given(
        entries in proptest::collection::vec((".{0,6}", any_value()), 0..12),
        rotate in 0usize..12,
    ) {
        let map: std::collections::BTreeMap<_, _> = entries.iter().cloned().collect();
        let encoded = encode(entries.iter().map(|(key, value)| (key, value)));
        prop_assert_eq!(own(Value::Map(Map::new(&encoded))), Owned::Map(map.clone()));

        let mut unique: Vec<_> = map.iter().collect();
        if !unique.is_empty() {
            let by = rotate % unique.len();
            unique.rotate_left(by);
        }
        prop_assert_eq!(encode(unique), encoded.clone());
        for (key, value) in &map {
            prop_assert_eq!(Map::new(&encoded).get(key).map(own), Some(value.clone()));
        }
        prop_assert_eq!(Map::new(&encoded).raw_entries().flat_map(|e| e.entry.to_vec()).collect::<Vec<_>>(), encoded);
    }

    #[test]
    fn t2_any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = own(Value::Map(Map::new(&bytes)));
        prop_assert!(Map::new(&bytes).raw_entries().count() <= bytes.len());
        let _ = Value::parse(&bytes).map(own);
    }
}

#[test]
fn of_two_entries_with_one_key_the_last_given_wins() {
    let mut builder = MapBuilder::default();
    builder.push("b", Value::Int(1));
    builder.push("a", Value::Int(2));
    builder.push("b", Value::String("last"));
    let encoded = builder.finish();
    assert_eq!(Map::new(&encoded).iter().collect::<Vec<_>>(), [("a", Value::Int(2)), ("b", Value::String("last"))]);
    assert!(builder.is_empty());
}
