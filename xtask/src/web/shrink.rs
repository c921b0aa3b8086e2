//! How does a part of the program take fewer bytes on the wire? By what neither program nor browser reads, and by the order of its functions.
//!
//! SH1  A part does the same before and after: what is left out is named by nothing, and what is moved is found by its new number.
//!
//! The linker pads numbers to five bytes, and the cutter gives each part names and the types of the whole program.
//!
//! Not here: cutting (`split`), compressing (`bundle`).

use anyhow::Result;
use std::collections::BTreeSet;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module, TypeSection};
use wasmparser::{CodeSectionReader, CustomSectionReader, FunctionSectionReader, Parser, Payload, TypeSectionReader};

/// The same module, smaller.
pub(super) fn shrink(module: &[u8]) -> Result<Vec<u8>> {
    let mut used = Used::default();
    used.parse_core_module(&mut Module::new(), Parser::new(0), module)?;
    let small = encoded(&mut Pruned { types: used.types.into_iter().collect() }, module)?;
    encoded(&mut Ordered::of(&small)?, &small)
}

fn encoded(encoder: &mut impl Reencode<Error = std::convert::Infallible>, module: &[u8]) -> Result<Vec<u8>> {
    let mut made = Module::new();
    encoder.parse_core_module(&mut made, Parser::new(0), module)?;
    Ok(made.finish())
}

type Done = Result<(), Error<std::convert::Infallible>>;

/// The types that a module names beside its table of types.
#[derive(Default)]
struct Used {
    types: BTreeSet<u32>,
}

impl Reencode for Used {
    type Error = std::convert::Infallible;

    fn type_index(&mut self, of: u32) -> Result<u32, Error<Self::Error>> {
        self.types.insert(of);
        Ok(of)
    }

    fn parse_type_section(&mut self, _: &mut TypeSection, _: TypeSectionReader<'_>) -> Done {
        Ok(())
    }
}

/// Leaves out names and unused types; numbers take as many bytes as they need.
struct Pruned {
    /// Numbers of the types that stay, in order. Types of functions name no others.
    types: Vec<u32>,
}

impl Reencode for Pruned {
    type Error = std::convert::Infallible;

    fn type_index(&mut self, of: u32) -> Result<u32, Error<Self::Error>> {
        Ok(below(&self.types, of))
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Done {
        for (number, group) in (0..).zip(section) {
            if self.types.binary_search(&number).is_ok() {
                self.parse_recursive_type_group(types.ty(), group?)?;
            }
        }
        Ok(())
    }

    fn parse_custom_section(&mut self, _: &mut Module, _: CustomSectionReader<'_>) -> Done {
        Ok(())
    }
}

/// How many of the sorted numbers are smaller.
fn below(sorted: &[u32], number: u32) -> u32 {
    let place = sorted.partition_point(|other| *other < number);
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Puts functions that end alike side by side: what compresses finds in one what it has just seen in the other (4 % of a part).
struct Ordered {
    /// Functions that come from elsewhere have the first numbers.
    imported: u32,
    /// The module's own functions, as they will follow each other.
    order: Vec<usize>,
    /// The place of each in that order.
    places: Vec<u32>,
}

impl Ordered {
    fn of(module: &[u8]) -> Result<Ordered> {
        let (mut imported, mut bodies) = (0, Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        imported += u32::from(matches!(import?.ty, wasmparser::TypeRef::Func(_)));
                    }
                }
                Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
                _ => {}
            }
        }
        let mut order: Vec<usize> = (0..bodies.len()).collect();
        order.sort_by(|a, b| bodies[*a].iter().rev().cmp(bodies[*b].iter().rev()));
        let mut places = vec![0; order.len()];
        for (place, function) in (0..).zip(&order) {
            places[*function] = place;
        }
        Ok(Ordered { imported, order, places })
    }

    /// Own functions' parts in their new order.
    fn sorted<T>(&self, parts: impl Iterator<Item = wasmparser::Result<T>>) -> wasmparser::Result<Vec<T>> {
        let mut parts = parts.map(|part| part.map(Some)).collect::<Result<Vec<Option<T>>, _>>()?;
        Ok(self.order.iter().filter_map(|function| parts.get_mut(*function)?.take()).collect())
    }
}

impl Reencode for Ordered {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Self::Error>> {
        let own = function.checked_sub(self.imported).and_then(|own| self.places.get(own as usize));
        Ok(own.map_or(function, |place| self.imported + place))
    }

    fn parse_function_section(&mut self, functions: &mut FunctionSection, section: FunctionSectionReader<'_>) -> Done {
        for of in self.sorted(section.into_iter())? {
            functions.function(of);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Done {
        for body in self.sorted(section.into_iter())? {
            self.parse_function_body(code, body)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two functions of the second of two types: the exported one calls the other, by an index of five bytes.
    fn relocatable() -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        let mut section = |id: u8, content: &[u8]| {
            module.extend([id, u8::try_from(content.len()).unwrap()]);
            module.extend(content);
        };
        section(1, &[2, 0x60, 1, 0x7f, 0, 0x60, 0, 0]);
        section(3, &[2, 1, 1]);
        section(7, b"\x01\x01m\0\0");
        section(10, &[2, 8, 0, 0x10, 0x81, 0x80, 0x80, 0x80, 0, 0x0b, 3, 0, 1, 0x0b]);
        section(0, b"\x04name\0\x02\x01m");
        module
    }

    /// SH1
    #[test]
    fn a_part_is_shrunk_to_what_runs_in_an_order_that_compresses() {
        let expected = [
            b"\0asm\x01\0\0\0".as_slice(),
            b"\x01\x04\x01\x60\0\0",                       // the one type that is used
            b"\x03\x03\x02\0\0",                           // two functions of it
            b"\x07\x05\x01\x01m\0\x01",                    // the exported one is the second now
            b"\x0a\x0a\x02\x03\0\x01\x0b\x04\0\x10\0\x0b", // and calls the first
        ];
        assert_eq!(shrink(&relocatable()).unwrap(), expected.concat());
    }
}
