//! Which arguments does each command take?

pub(crate) mod inspect;

use crate::config::Config;
use crate::demo::REQUESTS_PER_SECOND;
use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use workload::demo::DemoConfig;

/// Observability and tracing backend: OTLP in, columnar storage, answers and a UI out.
#[derive(Debug, Parser)]
#[command(name = "spanlight", version, about, args_override_self = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all roles in one process: OTLP doors, storage, HTTP API and UI.
    Serve(ServeArguments),
    /// Serve, and send the demo workload to itself.
    Demo(DemoArguments),
    /// Send the demo workload to any OTLP endpoint and measure the acknowledgements.
    Load(workload::command::LoadArguments),
    /// Say what a data directory holds, and check its checksums.
    Inspect(inspect::InspectArguments),
    /// List, download and replay messages of Kafka that could not be read, by the API of a running server.
    DeadLetters(query::command::dead_letters::DeadLettersArguments),
    /// Read the settings as `serve` would, and say what is wrong with them.
    CheckConfig(ServeArguments),
}

/// Settings that have a flag. Each wins over its variable and its key in the file.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct ServeArguments {
    /// TOML file with settings; `spanlight.toml` in the repository shows them all.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is stored.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address of the HTTP API and the UI; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    http_addr: Option<SocketAddr>,
    /// Address of the OTLP/gRPC door.
    #[arg(long, value_name = "ADDR")]
    otlp_grpc_addr: Option<SocketAddr>,
    /// Address of the OTLP/HTTP door.
    #[arg(long, value_name = "ADDR")]
    otlp_http_addr: Option<SocketAddr>,
}

impl ServeArguments {
    /// Puts the flags that were given over the settings.
    pub(crate) fn apply(&self, config: &mut Config) {
        if let Some(dir) = &self.data_dir {
            config.data_dir.clone_from(dir);
        }
        let addresses = [
            (self.http_addr, &mut config.http.addr),
            (self.otlp_grpc_addr, &mut config.otlp.grpc_addr),
            (self.otlp_http_addr, &mut config.otlp.http_addr),
        ];
        for (flag, setting) in addresses {
            if let Some(address) = flag {
                *setting = address;
            }
        }
    }
}

/// Arguments of the demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArguments {
    #[command(flatten)]
    pub(crate) serve: ServeArguments,
    /// Same seed, same shop.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests per second that the shop's customers send.
    #[arg(long, default_value_t = REQUESTS_PER_SECOND, value_name = "N")]
    rate: f64,
}

impl DemoArguments {
    pub(crate) fn demo(&self) -> DemoConfig {
        DemoConfig { seed: self.seed, requests_per_second: self.rate, ..DemoConfig::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flag_that_is_given_twice_the_last_counts() {
        let cli = Cli::try_parse_from(["spanlight", "serve", "--data-dir", "a", "--data-dir", "b"]).unwrap();
        let Command::Serve(arguments) = cli.command else { panic!("not serve") };
        assert_eq!(arguments.data_dir, Some(PathBuf::from("b")));
    }
}
