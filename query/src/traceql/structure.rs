//! Which spans stand so to others in the tree of their trace?
//!
//! S1  By the numbers of nested sets only, in time of sorting: no walk, no recursion, whatever the depth.
//! S2  A span stands in no relation to itself. One without numbers (in a trace of more than a million) stands in none.
//! S3  Siblings have the same stored parent; roots are nobody's siblings.

use super::ast::{Mode, Relation};
use std::collections::{HashMap, HashSet};
use storage::trace::Nested;

/// A span's place and numbers.
pub(super) type Numbered = (usize, Nested);

/// The places that `left relation right` answers, ascending.
pub(super) fn related(relation: Relation, mode: Mode, left: &[Numbered], right: &[Numbered]) -> Vec<usize> {
    let mut found: Vec<usize> = match mode {
        Mode::Right => partners(relation, left, right, true),
        Mode::Negated => partners(relation, left, right, false),
        Mode::Union => {
            let mut both = partners(relation, left, right, true);
            both.extend(partners(inverse(relation), right, left, true));
            both
        }
    };
    found.sort_unstable();
    found.dedup();
    found
}

/// The relation seen from the other side.
pub(super) fn inverse(relation: Relation) -> Relation {
    match relation {
        Relation::Child => Relation::Parent,
        Relation::Parent => Relation::Child,
        Relation::Descendant => Relation::Ancestor,
        Relation::Ancestor => Relation::Descendant,
        Relation::Sibling => Relation::Sibling,
    }
}

/// The places of `right` that have a partner in `left`, or that have none.
fn partners(relation: Relation, left: &[Numbered], right: &[Numbered], wanted: bool) -> Vec<usize> {
    let choose = |has: &dyn Fn(&Numbered) -> bool| {
        right.iter().filter(|span| has(span) == wanted).map(|(place, _)| *place).collect::<Vec<usize>>()
    };
    match relation {
        Relation::Child => {
            let lefts: HashSet<i32> = left.iter().map(|(_, nested)| nested.left).collect();
            choose(&|(_, nested)| lefts.contains(&nested.parent))
        }
        Relation::Parent => {
            let parents: HashSet<i32> = left.iter().map(|(_, nested)| nested.parent).collect();
            choose(&|(_, nested)| parents.contains(&nested.left))
        }
        Relation::Descendant => {
            let reach = Reach::new(left);
            choose(&|(_, nested)| reach.before(nested.left) > nested.right)
        }
        Relation::Ancestor => {
            let mut lefts: Vec<i32> = left.iter().map(|(_, nested)| nested.left).collect();
            lefts.sort_unstable();
            choose(&|(_, nested)| {
                let next = lefts.partition_point(|&left| left <= nested.left);
                lefts.get(next).is_some_and(|&left| left < nested.right)
            })
        }
        Relation::Sibling => {
            let mut by_parent: HashMap<i32, (usize, HashSet<usize>)> = HashMap::new();
            for (place, nested) in left.iter().filter(|(_, nested)| nested.parent > 0) {
                let siblings = by_parent.entry(nested.parent).or_default();
                siblings.0 += usize::from(siblings.1.insert(*place));
            }
            choose(&|(place, nested)| {
                by_parent
                    .get(&nested.parent)
                    .is_some_and(|(count, places)| *count > usize::from(places.contains(place)))
            })
        }
    }
}

/// How far right the spans reach that begin before a number. Intervals nest or are apart, so one that begins before
/// another and ends after it is its ancestor.
struct Reach(Vec<(i32, i32)>);

impl Reach {
    fn new(spans: &[Numbered]) -> Self {
        let mut list: Vec<(i32, i32)> = spans.iter().map(|(_, nested)| (nested.left, nested.right)).collect();
        list.sort_unstable();
        let mut most = i32::MIN;
        for (_, right) in &mut list {
            most = most.max(*right);
            *right = most;
        }
        Reach(list)
    }

    fn before(&self, number: i32) -> i32 {
        let next = self.0.partition_point(|(left, _)| *left < number);
        next.checked_sub(1).and_then(|last| self.0.get(last)).map_or(i32::MIN, |(_, right)| *right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use storage::model::SpanId;
    use storage::trace::{TreeSpan, nest};

    const RELATIONS: [Relation; 5] =
        [Relation::Child, Relation::Parent, Relation::Descendant, Relation::Ancestor, Relation::Sibling];

    /// The parent of each span, by walking.
    fn stands(relation: Relation, parents: &[Option<usize>], left: usize, right: usize) -> bool {
        let is_ancestor = |ancestor: usize, mut span: usize| {
            while let Some(parent) = parents[span] {
                if parent == ancestor {
                    return true;
                }
                span = parent;
            }
            false
        };
        match relation {
            Relation::Child => parents[right] == Some(left),
            Relation::Parent => parents[left] == Some(right),
            Relation::Descendant => is_ancestor(left, right),
            Relation::Ancestor => is_ancestor(right, left),
            Relation::Sibling => left != right && parents[left].is_some() && parents[left] == parents[right],
        }
    }

    proptest! {
        #[test]
        fn s1_numbers_answer_what_walking_answers(
            parents in proptest::collection::vec(proptest::option::of(0usize..12), 1..12),
            left in 0u16..4096, right in 0u16..4096,
            mode in prop_oneof![Just(Mode::Right), Just(Mode::Negated), Just(Mode::Union)],
        ) {
            // Of earlier spans only, so that there is no circle.
            let parents: Vec<Option<usize>> =
                parents.iter().enumerate().map(|(place, parent)| parent.filter(|parent| *parent < place)).collect();
            let id = |place: usize| SpanId((place as u64 + 1).to_be_bytes());
            let spans: Vec<TreeSpan> = parents.iter().enumerate().map(|(place, parent)| TreeSpan {
                id: id(place), parent: parent.map(id), start: place as i64, kind: 0,
            }).collect();
            let nested = nest(&spans);
            let chosen = |bits: u16| -> Vec<Numbered> {
                (0..parents.len()).filter(|place| bits >> place & 1 == 1).map(|place| (place, nested[place].unwrap())).collect()
            };
            let (left, right) = (chosen(left), chosen(right));
            for relation in RELATIONS {
                let has = |span: usize| left.iter().any(|(other, _)| stands(relation, &parents, *other, span));
                let is = |span: usize| right.iter().any(|(other, _)| stands(relation, &parents, span, *other));
                let expected: Vec<usize> = (0..parents.len()).filter(|place| {
                    let on_right = right.iter().any(|(other, _)| other == place);
                    let on_left = left.iter().any(|(other, _)| other == place);
                    match mode {
                        Mode::Right => on_right && has(*place),
                        Mode::Negated => on_right && !has(*place),
                        Mode::Union => (on_right && has(*place)) || (on_left && is(*place)),
                    }
                }).collect();
                prop_assert_eq!(related(relation, mode, &left, &right), expected, "{:?}", relation);
            }
        }
    }
}
