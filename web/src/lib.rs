//! What does a person see? Spanlight's user interface: Leptos in the browser, over `query-api` and HTTP only.
//!
//! I1  The URL is the state: what is shown can be shared, reloaded and gone back to.
//! I2  `state` is pure and tested natively; only `client`, `component` and `page` know the browser.
//! I3  Data from outside becomes text nodes and attribute values, never markup.
//!
//! Not here: anything that the HTTP API does not say. Design: `web/DESIGN.md`.

pub mod state;

#[cfg(target_arch = "wasm32")]
mod client;
#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(target_arch = "wasm32")]
mod page;

#[cfg(target_arch = "wasm32")]
pub use page::start;
