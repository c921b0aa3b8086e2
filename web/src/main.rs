//! Starts the user interface.
fn main(){}
