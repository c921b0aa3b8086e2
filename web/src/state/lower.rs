//! How is text compared without regard to case? In lower case, as the machine that runs us has it.
//!
//! Not here: text that is shown as it came.

/// The text in lower case. In the browser its own tables serve, which saves ours: 6 KB of the bundle.
pub fn lower(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { other(text) }
}

#[cfg(target_arch = "wasm32")]
fn other(text: &str) -> String {
    js_sys::JsString::from(text).to_lower_case().into()
}

#[cfg(not(target_arch = "wasm32"))]
fn other(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_every_script_become_small() {
        assert_eq!(lower("GET /Cart?ID=7"), "get /cart?id=7");
        assert_eq!(lower("ÄRGER ΟΔΟΣ"), "ärger οδος");
    }
}
