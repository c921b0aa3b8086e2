//! For tests: the texts of `traceql/test_examples.yaml` in the corpora folder, by what must come of them.

use super::ast::Query;
use super::problem::Refusal;
use super::{check, parser};
use std::path::PathBuf;

/// Texts by the list that they stand in.
fn examples() -> Option<Vec<(String, String)>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpora"));
    let folder = std::env::var_os("SPANLIGHT_CORPORA").map_or_else(beside, PathBuf::from);
    let Ok(yaml) = std::fs::read_to_string(folder.join("traceql/test_examples.yaml")) else {
        println!("no corpora folder: the project's own cases only");
        return None;
    };
    let mut list = String::new();
    let mut found = Vec::new();
    for line in yaml.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with([' ', '#'])) {
            list = name.to_owned();
        } else if let Some(item) = line.trim_start().strip_prefix("- ") {
            found.push((list.clone(), unquoted(item)));
        }
    }
    Some(found)
}

/// A quoted scalar of YAML, on one line.
fn unquoted(item: &str) -> String {
    let quote = item.chars().next().unwrap();
    let mut text = String::new();
    let mut rest = item.chars().skip(1).peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\'' if quote == '\'' && rest.peek() == Some(&'\'') => text.extend(rest.next()),
            letter if letter == quote => break,
            '\\' if quote == '"' => text.push(match rest.next().unwrap() {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                other => other,
            }),
            other => text.push(other),
        }
    }
    text
}

fn refusal(text: &str) -> Option<Refusal> {
    super::parse(text).err().map(|problem| problem.refusal)
}

#[test]
fn every_example_is_accepted_or_refused_at_its_stage() {
    let Some(examples) = examples() else { return };
    assert_eq!(examples.len(), 463);
    let mut wrong = Vec::new();
    for (list, text) in &examples {
        let expected = match list.as_str() {
            "valid" | "unsupported" => None,
            "parse_fails" => Some(Refusal::Grammar),
            _ => Some(Refusal::Meaning),
        };
        if refusal(text) != expected {
            wrong.push(format!("{list}: {text}: {:?}", super::parse(text)));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), examples.len(), wrong.join("\n"));
}

#[test]
fn printing_and_reading_again_gives_the_same_tree() {
    for (list, text) in examples().unwrap_or_default() {
        let Ok(query) = parser::parse(&text) else { continue };
        let again: Query = parser::parse(&query.to_string())
            .unwrap_or_else(|problem| panic!("{list}: {text} is printed as {query}: {problem}"));
        assert_eq!(again, query, "{list}: {text} is printed as {query}");
        assert_eq!(check::check(&text, &query).is_ok(), check::check("", &again).is_ok());
    }
}
