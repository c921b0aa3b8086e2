//! What is inside one trace, and what of it is on the screen?

pub mod calls;
pub mod closed;
pub mod critical;
pub mod flaws;
pub mod indent;
pub mod mini;
pub mod pages;
pub mod said;
#[cfg(test)]
mod sample;
pub mod statistics;
pub mod tree;
pub mod window;
