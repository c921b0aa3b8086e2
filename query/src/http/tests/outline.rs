//! What is asked of the outline of a trace is answered by its windows, which side by side are the whole.

use super::*;
use proptest::prelude::*;
use query_api::outline::{
    CallsResponse, EventsResponse, GroupsResponse, LanesResponse, MatchesResponse, OutlineResponse, OutlineRow,
    RowsResponse, SpanResponse,
};

fn path(rest: &str) -> String {
    format!("/traces/{}{rest}", "07".repeat(16))
}

/// A trace whose spans have the parents that are given, by place from 1; 0 is none.
async fn server_of(parents: &[u64]) -> Server {
    let server = Server::new().await;
    let list = parents.iter().enumerate().map(|(at, parent)| TestSpan {
        trace: 7,
        id: at as u64 + 1,
        parent: (*parent > 0).then_some(*parent),
        // Children begin in another order than their ids'.
        start: NOW - SECOND + (at as i64 * 7) % 11,
        status: if at % 5 == 4 { 2 } else { 0 },
        ..TestSpan::default()
    });
    server.fixture.put(spans(&list.collect::<Vec<_>>())).await;
    server
}

/// What a person would see of the whole tree, walked without numbers.
fn walked(parents: &[u64], is_closed: &dyn Fn(u64, usize) -> bool) -> Vec<u64> {
    let start = |id: u64| (((id - 1) * 7) % 11, id);
    let exists = |id: u64| id <= parents.len() as u64;
    let children = |of: u64| {
        let mut found: Vec<u64> = (1..=parents.len() as u64).filter(|id| parents[*id as usize - 1] == of).collect();
        found.sort_by_key(|id| start(*id));
        found
    };
    fn go(
        id: u64,
        depth: usize,
        children: &dyn Fn(u64) -> Vec<u64>,
        is_closed: &dyn Fn(u64, usize) -> bool,
        out: &mut Vec<u64>,
    ) {
        out.push(id);
        let below = children(id);
        if below.is_empty() || is_closed(id, depth) {
            return;
        }
        below.into_iter().for_each(|child| go(child, depth + 1, children, is_closed, out));
    }
    let mut out = Vec::new();
    children(0).into_iter().for_each(|root| go(root, 0, &children, is_closed, &mut out));
    let mut lost: Vec<u64> = (1..=parents.len() as u64).filter(|id| !exists(parents[*id as usize - 1])).collect();
    lost.sort_by_key(|id| start(*id));
    lost.into_iter().for_each(|id| go(id, 0, &children, is_closed, &mut out));
    out
}

fn id_of(row: &OutlineRow) -> u64 {
    u64::from_str_radix(&row.span_id, 16).unwrap()
}

