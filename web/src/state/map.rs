//! Where does each service stand on a map of calls? In layers from left to right, callers before those they call.
//!
//! M1  The same answer gives the same map; the server puts calls in order.
//! M2  A call that leads back to who called before decides no layer; it is drawn as such.
//! M3  A long call bends where it passes a layer, so that it runs between what stands there.
//! M4  Names can be read at the first look: boxes become narrower, and their names two lines, where a room would be too small for many
//!     layers; a map that is still wider than its room is shown no smaller than [`READABLE`] before somebody asks for all of it.
//!
//! Not here: what is drawn of it.

use super::order;
use query_api::service::{Connection, GraphEdge};

/// Width and height of who calls or is called, where there is room: a name has up to two lines.
const WIDE: (f64, f64) = (164.0, 52.0);
/// The same where there is less, and at its narrowest, with names of up to three lines.
const NARROWER: (f64, f64) = (128.0, 58.0);
const NARROW: (f64, f64) = (112.0, 66.0);
/// From layer to layer where there is room: as far as that is, within these.
const COLUMN: (f64, f64) = (206.0, 240.0);
/// Between narrow boxes, for the calls.
const GAP: f64 = 24.0;
/// What a window of 1280 pixels has for a map.
pub const ROOM: f64 = 1_215.0;
/// What stands between two boxes of a layer, and the height that a layer gives to a call that passes.
const SPACE: f64 = 14.0;
const PASS: f64 = 20.0;
/// The share of its size at which names are as large as the smallest text that there is.
const READABLE: f64 = 0.85;
const MARGIN: f64 = 8.0;
/// Sweeps that put each beside those it is joined with.
const SWEEPS: usize = 6;

/// What somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sends spans.
    Service,
    /// A database.
    Database,
    /// A queue.
    Queue,
    /// Anybody else who sends no spans.
    Peer,
}

/// Who calls or is called, with its upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// Calls that it got.
    pub calls: u64,
    /// Of those, how many failed.
    pub failed: u64,
}

/// Calls from one to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrow {
    /// Who calls.
    pub from: usize,
    /// Who is called.
    pub to: usize,
    /// Their place in the answer.
    pub edge: usize,
    /// How it runs, as the `d` of a path.
    pub path: String,
}

/// A map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    /// As they come.
    pub nodes: Vec<Node>,
    /// In the order of the answer.
    pub arrows: Vec<Arrow>,
    /// Width and height of each.
    pub size: (f64, f64),
    /// Of all.
    pub width: f64,
    /// Of all.
    pub height: f64,
}

/// How large a map is shown in the room that there is: whole if names can be read then (M4), until a person zooms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Widths of the map as it is laid out, and of the room once it is known.
    map: f64,
    room: Option<f64>,
    /// What a person zoomed to.
    chosen: Option<f64>,
}

impl Scale {
    /// Of a map of a width.
    pub fn new(map: f64) -> Scale {
        Scale { map: map.max(1.0), room: None, chosen: None }
    }

    /// The room has a width.
    pub fn within(&mut self, room: f64) {
        self.room = Some(room.max(1.0));
    }

    /// The size at which all of it is seen.
    fn whole(&self) -> f64 {
        self.room.map_or(1.0, |room| (room / self.map).min(1.0))
    }

    /// Its size, as a share of what it is laid out as.
    pub fn factor(&self) -> f64 {
        self.chosen.unwrap_or(READABLE).clamp(self.whole(), 1.0)
    }

    /// Whether it does not fit as it is laid out.
    pub fn is_scaled(&self) -> bool {
        self.whole() < 1.0
    }

    /// Shows it larger by a factor, or smaller.
    pub fn zoom(&mut self, by: f64) {
        self.chosen = Some((self.factor() * by).clamp(self.whole(), 1.0));
    }

    /// Shows all of it.
    pub fn fit(&mut self) {
        self.chosen = Some(0.0);
    }
}

/// Something that takes room in a layer: a node, or a call that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Node(usize),
    Pass,
}

/// Who calls: a service, or whoever is outside, who sends no spans and may be called as a service is.
pub fn caller(edge: &GraphEdge) -> &str {
    if edge.client_side.is_none() { "outside" } else { &edge.client }
}

/// How large boxes are, and how far apart.
#[derive(Debug, Clone, Copy)]
struct Boxes {
    size: (f64, f64),
    /// From layer to layer.
    column: f64,
}

