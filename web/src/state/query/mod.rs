//! What does a typed query consist of, what could come next, and where is it wrong? For the two languages that a person types.
//!
//! Not here: whether a query is right, which the server says (`fault` reads where); how it is drawn (`component::editor`).

pub mod complete;
pub mod fault;
pub mod token;
mod word;

pub use token::Language;
