use super::*;
use proptest::prelude::*;
use query_api::tree::Placed;

/// Kinds of spans.
const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const CONSUMER: i32 = 5;

/// A trace as it is written for a test: each span's depth, service, name, kind, start and end, in the order of display.
#[derive(Debug, Default)]
struct Sample {
    rows: Vec<Placed>,
    calls: Vec<Call>,
    names: Vec<String>,
    depths: Vec<usize>,
}

impl Rows for Sample {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn placed(&self, row: usize) -> Placed {
        self.rows[row]
    }
}

impl Sample {
    fn add(&mut self, depth: usize, service: usize, name: &str, kind: i32, (start, end): (i64, i64)) -> &mut Self {
        let above = depth.checked_sub(1).and_then(|above| self.depths.iter().rposition(|other| *other == above));
        let mut next = above;
        while let Some(row) = next {
            self.rows[row].subtree += 1;
            next = self.rows[row].parent;
        }
        self.rows.push(Placed { parent: above, subtree: 1, start, end });
        self.calls.push(Call { service, kind, ..Call::default() });
        self.names.push(name.to_owned());
        self.depths.push(depth);
        self
    }

    /// How, the number of calls, what they are below, and their name.
    fn told(&self) -> Vec<(Repeated, usize, String, String)> {
        let numbers = text_numbers(self.names.iter().map(|name| plain(name)));
        let calls: Vec<Call> = self.calls.iter().zip(numbers).map(|(call, name)| Call { name, ..*call }).collect();
        let (found, others) = repeats(self, &calls);
        let mut all: Vec<usize> = found.iter().flat_map(|repeat| &repeat.rows).chain(&others).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "re3: nothing is told twice");
        let name_of = |row: usize| self.names[row].as_str();
        let told = |repeat: Repeat| {
            let name = name(repeat.rows.iter().map(|row| name_of(*row)));
            (repeat.how, repeat.rows.len(), name_of(repeat.above).to_owned(), name)
        };
        found.into_iter().map(told).collect()
    }
}

fn one(how: Repeated, count: usize, above: &str, name: &str) -> Vec<(Repeated, usize, String, String)> {
    vec![(how, count, above.to_owned(), name.to_owned())]
}

/// So many times ten nanoseconds, one after the other.
fn turns(count: usize) -> impl Iterator<Item = (i64, i64)> {
    (0..count as i64).map(|n| (10 * n, 10 * n + 9))
}

#[test]
fn re2_calls_below_resolvers_of_their_own_are_told_of_the_span_above_those() {
    let mut sample = Sample::default();
    sample.add(0, 0, "POST /graphql", SERVER, (0, 100)).add(1, 0, "execute", INTERNAL, (0, 100));
    for time in turns(6) {
        sample.add(2, 0, "User.posts", INTERNAL, time).add(3, 0, "SELECT posts", CLIENT, time);
    }
    assert_eq!(sample.told(), one(Repeated::Loop, 6, "execute", "SELECT posts"));

    // An ORM has more spans between; the fourth above is not looked at.
    for (between, is_told) in [(2, true), (3, true), (4, false)] {
        let mut sample = Sample::default();
        sample.add(0, 0, "list", SERVER, (0, 100));
        for time in turns(5) {
            for depth in 1..=between {
                sample.add(depth, 0, &format!("layer {}", "x".repeat(depth)), INTERNAL, time);
            }
            sample.add(between + 1, 0, "SELECT", CLIENT, time);
        }
        let expected = if is_told { one(Repeated::Loop, 5, "list", "SELECT") } else { Vec::new() };
        assert_eq!(sample.told(), expected, "{between} between");
    }
}

