//! What is a block? One tenant, one signal, one window; written once, read many.

mod id;

pub use id::{BlockId, Window};