impl Boxes {
    /// As wide as there is room for, within bounds.
    fn new(layers: usize, room: f64) -> Boxes {
        let free = room - 2.0 * MARGIN;
        let gaps = layers.saturating_sub(1).max(1) as f64;
        let column = ((free - WIDE.0) / gaps).floor();
        if column >= COLUMN.0 {
            return Boxes { size: WIDE, column: column.min(COLUMN.1) };
        }
        let width = |free: f64| ((free - gaps * GAP) / layers.max(1) as f64).floor();
        let size = if width(free) >= NARROWER.0 {
            (width(free).min(WIDE.0), NARROWER.1)
        } else {
            (width(room / READABLE - 2.0 * MARGIN).clamp(NARROW.0, NARROWER.0), NARROW.1)
        };
        Boxes { size, column: size.0 + GAP }
    }

    /// What a layer gives to a box.
    fn row(&self) -> f64 {
        self.size.1 + SPACE
    }
}

/// Whether a box has room for little below its name.
pub fn is_narrow(size: (f64, f64)) -> bool {
    size.0 < WIDE.0
}

/// A name that may break behind what divides it, as it does behind a hyphen by itself.
pub fn breakable(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        text.push(letter);
        if matches!(letter, '/' | '.' | '_' | ':') {
            text.push('\u{200b}');
        }
    }
    text
}

/// Lays a map out for a room of a width.
pub fn lay(edges: &[GraphEdge], room: f64) -> Map {
    let (mut nodes, ends) = nodes(edges);
    let forward = forward(nodes.len(), &ends);
    let layers = layers(nodes.len(), &forward);
    let mut room = Room::new(&layers, &forward, room);
    room.sweep();
    let (places, size) = room.places();
    for (node, (x, y)) in nodes.iter_mut().zip(&places) {
        (node.x, node.y) = (*x, *y - room.boxes.size.1 / 2.0);
    }
    let arrow = |(edge, &(from, to)): (usize, &(usize, usize))| {
        let passes = room.passes.iter().filter(|(ends, _)| *ends == (from, to));
        let bends: Vec<(f64, f64)> = passes.filter_map(|(_, item)| places.get(*item).copied()).collect();
        Some(Arrow { from, to, edge, path: room.path(places.get(from)?, places.get(to)?, &bends) })
    };
    let arrows = ends.iter().enumerate().filter_map(arrow).collect();
    Map { nodes, arrows, size: room.boxes.size, width: size.0, height: size.1 }
}

/// Who calls and is called, and the ends of each call among them.
fn nodes(edges: &[GraphEdge]) -> (Vec<Node>, Vec<(usize, usize)>) {
    let mut nodes: Vec<Node> = Vec::new();
    let mut ends = Vec::new();
    let place = |nodes: &mut Vec<Node>, name: &str| {
        nodes.iter().position(|node| node.name == name).unwrap_or_else(|| {
            nodes.push(Node { name: name.to_owned(), kind: Kind::Peer, x: 0.0, y: 0.0, calls: 0, failed: 0 });
            nodes.len() - 1
        })
    };
    for edge in edges {
        let (from, to) = (place(&mut nodes, caller(edge)), place(&mut nodes, &edge.server));
        if edge.client_side.is_some() {
            nodes[from].kind = Kind::Service;
        }
        let server = &mut nodes[to];
        server.kind = match (edge.server_side.is_some(), edge.connection, server.kind) {
            (true, ..) | (_, _, Kind::Service) => Kind::Service,
            (_, Connection::Database, _) => Kind::Database,
            (_, Connection::MessagingSystem, _) => Kind::Queue,
            (.., known) => known,
        };
        server.calls += edge.call_count;
        server.failed += edge.failed_count;
        ends.push((from, to));
    }
    (nodes, ends)
}

/// The calls without those that lead back (M2), each once. Walks without recursion, from those whom nobody calls first.
fn forward(count: usize, ends: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut called = vec![false; count];
    for &(from, to) in ends.iter().filter(|(from, to)| from != to) {
        if !next[from].contains(&to) {
            next[from].push(to);
            called[to] = true;
        }
    }
    // Not seen, on the way, done.
    let mut state = vec![0_u8; count];
    let mut forward = Vec::new();
    for start in (0..count).filter(|at| !called[*at]).chain(0..count) {
        if state[start] != 0 {
            continue;
        }
        let mut way = vec![(start, 0)];
        state[start] = 1;
        while let Some((at, done)) = way.last_mut() {
            let (from, turn) = (*at, *done);
            *done += 1;
            let Some(&to) = next[from].get(turn) else {
                state[from] = 2;
                way.pop();
                continue;
            };
            if state[to] == 1 {
                continue;
            }
            if state[to] == 0 {
                state[to] = 1;
                way.push((to, 0));
            }
            forward.push((from, to));
        }
    }
    forward
}

