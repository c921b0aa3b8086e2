//! Where does telemetry come from? The resource and the instrumentation scope, each as one binary cell.
//!
//! ```text
//! resource := varint(dropped) bytes(schema url) varint(entities) entity* map
//! entity   := bytes(schema url) bytes(type) varint(n) bytes* varint(n) bytes*      identifying, describing keys
//! scope    := bytes(name) bytes(version) varint(dropped) bytes(schema url) map
//! ```

use super::attribute::{Map, Value};
use super::record::{put_bytes, put_varint, take_bytes, take_varint};

/// What produced the telemetry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resource<'a> {
    /// Its attributes.
    pub attributes: Map<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// Schema of the resource.
    pub schema_url: &'a str,
    /// Entities that it describes.
    pub entities: Vec<Entity<'a>>,
}

/// An entity, by the keys of the resource attributes that identify and describe it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entity<'a> {
    /// Schema of the entity.
    pub schema_url: &'a str,
    /// Type.
    pub r#type: &'a str,
    /// Keys that identify it.
    pub id_keys: Vec<&'a str>,
    /// Keys that describe it.
    pub description_keys: Vec<&'a str>,
}

/// The name that OpenTelemetry gives a service that told none.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

impl<'a> Resource<'a> {
    /// service.name, or [`UNKNOWN_SERVICE`].
    pub fn service_name(&self) -> &'a str {
        match self.attributes.get("service.name") {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => UNKNOWN_SERVICE,
        }
    }

    /// Appends the cell.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_varint(out, self.dropped_attributes_count.into());
        put_bytes(out, self.schema_url.as_bytes());
        put_varint(out, self.entities.len() as u64);
        for entity in &self.entities {
            put_bytes(out, entity.schema_url.as_bytes());
            put_bytes(out, entity.r#type.as_bytes());
            for keys in [&entity.id_keys, &entity.description_keys] {
                put_varint(out, keys.len() as u64);
                keys.iter().for_each(|key| put_bytes(out, key.as_bytes()));
            }
        }
        out.extend_from_slice(self.attributes.as_bytes());
    }

    /// Reads a cell; `None` when it is malformed.
    pub fn parse(cell: &'a [u8]) -> Option<Self> {
        let mut input = cell;
        let dropped_attributes_count = u32::try_from(take_varint(&mut input)?).ok()?;
        let schema_url = take_str(&mut input)?;
        let mut entities = Vec::new();
        for _ in 0..take_varint(&mut input)? {
            let (schema_url, r#type) = (take_str(&mut input)?, take_str(&mut input)?);
            let (id_keys, description_keys) = (take_keys(&mut input)?, take_keys(&mut input)?);
            entities.push(Entity { schema_url, r#type, id_keys, description_keys });
        }
        Some(Resource { attributes: Map::new(input), dropped_attributes_count, schema_url, entities })
    }
}

/// The instrumentation library.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scope<'a> {
    /// Name.
    pub name: &'a str,
    /// Version.
    pub version: &'a str,
    /// Attributes.
    pub attributes: Map<'a>,
    /// Attributes that the sender dropped.
    pub dropped_attributes_count: u32,
    /// Schema of the scope's telemetry.
    pub schema_url: &'a str,
}

impl<'a> Scope<'a> {
    /// Appends the cell.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.name.as_bytes());
        put_bytes(out, self.version.as_bytes());
        put_varint(out, self.dropped_attributes_count.into());
        put_bytes(out, self.schema_url.as_bytes());
        out.extend_from_slice(self.attributes.as_bytes());
    }

    /// Reads a cell; `None` when it is malformed.
    pub fn parse(cell: &'a [u8]) -> Option<Self> {
        let mut input = cell;
        Some(Scope {
            name: take_str(&mut input)?,
            version: take_str(&mut input)?,
            dropped_attributes_count: u32::try_from(take_varint(&mut input)?).ok()?,
            schema_url: take_str(&mut input)?,
            attributes: Map::new(input),
        })
    }
}

fn take_str<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(input)?).ok()
}

fn take_keys<'a>(input: &mut &'a [u8]) -> Option<Vec<&'a str>> {
    let mut keys = Vec::new();
    for _ in 0..take_varint(input)? {
        keys.push(take_str(input)?);
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::super::attribute::MapBuilder;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cells_are_read_back() {
        let mut builder = MapBuilder::default();
        builder.push("service.name", Value::String("cart"));
        let attributes = builder.finish();
        let entity =
            Entity { schema_url: "s", r#type: "service", id_keys: vec!["service.name"], description_keys: vec![] };
        let resource = Resource {
            attributes: Map::new(&attributes),
            dropped_attributes_count: 2,
            schema_url: "https://opentelemetry.io/schemas/1.38.0",
            entities: vec![entity.clone(), entity],
        };
        let mut cell = Vec::new();
        resource.put(&mut cell);
        let read = Resource::parse(&cell).unwrap();
        assert_eq!(read, resource);
        assert_eq!(read.service_name(), "cart");

        cell.clear();
        let scope = Scope {
            name: "n",
            version: "1",
            attributes: Map::new(&attributes),
            dropped_attributes_count: 0,
            schema_url: "",
        };
        scope.put(&mut cell);
        assert_eq!(Scope::parse(&cell), Some(scope));
    }

    #[test]
    fn a_resource_without_name_is_an_unknown_service() {
        assert_eq!(Resource::default().service_name(), UNKNOWN_SERVICE);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Resource::parse(&bytes);
            let _ = Scope::parse(&bytes);
        }
    }
}
