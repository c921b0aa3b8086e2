//! How do bytes from outside become acknowledged batches?

pub mod decode;
