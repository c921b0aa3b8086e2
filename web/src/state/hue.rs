//! Which colour has a service? One of twelve, by a hash of its name: the same on every page, in every session.
//!
//! H1  The colour depends on the name only. The hues themselves are `--svc-0` … `--svc-11` in `style/tokens.css`.
//! H2  In one chart no two lines look the same, up to `LOOKS`: those whose hues are near each other are drawn in another way.

/// How many hues there are.
pub const HUES: u32 = 12;

/// FNV-1a's offset basis, moved on until the services of the demo shop all differ.
const BASIS: u32 = 0x811c_9e34;

/// The hue of a name: FNV-1a, folded.
pub fn of(name: &str) -> u32 {
    let mut hash = BASIS;
    for byte in name.bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    // The low bits of FNV are the weakest; mix before taking the rest.
    hash ^= hash >> 15;
    hash = hash.wrapping_mul(0x2c1b_3c6d);
    hash ^= hash >> 12;
    hash % HUES
}

/// The CSS value of a name's colour.
pub fn css(name: &str) -> String {
    format!("var(--svc-{})", of(name))
}

/// Where each hue stands on the ring of hues, from orange to pink: those that are neighbours there look alike.
const RING: [u32; HUES as usize] = [8, 0, 4, 11, 6, 2, 9, 1, 3, 10, 7, 5];
/// Ways to draw a line: whole, dashed, dotted.
pub const STROKES: u32 = 3;
/// Lines that can be told apart.
pub const LOOKS: usize = (HUES * STROKES) as usize;

/// How each line is drawn, given the hues: in the first way in which no line before it has the same hue or one near it, else in
/// the first in which none has the same.
pub fn strokes(hues: &[u32]) -> Vec<u32> {
    let mut drawn: Vec<(u32, u32)> = Vec::with_capacity(hues.len());
    for hue in hues {
        let place = |hue: u32| RING.get(hue as usize).copied().unwrap_or(0);
        let free = |stroke: u32, apart: u32| {
            drawn.iter().all(|(other, own)| *own != stroke || place(*other).abs_diff(place(*hue)) >= apart)
        };
        let stroke = (0..STROKES).find(|stroke| free(*stroke, 2)).or((0..STROKES).find(|stroke| free(*stroke, 1)));
        drawn.push((*hue, stroke.unwrap_or(0)));
    }
    drawn.into_iter().map(|(_, stroke)| stroke).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_lines_of_one_chart_differ_in_hue_or_in_how_they_are_drawn() {
        let hues: Vec<u32> = (0..LOOKS as u32).map(|line| line % HUES).collect();
        let looks: std::collections::HashSet<(u32, u32)> = hues.iter().copied().zip(strokes(&hues)).collect();
        assert_eq!(looks.len(), LOOKS);
        assert_eq!(strokes(&hues[..6]), [0; 6], "the first hues are far from each other");
        // Two greens, the second beside the first; and one hue three times.
        assert_eq!(strokes(&[2, 8]), [0, 1]);
        assert_eq!(strokes(&[4, 4, 4]), [0, 1, 2]);
    }

    #[test]
    fn a_name_always_has_the_same_hue() {
        assert_eq!(of("payment"), of("payment"));
        assert_eq!(css("payment"), format!("var(--svc-{})", of("payment")));
    }

    #[test]
    fn the_services_of_the_demo_shop_all_differ() {
        let names = "gateway order cart inventory payment user search recommend shipping notification";
        let hues: std::collections::HashSet<u32> = names.split(' ').map(of).collect();
        assert_eq!(hues.len(), 10);
    }

    #[test]
    fn hues_are_spread_evenly() {
        let mut seen = [0u32; HUES as usize];
        for i in 0..12_000 {
            seen[of(&format!("service-{i}")) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (800..1_200).contains(n)), "{seen:?}");
    }
}
