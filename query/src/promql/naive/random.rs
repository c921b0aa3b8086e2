//! Which queries and which series does chance bring? Expressions that every Prometheus since 2.33 knows, and means the same by.
//!
//! Uses nothing but the standard library: the tests that ask Debian's Prometheus have this file too.

use std::fmt;

/// Chance that a number begins, by SplitMix64: the same number, the same chances.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one less than so many.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() % count as u64).unwrap()
    }

    /// Whether one of so many cases is met.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Names of metrics, and what their series are.
pub(crate) const COUNTERS: [&str; 2] = ["hits_total", "bytes_total"];
pub(crate) const GAUGES: [&str; 2] = ["load", "depth"];
pub(crate) const LABELS: [(&str, [&str; 3]); 2] = [("job", ["a", "b", "c"]), ("zone", ["x", "y", "z"])];

/// How far the query's first step is from the first sample, and steps from each other, in seconds.
pub(crate) const STEP: i64 = 60;
pub(crate) const STEPS: i64 = 12;
/// How many samples a series has, and their distance in milliseconds.
pub(crate) const SAMPLES: usize = 240;
pub(crate) const APART: i64 = 15_000;
/// Samples are never on a step: windows of old Prometheus have both their ends.
pub(crate) const OFF: i64 = 7_003;

/// A series: its labels, and its samples by their number, some of them missing.
pub(crate) struct Series {
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) samples: Vec<(usize, f64)>,
}

/// The bits of the NaN that says: the series ended here.
pub(crate) const STALE: u64 = 0x7ff0_0000_0000_0002;

/// All series, some of them left out.
pub(crate) fn series(dice: &mut Dice) -> Vec<Series> {
    let mut all = Vec::new();
    for name in COUNTERS.into_iter().chain(GAUGES) {
        for job in LABELS[0].1 {
            for zone in LABELS[1].1 {
                if dice.one_in(5) {
                    continue;
                }
                let labels = vec![("__name__", name), ("job", job), ("zone", zone)];
                all.push(Series { labels, samples: samples(dice, COUNTERS.contains(&name)) });
            }
        }
    }
    all
}

fn samples(dice: &mut Dice, is_counter: bool) -> Vec<(usize, f64)> {
    // Counters are never near 0: how far they are guessed back there was not always the same.
    let mut value = if is_counter { 1_000.0 } else { 0.0 } + dice.below(1_000) as f64;
    let mut samples = Vec::new();
    let mut gap = 0;
    for place in 0..SAMPLES {
        if gap > 0 {
            gap -= 1;
            continue;
        }
        if dice.one_in(60) {
            samples.push((place, f64::from_bits(STALE)));
            gap = dice.below(30);
            continue;
        }
        if is_counter {
            value = if dice.one_in(50) { 500.0 + dice.below(5) as f64 } else { value + dice.below(100) as f64 / 4.0 };
        } else {
            value += dice.below(41) as f64 / 8.0 - 2.5;
        }
        samples.push((place, if !is_counter && dice.one_in(80) { f64::NAN } else { value }));
    }
    samples
}

