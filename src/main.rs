//! Which command runs? The thin binary: arguments, settings, one call into a room, an exit code.
//!
//! Not here: what a command does (`serve`, `load`, `inspect`), which settings there are (`config`).

mod assets;
mod command;
mod config;
mod demo;
mod serve;
mod telemetry;

use clap::Parser;
use command::{Cli, Command};
use std::process::ExitCode;

// The default allocator keeps freed memory of bursts; ingest is bursts.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages: what it frees and takes again is then zeroed two megabytes at a time, which
    // cost a fifth of ingest's CPU and a third of its memory. Where the kernel refuses, it only costs that.
    rustix::thread::disable_transparent_huge_pages(true).ok();
    // Where that is refused, the limit is as it was.
    storage::fs::Disk::allow_open_files().ok();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(arguments) => serve::run(config::load(&arguments)?, None),
        Command::Demo(arguments) => serve::run(config::load(&arguments.serve)?, Some(arguments.demo())),
        Command::Load(arguments) => workload::command::run(&arguments).map_err(anyhow::Error::from_boxed),
        Command::Inspect(arguments) => command::inspect::run(&arguments),
        Command::DeadLetters(arguments) => {
            query::command::dead_letters::run(&arguments).map_err(anyhow::Error::from_boxed)
        }
        Command::CheckConfig(arguments) => {
            config::load(&arguments)?;
            eprintln!("the settings are valid");
            Ok(ExitCode::SUCCESS)
        }
    }
}
