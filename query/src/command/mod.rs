//! How does a person at a terminal ask what the API answers? Commands that are clients of a server's own API.
//!
//! Not here: commands that need no server, and those that start one (the binary).

mod client;
pub mod dead_letters;
