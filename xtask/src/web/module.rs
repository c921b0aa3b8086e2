//! Did wasm-opt leave the exported tables alone?
//!
//! binaryen 108 (Debian 12) exports the first table under the name of the second, and such a module fails in the browser
//! when wasm-bindgen's start code fills it. So the tables that a module exports are compared before and after.
//!
//! Not here: any other section of a module.

/// Name and element type of every exported table; `None` when the bytes are no module of the form that rustc writes.
pub(super) fn exported_tables(module: &[u8]) -> Option<Vec<(String, u8)>> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    let (mut types, mut exports) = (Vec::new(), Vec::new());
    while let Some((&id, after)) = rest.split_first() {
        rest = after;
        let size = number(&mut rest)?;
        let mut section = take(&mut rest, size)?;
        match id {
            4 => {
                for _ in 0..number(&mut section)? {
                    types.push(table_type(&mut section)?);
                }
            }
            7 => {
                for _ in 0..number(&mut section)? {
                    let length = number(&mut section)?;
                    let name = String::from_utf8(take(&mut section, length)?.to_vec()).ok()?;
                    let kind = *take(&mut section, 1)?.first()?;
                    let index = number(&mut section)?;
                    if kind == 1 {
                        exports.push((name, index));
                    }
                }
            }
            _ => {}
        }
    }
    exports.into_iter().map(|(name, index)| Some((name, *types.get(index)?))).collect()
}

/// Skips a table's limits and returns its element type.
fn table_type(section: &mut &[u8]) -> Option<u8> {
    let element = *take(section, 1)?.first()?;
    let flags = *take(section, 1)?.first()?;
    number(section)?;
    if flags & 1 == 1 {
        number(section)?;
    }
    Some(element)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

/// An unsigned LEB128 number of up to 32 bits.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tables, of functions and of references; `t` exports the one that is asked for.
    fn module(index: u8) -> Vec<u8> {
        let tables = [4, 10, 2, 0x70, 1, 0x90, 1, 0x90, 1, 0x6f, 0, 0x80 - 1];
        let exports = [7, 9, 2, 1, b'f', 0, 5, 1, b't', 1, index];
        [&b"\0asm\x01\0\0\0"[..], &[0, 1, 0], &tables, &exports].concat()
    }

    #[test]
    fn the_type_of_an_exported_table_is_found() {
        assert_eq!(exported_tables(&module(0)), Some(vec![("t".to_owned(), 0x70)]));
        assert_eq!(exported_tables(&module(1)), Some(vec![("t".to_owned(), 0x6f)]));
    }

    #[test]
    fn what_is_no_module_has_no_tables() {
        assert_eq!(exported_tables(b"text"), None);
        assert_eq!(exported_tables(&module(2)), None);
        let whole = module(1);
        for length in 9..whole.len() - 11 {
            if length != 11 {
                assert_eq!(exported_tables(&whole[..length]), None, "{length}");
            }
        }
    }
}