/// A selector. Distances are seconds.
#[derive(Debug, Clone)]
pub(crate) struct Selector {
    pub(crate) name: &'static str,
    /// Label, operator, and a value or pattern.
    pub(crate) matchers: Vec<(&'static str, &'static str, &'static str)>,
    pub(crate) offset: i64,
    /// The step that is looked at, in place of the present one.
    pub(crate) at: Option<i64>,
}

/// A range of a selector, or of an expression at steps of its own.
#[derive(Debug, Clone)]
pub(crate) enum Range {
    Selector(Selector, i64),
    Subquery(Box<Query>, i64, i64),
}

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Query {
    Number(f64),
    Selector(Selector),
    Over(&'static str, Option<f64>, Range),
    Each(&'static str, Box<Query>),
    Negated(Box<Query>),
    Aggregate { op: &'static str, param: Option<f64>, without: bool, labels: Vec<&'static str>, of: Box<Query> },
    Binary { op: &'static str, is_bool: bool, left: Box<Query>, right: Box<Query>, matching: Matching },
}

/// By which labels the two sides go together; `None` where both are compared whole.
pub(crate) type Matching = Option<(bool, Vec<&'static str>)>;

const OF_COUNTERS: [&str; 4] = ["rate", "increase", "irate", "resets"];
const OF_GAUGES: [&str; 4] = ["delta", "idelta", "deriv", "changes"];
const OF_ANY: [&str; 9] = [
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "quantile_over_time",
];
const EACH: [&str; 5] = ["abs", "ceil", "floor", "sgn", "round"];
const AGGREGATES: [&str; 9] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"];
const ARITHMETIC: [&str; 5] = ["+", "-", "*", "/", "%"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">", "<", ">=", "<="];
const SETS: [&str; 3] = ["and", "or", "unless"];

impl Query {
    /// A vector, by chance, nested so deep at most.
    pub(crate) fn random(dice: &mut Dice, depth: usize) -> Query {
        let kind = if depth == 0 { dice.below(3) } else { dice.below(10) };
        match kind {
            0 => Query::Selector(selector(dice, None)),
            1 | 2 => over(dice, depth),
            3 => Query::Each(dice.of(&EACH), Box::new(Query::random(dice, depth - 1))),
            4 => Query::Negated(Box::new(Query::random(dice, depth - 1))),
            5 | 6 => {
                let op = dice.of(&AGGREGATES);
                let labels = [vec![], vec!["job"], vec!["zone"], vec!["job", "zone"]][dice.below(4)].clone();
                let of = Box::new(Query::random(dice, depth - 1));
                let param = (op == "quantile").then(|| dice.of(&[0.0, 0.25, 0.5, 0.9, 1.0]));
                Query::Aggregate { op, param, without: dice.one_in(3), labels, of }
            }
            7 => {
                let (op, is_bool) = operator(dice);
                let number = Box::new(Query::Number(dice.of(&[0.5, 2.0, -3.0, 100.0])));
                let vector = Box::new(Query::random(dice, depth - 1));
                let (left, right) = if dice.one_in(2) { (number, vector) } else { (vector, number) };
                Query::Binary { op, is_bool, left, right, matching: None }
            }
            _ => {
                let (op, is_bool) = if dice.one_in(3) { (dice.of(&SETS), false) } else { operator(dice) };
                let labels = [vec!["job", "zone"], vec!["job"], vec![]][dice.below(3)].clone();
                let matching = if dice.one_in(2) { None } else { Some((dice.one_in(2), labels)) };
                let [left, right] = [(), ()].map(|()| Box::new(Query::random(dice, depth - 1)));
                Query::Binary { op, is_bool, left, right, matching }
            }
        }
    }
}

fn operator(dice: &mut Dice) -> (&'static str, bool) {
    if dice.one_in(2) { (dice.of(&ARITHMETIC), false) } else { (dice.of(&COMPARISONS), dice.one_in(2)) }
}

fn selector(dice: &mut Dice, names: Option<&[&'static str]>) -> Selector {
    let all: Vec<&'static str> = COUNTERS.into_iter().chain(GAUGES).collect();
    let name = dice.of(names.unwrap_or(&all));
    let mut matchers = Vec::new();
    for (label, values) in LABELS {
        match dice.below(8) {
            0 => matchers.push((label, "=", dice.of(&values))),
            1 => matchers.push((label, "!=", dice.of(&values))),
            2 => matchers.push((label, "=~", dice.of(&["a|x", ".*", "b|y|z", "[a-b]|[y-z]"]))),
            3 => matchers.push((label, "!~", dice.of(&["a|x", "b|y|z", "c"]))),
            _ => {}
        }
    }
    let offset = if dice.one_in(4) { dice.of(&[60, 90, 300, -45]) } else { 0 };
    let at = dice.one_in(8).then(|| i64::try_from(dice.below(12)).unwrap());
    Selector { name, matchers, offset, at }
}

fn over(dice: &mut Dice, depth: usize) -> Query {
    let (functions, names): (&[&'static str], Option<&[&'static str]>) = match dice.below(4) {
        0 => (&OF_COUNTERS[..], Some(&COUNTERS[..])),
        1 => (&OF_GAUGES[..], Some(&GAUGES[..])),
        _ => (&OF_ANY[..], None),
    };
    let function = dice.of(functions);
    let param = (function == "quantile_over_time").then(|| dice.of(&[0.0, 0.5, 0.95, 1.0]));
    let range = if depth > 0 && dice.one_in(4) {
        // None begins on a step: old Prometheus has it in the range.
        let length = dice.of(&[61, 151, 307, 901]);
        Range::Subquery(Box::new(Query::random(dice, depth - 1)), length, dice.of(&[30, 60, 120]))
    } else {
        Range::Selector(selector(dice, names), dice.of(&[60, 150, 300, 900]))
    };
    Query::Over(function, param, range)
}

impl Selector {
    /// With a range behind its matchers, before offset and `@`.
    fn write(&self, f: &mut fmt::Formatter<'_>, range: &str) -> fmt::Result {
        let matchers: Vec<String> =
            self.matchers.iter().map(|(label, op, value)| format!("{label}{op}\"{value}\"")).collect();
        write!(f, "{}{{{}}}{range}", self.name, matchers.join(","))?;
        if let Some(step) = self.at {
            write!(f, " @ AT{step:02}")?;
        }
        match self.offset {
            0 => Ok(()),
            offset => write!(f, " offset {}{}s", if offset < 0 { "-" } else { "" }, offset.abs()),
        }
    }
}

/// As text, with `AT00` and so on in the place of moments: [`placed`] puts them there.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Number(number) => write!(f, "{number}"),
            Query::Selector(selector) => selector.write(f, ""),
            Query::Over(function, param, range) => {
                write!(f, "{function}(")?;
                if let Some(param) = param {
                    write!(f, "{param}, ")?;
                }
                match range {
                    Range::Selector(selector, length) => selector.write(f, &format!("[{length}s]"))?,
                    Range::Subquery(inner, length, step) => write!(f, "({inner})[{length}s:{step}s]")?,
                }
                f.write_str(")")
            }
            Query::Each(function, inner) => write!(f, "{function}({inner})"),
            Query::Negated(inner) => write!(f, "-({inner})"),
            Query::Aggregate { op, param, without, labels, of } => {
                let by = if *without { "without" } else { "by" };
                write!(f, "{op} {by} ({}) (", labels.join(", "))?;
                if let Some(param) = param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{of})")
            }
            Query::Binary { op, is_bool, left, right, matching } => {
                write!(f, "({left}) {op}{}", if *is_bool { " bool" } else { "" })?;
                if let Some((on, labels)) = matching {
                    write!(f, " {} ({})", if *on { "on" } else { "ignoring" }, labels.join(", "))?;
                }
                write!(f, " ({right})")
            }
        }
    }
}

/// The text of a query whose first step is at a moment, in seconds.
pub(crate) fn placed(query: &Query, start: i64) -> String {
    let text = query.to_string();
    (0..STEPS).fold(text, |text, step| text.replace(&format!("AT{step:02}"), &(start + step * STEP).to_string()))
}