#[test]
fn re2_names_that_differ_by_a_number_are_alike_and_told_without_it() {
    let mut sample = Sample::default();
    sample.add(0, 0, "page", SERVER, (0, 100));
    for (at, time) in turns(5).enumerate() {
        sample.add(1, 0, &format!("users.{at}.posts"), INTERNAL, time);
        sample.add(2, 0, &format!("GET /v1/users/{at}"), CLIENT, time);
    }
    assert_eq!(sample.told(), one(Repeated::Loop, 5, "page", "GET /v…/users/…"));

    let mut same = Sample::default();
    same.add(0, 0, "page", SERVER, (0, 100));
    for time in turns(5) {
        same.add(1, 0, "GET /v1/users", CLIENT, time);
    }
    assert_eq!(same.told(), one(Repeated::Loop, 5, "page", "GET /v1/users"), "what does not differ is told as it is");
}

#[test]
fn re2_ways_that_differ_are_not_alike() {
    let mut sample = Sample::default();
    sample.add(0, 0, "page", SERVER, (0, 100));
    for (name, time) in ["users", "orders", "carts", "mails", "prices"].iter().zip(turns(5)) {
        sample.add(1, 0, name, INTERNAL, time).add(2, 0, "SELECT", CLIENT, time);
    }
    assert_eq!(sample.told(), []);
}

#[test]
fn re2_what_handles_a_message_or_a_request_is_no_way() {
    for (kind, is_told) in [(INTERNAL, true), (CONSUMER, false), (SERVER, false), (CLIENT, false)] {
        let mut sample = Sample::default();
        sample.add(0, 0, "worker", INTERNAL, (0, 100));
        for time in turns(4) {
            sample.add(1, 0, "process", kind, time).add(2, 0, "INSERT", CLIENT, time);
        }
        let last = (50, 59);
        sample.add(1, 0, "process", kind, last).add(2, 0, "INSERT", CLIENT, last);
        let loops: Vec<String> = sample.told().into_iter().map(|(.., name)| name).collect();
        let expected = match kind {
            CLIENT => vec!["process"],
            _ if is_told => vec!["INSERT"],
            _ => vec![],
        };
        assert_eq!(loops, expected, "kind {kind}");
    }
}

#[test]
fn re3_the_nearest_span_is_told_and_the_rest_of_the_calls_above_it() {
    let mut sample = Sample::default();
    sample.add(0, 0, "page", SERVER, (0, 1_000));
    for (calls, start) in [(5, 0), (3, 100), (2, 200)] {
        sample.add(1, 0, "resolve", INTERNAL, (start, start + 99));
        for (from, to) in turns(calls) {
            sample.add(2, 0, "SELECT", CLIENT, (start + from, start + to));
        }
    }
    let told = sample.told();
    let counts: Vec<(usize, &str)> = told.iter().map(|(_, count, above, _)| (*count, above.as_str())).collect();
    assert_eq!(counts, [(5, "resolve"), (5, "page")]);
}

#[test]
fn re3_calls_that_fail_are_retries_below_several_spans_too() {
    let mut sample = Sample::default();
    sample.add(0, 0, "page", SERVER, (0, 100));
    for time in turns(6) {
        sample.add(1, 0, "attempt", INTERNAL, time).add(2, 0, "charge", CLIENT, time);
        sample.calls.last_mut().unwrap().failed = true;
    }
    assert_eq!(sample.told(), one(Repeated::Retry, 6, "page", "charge"));
}

#[test]
fn re4_calls_at_once_or_to_several_services_are_no_loop() {
    let mut at_once = Sample::default();
    at_once.add(0, 0, "page", SERVER, (0, 100));
    for _ in 0..8 {
        at_once.add(1, 0, "resolve", INTERNAL, (0, 50)).add(2, 0, "SELECT", CLIENT, (1, 49));
    }
    assert_eq!(at_once.told(), []);

    let mut several = Sample::default();
    several.add(0, 0, "page", SERVER, (0, 100));
    for (service, time) in (1..=5).zip(turns(5)) {
        several.add(1, 0, "GET", CLIENT, time).add(2, service, "GET /", SERVER, time);
    }
    assert_eq!(several.told(), [], "each is answered by a service of its own");

    let mut lossy = Sample::default();
    lossy.add(0, 0, "page", SERVER, (0, 100));
    for (at, time) in turns(6).enumerate() {
        lossy.add(1, 0, "GET", CLIENT, time);
        if at % 2 == 0 {
            lossy.add(2, 1, "GET /", SERVER, time);
        }
    }
    assert_eq!(lossy.told(), one(Repeated::Loop, 6, "page", "GET"), "some answers did not arrive");

    let mut two = Sample::default();
    two.add(0, 0, "page", SERVER, (0, 100));
    for (at, time) in turns(10).enumerate() {
        two.add(1, 0, "GET", CLIENT, time).add(2, 1 + at % 2, "GET /", SERVER, time);
    }
    assert_eq!(two.told().iter().map(|(_, count, ..)| *count).collect::<Vec<_>>(), [5, 5], "a loop for each");
}

