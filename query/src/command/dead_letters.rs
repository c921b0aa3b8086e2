//! Which messages could not be read, what is in them, and can they be stored after all? `spanlight dead-letters`.
//!
//! Texts from outside are printed without control characters; bytes are written as they are only where they are asked for.

use super::client::{Client, Result, encoded};
use axum::http::Method;
use clap::{Args, Subcommand};
use query_api::letter::{DeadLetter, DeadLettersResponse, Replayed, TENANT};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with them, and where.
#[derive(Debug, Args)]
pub struct DeadLettersArguments {
    /// Where the server's HTTP API is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7726", global = true)]
    server: String,
    /// The tenant that has the letters.
    #[arg(long, value_name = "TENANT", default_value = TENANT, global = true)]
    tenant: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List letters, newest first.
    List(List),
    /// Write the message of a letter, byte for byte.
    Download {
        /// The letter.
        id: String,
        /// Into a file, which must not be there; to the terminal or pipe unless given.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Read letters again and store their records. A letter is replayed once.
    Replay(ReplayArguments),
}

#[derive(Debug, Args)]
struct List {
    /// Of one topic.
    #[arg(long)]
    topic: Option<String>,
    /// First moment at which they were kept: `now-1h`, `2026-11-27T08:00:00Z`; all of time unless given.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// First moment after; now unless given.
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Letters at most; up to 1000.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Print the answer of the server, which is JSON.
    #[arg(long)]
    json: bool,
    /// Print nothing but the ids of those that can be replayed, for `xargs spanlight dead-letters replay`.
    #[arg(long, conflicts_with = "json")]
    ids: bool,
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// The letters.
    #[arg(required = true)]
    ids: Vec<String>,
    /// What they hold: `spans`, `logs` or `metrics`; what their topics do, unless given.
    #[arg(long)]
    signal: Option<String>,
    /// How they are written, such as `jaeger_proto`; as their topics were said to be, unless given.
    #[arg(long)]
    encoding: Option<String>,
    /// Whose their records are; those of whom they named or of their topics, unless given.
    #[arg(long, value_name = "TENANT")]
    into: Option<String>,
}

/// Does it. Fails where a letter could not be replayed.
pub fn run(arguments: &DeadLettersArguments) -> Result<ExitCode> {
    match act(arguments) {
        // Who reads along has seen enough.
        Err(error) if is_closed_pipe(&*error) => Ok(ExitCode::SUCCESS),
        done => done,
    }
}

fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn act(arguments: &DeadLettersArguments) -> Result<ExitCode> {
    let client = Client::new(&arguments.server, &arguments.tenant)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let out = &mut std::io::stdout().lock();
    runtime.block_on(async {
        match &arguments.action {
            Action::List(list) => print_list(&client, list, out).await.map(|()| ExitCode::SUCCESS),
            Action::Download { id, output } => download(&client, id, output.as_ref(), out).await,
            Action::Replay(replay) => replay_all(&client, replay, out).await,
        }
    })
}

async fn print_list(client: &Client, list: &List, out: &mut dyn Write) -> Result<()> {
    let mut path = format!("/dead-letters?limit={}", list.limit);
    add(&mut path, [("topic", &list.topic), ("start", &list.start), ("end", &list.end)]);
    if list.json {
        out.write_all(&client.whole(Method::GET, &path).await?)?;
        return Ok(writeln!(out)?);
    }
    let answer: DeadLettersResponse = client.json(Method::GET, &path).await?;
    if list.ids {
        for letter in answer.letters.iter().filter(|letter| !letter.partial && !letter.replayed) {
            writeln!(out, "{}", letter.id)?;
        }
    } else {
        out.write_all(table(&answer.letters).as_bytes())?;
    }
    if answer.truncated {
        eprintln!("there are older ones; `--limit` and `--end` show them");
    }
    if answer.stats.partial {
        eprintln!("blocks are damaged: some letters may be missing");
    }
    Ok(())
}

/// One line each, in columns.
fn table(letters: &[DeadLetter]) -> String {
    let heads = ["KEPT", "STATE", "BYTES", "TENANT", "ID", "REASON"].map(str::to_owned);
    let row = |letter: &DeadLetter| {
        let state = match letter {
            DeadLetter { replayed: true, .. } => "replayed",
            DeadLetter { partial: true, .. } => "stored in part",
            _ => "not stored",
        };
        let kept = jiff::Timestamp::from_nanosecond(letter.time_unix_nano.into());
        let kept = kept.map_or_else(|_| "?".into(), |kept| format!("{kept:.3}"));
        let size = letter.size.filter(|_| letter.end.is_none()).map_or_else(|| "?".into(), |size| size.to_string());
        [kept, state.into(), size, plain(&letter.tenant), plain(&letter.id), plain(&letter.reason)]
    };
    let rows: Vec<[String; 6]> = std::iter::once(heads).chain(letters.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [kept, state, size, tenant, id] = [0, 1, 2, 3, 4].map(width);
    rows.iter().fold(String::new(), |mut text, [a, b, c, d, e, f]| {
        // Writing to a String does not fail.
        writeln!(text, "{a:kept$}  {b:state$}  {c:>size$}  {d:tenant$}  {e:id$}  {f}").ok();
        text
    })
}

/// A text that cannot move the cursor.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

async fn download(client: &Client, id: &str, output: Option<&PathBuf>, out: &mut dyn Write) -> Result<ExitCode> {
    let path = format!("/dead-letters/{}", encoded(id));
    match output {
        None => client.copy(&path, out).await?,
        Some(file) => {
            let new = File::create_new(file).map_err(|error| format!("{}: {error}", file.display()));
            let mut new = new?;
            if let Err(error) = client.copy(&path, &mut new).await {
                // Half a message is none.
                std::fs::remove_file(file).ok();
                return Err(error);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay_all(client: &Client, replay: &ReplayArguments, out: &mut dyn Write) -> Result<ExitCode> {
    let mut failed = 0;
    for id in &replay.ids {
        let mut path = format!("/dead-letters/{}/replay?", encoded(id));
        add(&mut path, [("signal", &replay.signal), ("encoding", &replay.encoding), ("tenant", &replay.into)]);
        match client.json::<Replayed>(Method::POST, path.trim_end_matches('?')).await {
            Ok(Replayed { accepted, rejected: 0, .. }) => writeln!(out, "{}: {accepted} records stored", plain(id))?,
            Ok(Replayed { accepted, rejected, message }) => {
                let why = plain(&message.unwrap_or_default());
                writeln!(out, "{}: {accepted} records stored, {rejected} left out: {why}", plain(id))?;
            }
            Err(error) => {
                failed += 1;
                eprintln!("{}: {}", plain(id), plain(&error.to_string()));
            }
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds the parameters that are given.
fn add<const N: usize>(path: &mut String, parameters: [(&str, &Option<String>); N]) {
    for (name, value) in parameters {
        if let Some(value) = value {
            let mark = if path.ends_with('?') { "" } else { "&" };
            // Writing to a String does not fail.
            write!(path, "{mark}{name}={}", encoded(value)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_line_and_moves_no_cursor() {
        let letter = DeadLetter {
            id: "1700000000123000000-0-7-lines".into(),
            time_unix_nano: 1_700_000_000_123_000_000,
            reason: "no \u{1b}[2J UTF-8\n".into(),
            tenant: "shop".into(),
            size: Some(12_345),
            ..DeadLetter::default()
        };
        let other = DeadLetter { id: "2-0-7-a".into(), replayed: true, size: None, ..letter.clone() };
        let text = table(&[letter, other]);
        assert!(!text.contains('\u{1b}'), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let at = |line: &str, word: &str| line.split(word).next().unwrap().chars().count();
        assert_eq!(at(lines[0], "REASON"), at(lines[1], "no \u{fffd}"));
        assert!(lines[1].starts_with("2023-11-14T22:13:20.123Z  not stored  12345  shop"), "{text}");
        assert!(lines[2].contains("replayed        ?"), "{text}");
    }
}
