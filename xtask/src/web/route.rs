//! Which toolchain compiles the UI for wasm on this machine?
//!
//! Route `rustup`: the Rust that is in use has the target's standard library, or rustup can add it. Route `debian`: the
//! packages rustc-web, cargo-web, rust-web-src and lld-19, whose standard library is compiled along with the UI.
//! `SPANLIGHT_WASM_ROUTE=rustup|debian` forces one.
//!
//! Builds go to a folder of their own, `web` in the target folder, so that their flags never disturb the native cache.

use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";

/// What a person reads when no route works.
pub(super) const MISSING: &str = "\
xtask: no Rust toolchain for wasm32-unknown-unknown here, so the web UI is not built. Either of these brings one:
         rustup target add wasm32-unknown-unknown
         apt-get install rustc-web cargo-web rust-web-src lld-19      (as root; Debian 12 or later)";

/// A way to compile for wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The Rust in use has the target.
    Rustup,
    /// Debian's packages for the web.
    Debian,
}

/// The first route that works, or the forced one if it does.
pub(super) fn choose() -> Result<Option<Route>> {
    let forced = match std::env::var("SPANLIGHT_WASM_ROUTE").as_deref() {
        Ok("rustup") => Some(Route::Rustup),
        Ok("debian") => Some(Route::Debian),
        Ok("") | Err(_) => None,
        Ok(other) => bail!("SPANLIGHT_WASM_ROUTE is `{other}`; it may be rustup or debian"),
    };
    let candidates = forced.map_or_else(|| vec![Route::Rustup, Route::Debian], |route| vec![route]);
    Ok(candidates.into_iter().find(|route| route.works()))
}

impl Route {
    fn works(self) -> bool {
        match self {
            Route::Rustup => has_target() || (add_target() && has_target()),
            Route::Debian => {
                let sources = sysroot("/usr/bin/rustc").map(|root| root.join("lib/rustlib/src/rust/library/std"));
                Path::new("/usr/bin/cargo").is_file() && sources.is_some_and(|path| path.is_dir()) && runs("wasm-ld-19")
            }
        }
    }

    /// Compiles `web` and returns the path of the wasm file.
    #[cfg(feature = "web")]
    pub(super) fn compile(self, repo: &crate::repo::Repo) -> Result<std::path::PathBuf> {
        let target = repo.target.join("web");
        let mut command = self.cargo();
        command.args(["build", "--package", "web", "--target", TARGET, "--profile", "web"]);
        command.args(crate::repo::locked()).current_dir(&repo.root).env("CARGO_TARGET_DIR", &target);
        eprintln!("web: {command:?}");
        let status = command.status()?;
        anyhow::ensure!(status.success(), "the UI did not compile for {TARGET}");
        let wasm = target.join(TARGET).join("web/web.wasm");
        anyhow::ensure!(wasm.is_file(), "cargo built no {}", wasm.display());
        Ok(wasm)
    }

    /// A cargo for this route, free of what the cargo that runs us has set for its children.
    #[cfg(feature = "web")]
    fn cargo(self) -> Command {
        let mut command = match self {
            Route::Rustup => crate::repo::cargo(),
            Route::Debian => {
                let mut command = Command::new("/usr/bin/cargo");
                command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19");
                command.arg("-Zbuild-std=std,panic_abort");
                for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTUP_HOME", "LD_LIBRARY_PATH", "RUSTDOC"] {
                    command.env_remove(name);
                }
                command
            }
        };
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
            command.env_remove(name);
        }
        command
    }
}

/// Does the rustc in use have the target's standard library?
fn has_target() -> bool {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    sysroot(&rustc).is_some_and(|root| root.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

fn add_target() -> bool {
    runs("rustup") && {
        eprintln!("web: rustup target add {TARGET}");
        let status = Command::new("rustup").args(["target", "add", TARGET]).stdin(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

fn sysroot(rustc: &str) -> Option<std::path::PathBuf> {
    let mut command = Command::new(rustc);
    if rustc.starts_with('/') {
        command.env_remove("LD_LIBRARY_PATH");
    }
    let output = command.args(["--print", "sysroot"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().into())
}

fn runs(program: &str) -> bool {
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
