//! What is inside one trace, and what of it is on the screen?

pub mod critical;
pub mod statistics;
pub mod tree;
pub mod window;
