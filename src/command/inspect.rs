//! What does a data directory hold? `spanlight inspect`.

use crate::command::ServeArguments;
use crate::config;
use anyhow::Result;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use storage::fs::{Disk, Filesystem, SystemClock};
use storage::inspect::{Depth, inspect_with};

/// Where, how deep, and for whom.
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// The data directory.
    #[arg(value_name = "DIR")]
    data_dir: PathBuf,
    /// TOML file with the settings of the server; where they name a bucket, it is looked at too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Read every byte and check every checksum.
    #[arg(long)]
    verify: bool,
    /// Take damaged blocks and segments of the write-ahead log out of the store, into its folder `damaged`, and keep what can
    /// be read of them. No server may run.
    #[arg(long, conflicts_with = "json")]
    repair: bool,
}

/// Prints what was found. Fails where something is damaged.
pub(crate) fn run(arguments: &InspectArguments) -> Result<ExitCode> {
    let depth = if arguments.verify { Depth::Everything } else { Depth::Metadata };
    let fs: Arc<dyn Filesystem> = Arc::new(Disk);
    if arguments.repair {
        let repairs = storage::repair::repair(&fs, &SystemClock::default(), &arguments.data_dir)?;
        write!(std::io::stdout().lock(), "{repairs}")?;
    }
    let settings = config::load(&ServeArguments { config: arguments.config.clone(), ..ServeArguments::default() })?;
    let clock = Arc::new(SystemClock::default());
    let found = inspect_with(&fs, clock, &arguments.data_dir, &settings.object_store, depth)?;
    let text = if arguments.json { format!("{}\n", found.to_json(depth)) } else { found.to_text(depth) };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    let is_sound = found.damage.is_empty() && found.unread.is_empty() && !(arguments.verify && found.blocks_elsewhere);
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
