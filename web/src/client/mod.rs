//! How does the interface ask the server?

pub(crate) mod fetch;
pub(crate) mod load;
pub(crate) mod paged;
