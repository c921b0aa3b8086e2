//! How are Resource and InstrumentationScope decoded? Each call adds one piece, as proto's merge rules want it.

use super::Rejection;
use super::value::Scratch;
use super::wire::{Reader, Result, Within};
use storage::model::attribute::MapBuilder;
use storage::model::origin::{Entity, Resource, Scope};

mod key {
    use super::super::wire::{bytes, fields, varint};
    pub(super) mod resource {
        use super::{bytes, fields, varint};
        pub(in super::super) const ATTRIBUTES: u32 = bytes(1);
        pub(in super::super) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(2);
        pub(in super::super) const ENTITY_REFS: u32 = bytes(3);
        pub(in super::super) const ALL: u64 = fields(&[1, 2, 3]);
    }
    pub(super) mod entity {
        use super::{bytes, fields};
        pub(in super::super) const SCHEMA_URL: u32 = bytes(1);
        pub(in super::super) const TYPE: u32 = bytes(2);
        pub(in super::super) const ID_KEYS: u32 = bytes(3);
        pub(in super::super) const DESCRIPTION_KEYS: u32 = bytes(4);
        pub(in super::super) const ALL: u64 = fields(&[1, 2, 3, 4]);
    }
    pub(super) mod scope {
        use super::{bytes, fields, varint};
        pub(in super::super) const NAME: u32 = bytes(1);
        pub(in super::super) const VERSION: u32 = bytes(2);
        pub(in super::super) const ATTRIBUTES: u32 = bytes(3);
        pub(in super::super) const DROPPED_ATTRIBUTES_COUNT: u32 = varint(4);
        pub(in super::super) const ALL: u64 = fields(&[1, 2, 3, 4]);
    }
}

/// Memory that is used again from resource to resource.
#[derive(Debug, Default)]
pub(super) struct OriginBuffers {
    /// Attributes in the making.
    pub(super) map: MapBuilder,
    /// The resource's attributes, encoded.
    pub(super) resource: Vec<u8>,
    /// The scope's attributes, encoded.
    pub(super) scope: Vec<u8>,
}

/// Adds a Resource message to `resource`, its attributes to `map`.
pub(super) fn resource<'a>(
    message: &'a [u8],
    resource: &mut Resource<'a>,
    map: &mut MapBuilder,
    scratch: &mut Scratch,
) -> Result<()> {
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::resource::ATTRIBUTES => scratch.key_value(reader.bytes()?, map, 1).within("attributes")?,
            key::resource::DROPPED_ATTRIBUTES_COUNT => resource.dropped_attributes_count = reader.uint32()?,
            key::resource::ENTITY_REFS => {
                let entity = entity(reader.bytes()?, scratch).within("entity_refs")?;
                if resource.entities.len() < scratch.limits.entities {
                    resource.entities.push(entity);
                } else {
                    scratch.reject(Rejection::TooManyEntities { limit: scratch.limits.entities });
                }
            }
            _ => reader.other(key, key::resource::ALL)?,
        }
    }
    Ok(())
}

fn entity<'a>(message: &'a [u8], scratch: &mut Scratch) -> Result<Entity<'a>> {
    let mut entity = Entity::default();
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::entity::SCHEMA_URL => entity.schema_url = reader.str()?,
            key::entity::TYPE => entity.r#type = reader.str()?,
            key::entity::ID_KEYS | key::entity::DESCRIPTION_KEYS => {
                let text = reader.str()?;
                let keys = if key == key::entity::ID_KEYS { &mut entity.id_keys } else { &mut entity.description_keys };
                if keys.len() < scratch.limits.entities {
                    keys.push(text);
                } else {
                    scratch.reject(Rejection::TooManyEntities { limit: scratch.limits.entities });
                }
            }
            _ => reader.other(key, key::entity::ALL)?,
        }
    }
    Ok(entity)
}

/// Adds an InstrumentationScope message to `scope`, its attributes to `map`.
pub(super) fn scope<'a>(
    message: &'a [u8],
    scope: &mut Scope<'a>,
    map: &mut MapBuilder,
    scratch: &mut Scratch,
) -> Result<()> {
    let mut reader = Reader::new(message);
    while let Some(key) = reader.key()? {
        match key {
            key::scope::NAME => scope.name = reader.str()?,
            key::scope::VERSION => scope.version = reader.str()?,
            key::scope::ATTRIBUTES => scratch.key_value(reader.bytes()?, map, 1).within("attributes")?,
            key::scope::DROPPED_ATTRIBUTES_COUNT => scope.dropped_attributes_count = reader.uint32()?,
            _ => reader.other(key, key::scope::ALL)?,
        }
    }
    Ok(())
}