/// The layer of each: one behind the last of those that call it.
fn layers(count: usize, forward: &[(usize, usize)]) -> Vec<usize> {
    let mut layers = vec![0; count];
    // Each round settles at least one more layer.
    for _ in 0..count {
        let mut moved = false;
        for &(from, to) in forward {
            if layers[to] <= layers[from] {
                layers[to] = layers[from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    layers
}

/// What stands where, layer by layer.
struct Room {
    boxes: Boxes,
    items: Vec<Item>,
    /// Items from top to bottom.
    layers: Vec<Vec<usize>>,
    /// What is joined, from one layer to the next.
    joins: Vec<(usize, usize)>,
    /// The items by which calls pass layers, by the ends of the call.
    passes: Vec<((usize, usize), usize)>,
}

impl Room {
    fn new(layer_of: &[usize], forward: &[(usize, usize)], width: f64) -> Room {
        let depth = layer_of.iter().max().map_or(0, |last| last + 1);
        let mut room = Room {
            boxes: Boxes::new(depth, width),
            items: (0..layer_of.len()).map(Item::Node).collect(),
            layers: vec![Vec::new(); depth],
            joins: Vec::new(),
            passes: Vec::new(),
        };
        for (item, layer) in layer_of.iter().enumerate() {
            room.layers[*layer].push(item);
        }
        for &(from, to) in forward {
            let mut before = from;
            for layer in layer_of[from] + 1..layer_of[to] {
                let item = room.items.len();
                room.items.push(Item::Pass);
                room.layers[layer].push(item);
                room.joins.push((before, item));
                room.passes.push(((from, to), item));
                before = item;
            }
            room.joins.push((before, to));
        }
        room
    }

    /// Puts each beside those it is joined with, layer by layer, there and back.
    fn sweep(&mut self) {
        let depth = self.layers.len();
        for step in 0..SWEEPS * depth {
            let (rightward, at) = ((step / depth).is_multiple_of(2), step % depth);
            let layer = if rightward { at } else { depth - 1 - at };
            let heights = self.heights();
            let wanted = |item: usize| {
                let (mut sum, mut count) = (0.0, 0.0);
                for &(left, right) in &self.joins {
                    let (own, other) = if rightward { (right, left) } else { (left, right) };
                    if own == item {
                        sum += heights[other];
                        count += 1.0;
                    }
                }
                if count == 0.0 { heights[item] } else { sum / count }
            };
            let order = order::rising(self.layers[layer].iter().map(|item| wanted(*item)));
            self.layers[layer] = order::pick(std::mem::take(&mut self.layers[layer]), &order);
        }
    }

    fn layer_height(&self, layer: &[usize]) -> f64 {
        layer.iter().map(|item| self.height_of(*item)).sum()
    }

    fn height_of(&self, item: usize) -> f64 {
        if self.items[item] == Item::Pass { PASS } else { self.boxes.row() }
    }

    fn height(&self) -> f64 {
        self.layers.iter().map(|layer| self.layer_height(layer)).fold(0.0, f64::max)
    }

    /// The middle of each item, layers being centred.
    fn heights(&self) -> Vec<f64> {
        let whole = self.height();
        let mut heights = vec![0.0; self.items.len()];
        for layer in &self.layers {
            let mut y = MARGIN + (whole - self.layer_height(layer)) / 2.0;
            for item in layer {
                let height = self.height_of(*item);
                heights[*item] = y + height / 2.0;
                y += height;
            }
        }
        heights
    }

    /// The left end and middle of each item, and the size of all.
    fn places(&self) -> (Vec<(f64, f64)>, (f64, f64)) {
        let mut places: Vec<(f64, f64)> = self.heights().into_iter().map(|y| (MARGIN, y)).collect();
        for (layer, list) in self.layers.iter().enumerate() {
            for item in list {
                places[*item].0 = MARGIN + self.boxes.column * layer as f64;
            }
        }
        let width = self.boxes.column * self.layers.len().saturating_sub(1) as f64 + self.boxes.size.0;
        (places, (width + 2.0 * MARGIN, self.height() + 2.0 * MARGIN))
    }

    /// From the right of one to the left of another, by the layers that it passes; what leads back runs below.
    fn path(&self, from: &(f64, f64), to: &(f64, f64), bends: &[(f64, f64)]) -> String {
        let width = self.boxes.size.0;
        let (start, end) = ((from.0 + width, from.1), *to);
        let mut path = String::from("M");
        // Whole pixels do.
        path.push_str(&format!("{} {}C", start.0 as i64, start.1 as i64));
        let mut put = |points: &[(f64, f64)]| {
            points.iter().for_each(|(x, y)| path.push_str(&format!("{} {} ", *x as i64, *y as i64)))
        };
        if end.0 <= start.0 {
            let (reach, low) = (self.boxes.column / 4.0, start.1.max(end.1) + self.boxes.row() * 0.8);
            put(&[(start.0 + reach, low), (end.0 - reach, low), end]);
            return path;
        }
        let mut at = start;
        // Straight past what stands where it bends.
        for (to, past) in bends.iter().map(|bend| (*bend, width)).chain([(end, 0.0)]) {
            let middle = (at.0 + to.0) / 2.0;
            put(&[(middle, at.1), (middle, to.1), to]);
            at = (to.0 + past, to.1);
            if past > 0.0 {
                put(&[to, at, at]);
            }
        }
        path
    }
}

/// Who leads to one, and where it leads; itself is both. Everybody where there is no such one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    before: Vec<bool>,
    behind: Vec<bool>,
}

impl Around {
    /// Looks along the calls, there and back.
    pub fn new(map: &Map, name: &str) -> Around {
        let walk = |forward: bool| {
            let Some(focus) = map.nodes.iter().position(|node| node.name == name) else {
                return vec![true; map.nodes.len()];
            };
            let mut reached = vec![false; map.nodes.len()];
            let mut open = vec![focus];
            while let Some(at) = open.pop() {
                if std::mem::replace(&mut reached[at], true) {
                    continue;
                }
                for arrow in &map.arrows {
                    let (own, other) = if forward { (arrow.from, arrow.to) } else { (arrow.to, arrow.from) };
                    if own == at {
                        open.push(other);
                    }
                }
            }
            reached
        };
        Around { before: walk(false), behind: walk(true) }
    }

    /// Whether one is on a path through the focus.
    pub fn has(&self, node: usize) -> bool {
        self.before[node] || self.behind[node]
    }

    /// Whether a call is.
    pub fn has_call(&self, arrow: &Arrow) -> bool {
        let both = |side: &[bool]| side[arrow.from] && side[arrow.to];
        both(&self.before) || both(&self.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use query_api::service::Red;

    fn edge(client: &str, server: &str, connection: Connection) -> GraphEdge {
        let spans = matches!(connection, Connection::Direct).then(Red::default);
        GraphEdge {
            client: client.into(),
            server: server.into(),
            connection,
            call_count: 2,
            failed_count: 1,
            client_side: (client != "user").then(Red::default),
            server_side: spans,
        }
    }

    fn shop() -> Vec<GraphEdge> {
        vec![
            edge("gateway", "cart", Connection::Direct),
            edge("gateway", "order", Connection::Direct),
            edge("order", "cart", Connection::Direct),
            edge("cart", "redis/0", Connection::Database),
            edge("order", "mails", Connection::MessagingSystem),
            edge("user", "gateway", Connection::Direct),
            edge("cart", "gateway", Connection::Direct),
        ]
    }

    fn node<'a>(map: &'a Map, name: &str) -> &'a Node {
        map.nodes.iter().find(|node| node.name == name).unwrap()
    }

    #[test]
    fn m4_a_map_is_no_smaller_than_names_can_be_read_until_somebody_asks_for_all_of_it() {
        let mut scale = Scale::new(4_000.0);
        assert_eq!((scale.factor(), scale.is_scaled()), (1.0, false), "no room is known");
        scale.within(1_000.0);
        assert_eq!((scale.factor(), scale.is_scaled()), (READABLE, true));
        scale.within(3_600.0);
        assert_eq!(scale.factor(), 0.9, "so it is seen whole");
        scale.within(1_000.0);
        scale.fit();
        assert_eq!(scale.factor(), 0.25);
        scale.zoom(2.0);
        assert_eq!(scale.factor(), 0.5);
        scale.zoom(100.0);
        assert_eq!(scale.factor(), 1.0, "not larger than it is");
        scale.zoom(0.001);
        assert_eq!(scale.factor(), 0.25, "nor smaller than its room");
        scale.zoom(2.0);
        scale.fit();
        scale.within(2_000.0);
        assert_eq!(scale.factor(), 0.5);
        scale.within(9_000.0);
        assert_eq!((scale.factor(), scale.is_scaled()), (1.0, false));
    }

    #[test]
    fn names_break_behind_what_divides_them() {
        assert_eq!(breakable("postgresql/orders"), "postgresql/\u{200b}orders");
        assert_eq!(breakable("é-b"), "é-b");
    }

    #[test]
    fn callers_stand_before_those_they_call() {
        let map = lay(&shop(), ROOM);
        let x = |name: &str| node(&map, name).x;
        for (before, after) in [("outside", "gateway"), ("gateway", "order"), ("order", "cart"), ("cart", "redis/0")] {
            assert!(x(before) < x(after), "{before} {after}");
        }
        let kinds = ["outside", "gateway", "redis/0", "mails"].map(|name| node(&map, name).kind);
        assert_eq!(kinds, [Kind::Peer, Kind::Service, Kind::Database, Kind::Queue]);
        assert_eq!((node(&map, "cart").calls, node(&map, "cart").failed), (4, 2));
    }

    #[test]
    fn nothing_lies_on_anything_else_nor_outside() {
        let mut edges = shop();
        for number in 0..40 {
            edges.push(edge(&format!("a{}", number % 7), &format!("b{}", number % 11), Connection::Direct));
            edges.push(edge(&format!("b{}", number % 11), &format!("a{}", number % 5), Connection::Direct));
        }
        let map = lay(&edges, ROOM);
        for (at, one) in map.nodes.iter().enumerate() {
            let (width, height) = map.size;
            assert!(one.x >= 0.0 && one.x + width <= map.width && one.y >= 0.0 && one.y + height <= map.height);
            let apart = |other: &Node| (one.x - other.x).abs() >= width || (one.y - other.y).abs() >= height;
            assert!(map.nodes.iter().skip(at + 1).all(apart), "{}", one.name);
        }
        assert!(map.arrows.iter().all(|arrow| arrow.path.starts_with('M') && !arrow.path.contains("NaN")));
    }

    #[test]
    fn m4_boxes_are_as_wide_as_the_room_lets_them() {
        let chain = |layers: usize| -> Vec<GraphEdge> {
            (1..layers).map(|at| edge(&format!("s{}", at - 1), &format!("s{at}"), Connection::Direct)).collect()
        };
        let laid = |layers: usize, room: f64| lay(&chain(layers), room);
        assert_eq!((laid(2, ROOM).width, laid(2, ROOM).size), (COLUMN.1 + WIDE.0 + 2.0 * MARGIN, WIDE));
        for layers in 3..=10 {
            let map = laid(layers, ROOM);
            let seen = if layers <= 8 { ROOM } else { ROOM / READABLE };
            assert!(map.width <= seen && map.size.0 >= NARROW.0, "{layers}: {} {:?}", map.width, map.size);
        }
        assert_eq!((laid(6, ROOM).size, laid(8, ROOM).size), (WIDE, NARROWER));
        let deep = laid(20, ROOM);
        assert_eq!((deep.size, deep.width > ROOM), (NARROW, true));
        assert_eq!(laid(8, 1_868.0).size, WIDE, "a larger window has room for more");
    }

    #[test]
    fn a_focus_has_all_paths_through_it() {
        let map = lay(&shop()[..6], ROOM);
        let near = |name: &str| {
            let around = Around::new(&map, name);
            let nodes = map.nodes.iter().enumerate().filter(|(at, _)| around.has(*at));
            let mut names: Vec<String> = nodes.map(|(_, node)| node.name.clone()).collect();
            names.sort();
            names
        };
        let around = Around::new(&map, "order");
        let calls = map.arrows.iter().filter(|arrow| around.has_call(arrow));
        let calls: Vec<String> =
            calls.map(|arrow| format!("{}>{}", map.nodes[arrow.from].name, map.nodes[arrow.to].name)).collect();
        assert_eq!(calls, ["gateway>order", "order>cart", "cart>redis/0", "order>mails", "outside>gateway"]);
        assert_eq!(near("order"), ["cart", "gateway", "mails", "order", "outside", "redis/0"]);
        assert_eq!(near("mails"), ["gateway", "mails", "order", "outside"]);
        assert_eq!(near("nobody").len(), map.nodes.len());
        assert_eq!(lay(&[], ROOM).nodes, []);
    }
}
