//! Which colour has a service? One of twelve, by a hash of its name: the same on every page, in every session.
//!
//! H1  The colour depends on the name only. The hues themselves are `--svc-0` … `--svc-11` in `style/tokens.css`.

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

#[cfg(test)]
mod tests {
    use super::*;

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
