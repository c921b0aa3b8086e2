//! How is JSON made readable without changing a digit of it? Line by line, strings and numbers as they came.
//!
//! J1  Taking away the white space that was added gives back the text.

/// Longest line that is kept whole.
const LONGEST: usize = 2_000;

/// The lines of a JSON text, indented by two; what is not JSON comes out somehow, but comes out.
pub fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            line.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            c if c.is_whitespace() => {}
            '{' | '[' => {
                line.push(c);
                while characters.next_if(|c| c.is_whitespace()).is_some() {}
                match characters.next_if(|next| (c == '{' && *next == '}') || (c == '[' && *next == ']')) {
                    Some(close) => line.push(close),
                    None => {
                        depth += 1;
                        break_line(&mut lines, &mut line, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut lines, &mut line, depth);
                line.push(c);
            }
            ',' => {
                line.push(c);
                break_line(&mut lines, &mut line, depth);
            }
            ':' => line.push_str(": "),
            c => {
                in_string = c == '"';
                line.push(c);
            }
        }
    }
    lines.push(line);
    lines
}

fn break_line(lines: &mut Vec<String>, line: &mut String, depth: usize) {
    lines.push(std::mem::take(line));
    line.extend(std::iter::repeat_n("  ", depth.min(128)));
}

/// A line for the screen: cut when it is very long.
pub fn shown(line: &str) -> String {
    let (head, hidden) = super::format::cut(line, LONGEST);
    if hidden == 0 { head.to_owned() } else { format!("{head}… {}", super::format::bytes(hidden as f64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_indented_and_strings_are_kept() {
        let got = lines(r#"{"a":[1,{}, [ ]],"b":"x, \"y\": {"}"#);
        assert_eq!(
            got,
            ["{", "  \"a\": [", "    1,", "    {},", "    []", "  ],", "  \"b\": \"x, \\\"y\\\": {\"", "}"]
        );
    }

    #[test]
    fn what_is_no_json_comes_out() {
        assert_eq!(lines("}}a,"), ["", "}", "}a,", ""]);
        lines(&"[".repeat(100_000));
    }
}
