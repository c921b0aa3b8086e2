use super::*;

/// Holds a value against a schema, with the keywords that `schema` uses. Stricter than JSON Schema in one point: a field
/// that no schema speaks of is an error, so that no field of an answer stays undescribed.
pub(in crate::http) fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').ok_or("only references within the document")?;
        let found = document().pointer(pointer).ok_or_else(|| format!("{reference} leads nowhere"))?;
        return check(found, value, at);
    }
    if let Some(variants) = schema.get("anyOf").and_then(Value::as_array) {
        let outcomes: Vec<_> = variants.iter().map(|variant| check(variant, value, at)).collect();
        return match outcomes.iter().any(Result::is_ok) {
            true => Ok(()),
            false => Err(format!("{at}: {value} is none of {outcomes:?}")),
        };
    }
    let fail = |what: &str| Err(format!("{at}: {value} {what} {schema}"));
    if schema.get("const").is_some_and(|constant| constant != value) {
        return fail("is not");
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array)
        && !choices.contains(value)
    {
        return fail("is not one of");
    }
    if schema.get("minimum").and_then(Value::as_f64).is_some_and(|minimum| value.as_f64().is_some_and(|it| it < minimum)) {
        return fail("is below");
    }
    let matches = match schema.get("type").and_then(Value::as_str) {
        None => true,
        Some("string") => value.as_str().is_some_and(|text| check_pattern(schema, text)),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => {
            let items = schema.get("items").ok_or_else(|| format!("{at}: an array of what?"))?;
            let list = value.as_array().map(|list| list.iter().try_for_each(|item| check(items, item, at)));
            return list.unwrap_or_else(|| fail("is not"));
        }
        Some("object") => return check_object(schema, value, at),
        Some(other) => return Err(format!("{at}: unknown type {other}")),
    };
    if matches { Ok(()) } else { fail("is not") }
}

fn check_object(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(fields) = value.as_object() else { return Err(format!("{at}: {value} is no object")) };
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| !fields.contains_key(*name)) {
        return Err(format!("{at}: {missing} is missing"));
    }
    // The one schema without fields is this document's own.
    if schema.get("properties").is_none() && schema.get("maxProperties").is_none() {
        return Ok(());
    }
    fields.iter().try_for_each(|(name, field)| match properties.get(name) {
        Some(schema) => check(schema, field, &format!("{at}.{name}")),
        None => Err(format!("{at}: {name} is not described")),
    })
}

/// The handful of patterns that the schemas use.
fn check_pattern(schema: &Value, text: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match schema.get("pattern").and_then(Value::as_str) {
        None => true,
        Some("^[0-9a-f]{32}$") => text.len() == 32 && hex(text),
        Some("^[0-9a-f]{16}$") => text.len() == 16 && hex(text),
        Some("^([0-9a-f]{2})*$") => text.len() % 2 == 0 && hex(text),
        Some("^-?[0-9]{1,20}$") => text.parse::<i128>().is_ok() && text.len() <= 21,
        Some(_) => false,
    }
}

/// The schema of the good answer of an endpoint.
pub(in crate::http) fn answer_schema(endpoint: &Endpoint) -> Value {
    schema::reference(endpoint.answer)
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let text = document().to_string();
    let schemas = document().pointer("/components/schemas").and_then(Value::as_object).unwrap();
    let references: std::collections::BTreeSet<&str> =
        text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let names: std::collections::BTreeSet<&str> = schemas.keys().map(String::as_str).collect();
    assert_eq!(references, names);
}

#[test]
fn operations_have_distinct_names_and_paths_their_parameters() {
    let names: std::collections::BTreeSet<String> =
        ENDPOINTS.iter().map(|endpoint| format!("{:?}", endpoint.call)).collect();
    assert_eq!(names.len(), ENDPOINTS.len());
    for endpoint in ENDPOINTS {
        let in_path: Vec<&str> = endpoint.path.split(['{', '}']).skip(1).step_by(2).collect();
        let listed: Vec<&str> = endpoint
            .parameters
            .iter()
            .filter(|parameter| parameter.place == Place::Path)
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(in_path, listed, "{}", endpoint.path);
    }
}

#[test]
fn the_check_refuses_what_does_not_fit() {
    let schema = schema::reference("DemoStatus");
    let check = |value: Value| check(&schema, &value, "demo");
    assert_eq!(check(json!({ "running": true, "available": false })), Ok(()));
    assert!(check(json!({ "running": true })).is_err(), "a field is missing");
    assert!(check(json!({ "running": 1, "available": false })).is_err(), "a field has another type");
    assert!(check(json!({ "running": true, "available": false, "more": 1 })).is_err(), "a field is not described");
}