#[test]
fn re5_a_deep_chain_and_a_wide_fan_end() {
    for is_deep in [true, false] {
        let count = 100_000;
        let call = Call { kind: CLIENT, ..Call::default() };
        let placed = |row: usize| Placed {
            parent: if is_deep { row.checked_sub(1) } else { (row > 0).then_some(0) },
            subtree: if is_deep || row == 0 { count - row } else { 1 },
            start: 10 * row as i64,
            end: 10 * row as i64 + 5,
        };
        let rows = Sample { rows: (0..count).map(placed).collect(), ..Sample::default() };
        // Calls and what calls them in turn, so that there are ways as long as they get.
        let calls: Vec<Call> =
            (0..count).map(|row| if is_deep && row % 4 > 0 { Call { kind: INTERNAL, ..call } } else { call }).collect();
        let (found, others) = repeats(&rows, &calls);
        assert_eq!((found.len(), others.len()), if is_deep { (0, count / 4 - 1) } else { (1, 0) });
    }
}

#[test]
fn a_name_is_plain_without_numbers_and_ids() {
    for (name, expected) in [
        ("GET /users/17", "GET /users/…"),
        ("GET /users/7/orders/123?page=2", "GET /users/…/orders/…?page=…"),
        ("GET /u/550e8400-e29b-41d4-a716-446655440000", "GET /u/…"),
        ("GET /u/abcdefab-cdef-abcd-abcd-abcdefabcdef/x", "GET /u/…/x"),
        ("load 5f2b0c91d", "load …"),
        ("users.0.posts", "users.….posts"),
        ("shard-3", "shard-…"),
        ("user42", "user…"),
        ("get-01ARZ3NDEKTSV4RRFFQ69G5FAV", "get-…"),
        ("SELECT facade", "SELECT facade"),
        ("été 9 – 10", "été … – …"),
        ("--", "--"),
        ("", ""),
    ] {
        assert_eq!(plain(name), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_plain_stays(name in ".{0,40}") {
        prop_assert_eq!(plain(&plain(&name)), plain(&name));
    }

    #[test]
    fn ids_of_any_kind_do_not_tell_names_apart(id in 0u128..) {
        let uuid = |id: u128| {
            let hex = format!("{id:032x}");
            format!("get /a/{}-{}-{}-{}-{}/b", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        };
        prop_assert_eq!(plain(&uuid(id)), "get /a/…/b");
        prop_assert_eq!(plain(&format!("get /a/{id:032x}/b")), "get /a/…/b");
        prop_assert_eq!(plain(&format!("get /a/{id}/b")), "get /a/…/b");
    }

    /// RE3 and RE5, whatever the tree looks like.
    #[test]
    fn every_call_is_told_once_or_given_back(list in proptest::collection::vec((0usize..6, 0usize..2, 0usize..2, 0i32..6, 0i64..90), 1..60)) {
        let mut sample = Sample::default();
        let mut deepest = 0;
        for (depth, service, name, kind, start) in list {
            let depth = depth.min(deepest);
            deepest = depth + 1;
            sample.add(depth, service, ["a", "b"][name], kind, (start, start + 3));
        }
        for (_, count, ..) in sample.told() {
            prop_assert!(count >= LOOP);
        }
    }
}
