//! Starts the user interface; natively, where there is no page to draw on, it does nothing.

#[cfg(target_arch = "wasm32")]
fn main() {
    web::start();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