/// All windows of so many rows, one behind the other.
async fn windows(server: &Server, query: &str, limit: usize) -> Vec<OutlineRow> {
    let mut rows: Vec<OutlineRow> = Vec::new();
    loop {
        let rest = format!("/outline/rows?{query}limit={limit}&offset={}", rows.len());
        let window: RowsResponse = server.get(&path(&rest)).await.read();
        assert_eq!(window.offset, rows.len());
        assert!(window.rows.len() <= limit);
        rows.extend(window.rows);
        if rows.len() >= window.shown_count {
            assert_eq!(rows.len(), window.shown_count);
            return rows;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sh1_windows_side_by_side_are_the_tree_that_is_shown(
        links in proptest::collection::vec(0u64..40, 1..40),
        depth in proptest::option::of(0usize..4),
        turned in proptest::collection::btree_set(0usize..40, 0..8),
        limit in 1usize..12,
    ) {
        // Parents stand before their children, or are missing.
        let parents: Vec<u64> =
            links.iter().enumerate().map(|(at, link)| if *link == 39 { 99 } else { link % (at as u64 + 1) }).collect();
        let turned: BTreeSet<usize> = turned.into_iter().filter(|row| *row < parents.len()).collect();
        crate::fixture::block_on(async {
            let server = server_of(&parents).await;
            let all = windows(&server, "", limit).await;
            let open = |_: u64, _: usize| false;
            assert_eq!(all.iter().map(id_of).collect::<Vec<_>>(), walked(&parents, &open));
            assert!(all.iter().enumerate().all(|(at, row)| row.row == at && !row.closed));

            let by_id: std::collections::HashMap<u64, usize> = all.iter().map(|row| (id_of(row), row.row)).collect();
            let is_closed = |id: u64, at: usize| depth.is_some_and(|depth| at >= depth) != turned.contains(&by_id[&id]);
            let list = turned.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
            let fold = format!("turned={list}&{}", depth.map_or_else(String::new, |depth| format!("depth={depth}&")));
            let shown = windows(&server, &fold, limit).await;
            assert_eq!(shown.iter().map(id_of).collect::<Vec<_>>(), walked(&parents, &is_closed));
            let closed = shown.iter().filter(|row| row.closed).map(id_of).collect::<Vec<_>>();
            assert!(shown.iter().filter(|row| row.subtree > 1).map(id_of).filter(|id| closed.contains(id)).count() == closed.len());

            // Whatever hides a row is opened.
            let row = all.len() - 1;
            let window: RowsResponse = server.get(&path(&format!("/outline/rows?{fold}limit={limit}&reveal={row}"))).await.read();
            let place = window.place.unwrap();
            assert_eq!(window.rows[place - window.offset].row, row);
            let now: BTreeSet<usize> = window.folded.turned.iter().copied().collect();
            let opened: Vec<usize> = now.symmetric_difference(&turned).copied().collect();
            assert!(opened.iter().all(|opened| (*opened..*opened + all[*opened].subtree).contains(&row)));

            // By spans the same is folded.
            let whole: RowsResponse = server.get(&path(&format!("/outline/rows?{fold}"))).await.read();
            assert_eq!(whole.folded.turned, turned.iter().copied().collect::<Vec<_>>());
            let spans = [whole.folded.spans.clone(), vec!["00000000000000ff".to_owned()]].concat().join(",");
            let depth = whole.folded.depth.map_or_else(String::new, |depth| format!("depth={depth}&"));
            let again: RowsResponse =
                server.get(&path(&format!("/outline/rows?{depth}spans={spans}"))).await.read();
            let parents_of = |rows: Vec<usize>| rows.into_iter().filter(|row| all[*row].subtree > 1).collect::<Vec<_>>();
            assert_eq!(again.rows, whole.rows, "sh4");
            assert_eq!(again.folded.turned, parents_of(whole.folded.turned), "sh4");
        });
    }
}

#[tokio::test]
async fn a_trace_is_looked_at_by_its_parts() {
    let server = server_of(&[0, 1, 1, 2, 2]).await;
    let whole: OutlineResponse = server.get(&path("/outline?whole=5")).await.read();
    assert_eq!((whole.span_count, whole.rows.len(), whole.level_count), (5, 5, 3));
    assert_eq!(whole.whole.map(|whole| whole.resource_spans.len()), Some(1));
    let large: OutlineResponse = server.get(&path("/outline?whole=4")).await.read();
    assert_eq!((large.version.clone(), large.whole), (whole.version.clone(), None));
    let found: MatchesResponse = server.get(&path("/outline/matches?failed=true")).await.read();
    assert_eq!((found.count, found.rows.len(), &found.version), (1, 1, &large.version));
    let alike: MatchesResponse = server.get(&path("/outline/matches?like=3")).await.read();
    let named = |row: &OutlineRow| (row.service, row.name.clone());
    let expected: Vec<usize> =
        large.rows.iter().filter(|row| named(row) == named(&large.rows[3])).map(|row| row.row).collect();
    assert!(expected.contains(&3) && (alike.count, &alike.rows) == (expected.len(), &expected), "{alike:?}");
    let only: RowsResponse = server.get(&path("/outline/rows?contains=0000000000000004")).await.read();
    assert_eq!((only.shown_count, only.rows.iter().map(id_of).collect::<Vec<_>>()), (3, vec![1, 2, 4]), "sh3");
    let lanes: LanesResponse = server.get(&path("/outline/lanes?row=0")).await.read();
    assert_eq!((lanes.lane, lanes.bars.len()), (Some(0), 5));
    let groups: GroupsResponse = server.get(&path("/outline/groups?by=status")).await.read();
    assert_eq!(groups.groups.iter().map(|group| group.span_count).sum::<usize>(), 5);
    let calls: CallsResponse = server.get(&path("/outline/calls")).await.read();
    assert_eq!(calls.edges, []);
    let events: EventsResponse = server.get(&path("/outline/events")).await.read();
    assert_eq!((events.count, events.events.len()), (0, 0));
    let span: SpanResponse = server.get(&path("/spans/0000000000000004")).await.read();
    assert_eq!((span.parent_id.as_deref(), span.row.depth), (Some("0000000000000002"), 2));
    for (bad, place) in [
        ("/outline/rows?turned=1,x", "turned"),
        ("/outline/rows?turned=9", "turned"),
        ("/outline/rows?spans=0000000000000001,x", "spans"),
        ("/outline/rows?reveal=5", "reveal"),
        ("/outline/matches?like=5", "like"),
        ("/outline/matches?like=x", "like"),
        ("/outline/rows?depth=-1", "depth"),
        ("/outline/groups?by=colour", "by"),
        ("/outline/groups?by=attr.", "by"),
        ("/spans/xyz", "span_id"),
        ("/outline/rows?limit=1001", "limit"),
    ] {
        let answer = server.get(&path(bad)).await;
        assert_eq!((answer.status, answer.error().r#where.as_deref()), (StatusCode::BAD_REQUEST, Some(place)), "{bad}");
    }
    let many = (0..1_001).map(|row| row.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(server.get(&path(&format!("/outline/rows?turned={many}"))).await.status, StatusCode::BAD_REQUEST);
    let none = format!("/traces/{}/outline", "0f".repeat(16));
    assert_eq!(server.get(&none).await.status, StatusCode::NOT_FOUND);
}
