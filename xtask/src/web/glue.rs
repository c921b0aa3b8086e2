//! How short are the names by which the program finds what its script lends it?
//!
//! wasm-bindgen calls each function of the browser by its name and a hash, in the script and in the program. Hashes do not compress, and
//! nobody reads the names: here each is the number of its place among the program's imports.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{ImportSection, Module};
use wasmparser::{Import, ImportSectionReader, Parser, Payload};

/// What the program calls its script.
const SCRIPT: &str = "./web_bg.js";

/// Renames in the script and in the program beside it.
pub(super) fn shorten(script: &Path, program: &Path) -> Result<()> {
    let (short_script, short_program) = renamed(&std::fs::read_to_string(script)?, &std::fs::read(program)?)?;
    std::fs::write(script, short_script).context("failed to write the script")?;
    std::fs::write(program, short_program).context("failed to write the program")
}

/// Script and program with numbers for names; each name stands once in the script, before what it names.
fn renamed(script: &str, program: &[u8]) -> Result<(String, Vec<u8>)> {
    let mut script = script.to_owned();
    for (number, name) in lent(program)?.iter().enumerate() {
        let named = format!("\n        {name}: ");
        ensure!(script.matches(&named).count() == 1, "the script does not lend `{name}`, which the program imports");
        script = script.replacen(&named, &format!("\n        {number}: "), 1);
    }
    let mut made = Module::new();
    Numbered { next: 0 }.parse_core_module(&mut made, Parser::new(0), program)?;
    Ok((script, made.finish()))
}

/// Names of what the program imports from its script, in order.
fn lent(program: &[u8]) -> Result<Vec<&str>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(program) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                let import = import?;
                names.extend(is_lent(&import).then_some(import.name));
            }
        }
    }
    Ok(names)
}

fn is_lent(import: &Import<'_>) -> bool {
    import.module == SCRIPT
}

/// Gives what comes from the script its number for a name.
struct Numbered {
    next: usize,
}

impl Reencode for Numbered {
    type Error = std::convert::Infallible;

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: ImportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        for import in section.into_imports() {
            let mut import = import?;
            let number = self.next.to_string();
            if is_lent(&import) {
                import.name = &number;
                self.next += 1;
            }
            self.parse_import(imports, import)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{EntityType, TypeSection};

    fn program(imports: &[(&str, &str)]) -> Vec<u8> {
        let (mut module, mut types, mut section) = (Module::new(), TypeSection::new(), ImportSection::new());
        types.ty().function([], []);
        for (from, name) in imports {
            section.import(from, name, EntityType::Function(0));
        }
        module.section(&types).section(&section);
        module.finish()
    }

    #[test]
    fn what_the_script_lends_has_the_same_number_in_both() {
        let script = "const a = {\n        __wbg_b_1f: function() {},\n        __wbg_a_1: function() {},\n    };";
        let imports = [(SCRIPT, "__wbg_a_1"), ("./web_split.js", "__wbg_a_1"), (SCRIPT, "__wbg_b_1f")];
        let (short, small) = renamed(script, &program(&imports)).unwrap();
        assert_eq!(short, "const a = {\n        1: function() {},\n        0: function() {},\n    };");
        assert_eq!(small, program(&[(SCRIPT, "0"), ("./web_split.js", "__wbg_a_1"), (SCRIPT, "1")]));
        let refused = renamed("const a = {};", &program(&imports)).unwrap_err();
        assert!(refused.to_string().contains("`__wbg_a_1`"), "{refused}");
    }
}
