//! What does a template become, such as `$1-${name}`, when the groups of a match are filled in as Go does?

/// Fills in the groups of a match, by number or by name; one that is not there, or took no part, is the empty text.
pub fn expand<'t>(
    template: &str,
    by_number: impl Fn(usize) -> Option<&'t str>,
    by_name: impl Fn(&str) -> Option<&'t str>,
) -> String {
    let mut expanded = String::new();
    parts(template, by_number, by_name, |part| expanded.push_str(part));
    expanded
}

/// How many bytes it becomes: a short template can ask for one group very often.
pub fn expanded_len<'t>(
    template: &str,
    by_number: impl Fn(usize) -> Option<&'t str>,
    by_name: impl Fn(&str) -> Option<&'t str>,
) -> usize {
    let mut len: usize = 0;
    parts(template, by_number, by_name, |part| len = len.saturating_add(part.len()));
    len
}

fn parts<'t>(
    template: &str,
    by_number: impl Fn(usize) -> Option<&'t str>,
    by_name: impl Fn(&str) -> Option<&'t str>,
    mut each: impl FnMut(&str),
) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        each(before);
        rest = after;
        if let Some(after) = after.strip_prefix('$') {
            each("$");
            rest = after;
        } else if let Some((name, after)) = name_of(after) {
            let found = number_of(name).map_or_else(|| by_name(name), &by_number);
            each(found.unwrap_or_default());
            rest = after;
        } else {
            each("$");
        }
    }
    each(rest);
}

/// The name of a group behind a `$`, and what follows.
fn name_of(text: &str) -> Option<(&str, &str)> {
    let is_letter = |letter: char| letter == '_' || letter.is_alphanumeric();
    if let Some(braced) = text.strip_prefix('{') {
        let (name, after) = braced.split_once('}')?;
        return (!name.is_empty() && name.chars().all(is_letter)).then_some((name, after));
    }
    let end = text.find(|letter: char| !is_letter(letter)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Numbers have no zeros before them.
fn number_of(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|digit| digit.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    // One beyond every group is none of them.
    is_number.then(|| name.parse().unwrap_or(usize::MAX))
}
