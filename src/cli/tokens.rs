//! `dsnd tokens create|list|revoke`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use super::{block_on, open_store, output, person};
use crate::config::Config;
use crate::http::secret;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{NewToken, StoreError, Token, TokenScope, Tokens as _};
use crate::when;

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Make a token, and print its secret: once, since only a hash of it is kept.
    Create(Create),
    /// List the tokens, also those that were revoked or have run out.
    List(List),
    /// Revoke a token: within a second nobody gets in with it.
    ///
    /// Exit status 0, or 1 where there is none of that name. The API needs tokens all the same from then on: it does not
    /// open up with the last one.
    Revoke(Revoke),
}

/// `create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is called: in the list, and in the history of what is done with it.
    #[arg(long, value_parser = name)]
    name: String,
    /// What it allows.
    #[arg(long, value_enum)]
    scope: Scope,
    /// Until when it holds: how long from now (12h, 90d), a date, or a time. Without it: for ever.
    #[arg(long, value_name = "WHEN", value_parser = when::later)]
    expires: Option<Timestamp>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// One JSON object a token.
    #[arg(long)]
    json: bool,
}

/// `revoke`.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The token's name.
    name: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What a token allows, on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Asking: every GET, checks, explanations
    Read,
    /// Asking and changing
    Write,
}

/// A new token, with its secret.
#[derive(Debug, Serialize)]
struct Created<'a> {
    name: &'a str,
    scope: TokenScope,
    expires_at: Option<Timestamp>,
    secret: &'a str,
}

/// A name: one that is easily typed and tells nobody's terminal anything.
fn name(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if (1..=64).contains(&text.len()) && text.chars().all(fine) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 64 letters, digits, \"-\", \"_\", \".\" and \"@\"".to_owned())
    }
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &Tokens) -> anyhow::Result<ExitCode> {
    let config = &Config::load(config)?;
    block_on(async {
        match verb {
            Tokens::Create(arguments) => create(config, arguments).await,
            Tokens::List(arguments) => list(config, arguments).await,
            Tokens::Revoke(arguments) => revoke(config, arguments).await,
        }
    })
}

/// The store to make a token in: a daemon that may not start without one has perhaps never started.
async fn open_or_create(config: &Config) -> anyhow::Result<SqliteStore> {
    match open_store(config, Access::Write).await {
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::Missing(_))) => {
            open_store(config, Access::Serve).await
        }
        opened => opened,
    }
}

async fn create(config: &Config, arguments: &Create) -> anyhow::Result<ExitCode> {
    let secret = secret::generate().context("the system has no randomness")?;
    let scope = match arguments.scope {
        Scope::Read => TokenScope::Read,
        Scope::Write => TokenScope::Write,
    };
    let (name, expires_at) = (&arguments.name, arguments.expires);
    let store = open_or_create(config).await?;
    let token = NewToken {
        name: name.clone(),
        scope,
        hash: secret::hash(&secret),
        created_at: Timestamp::now(),
        created_by: person::person(),
        expires_at,
    };
    let added = store.add_token(token).await;
    store.close().await;
    anyhow::ensure!(
        added?,
        "there is a token named {name} already; give this one another name, or `dsnd tokens revoke {name}` first"
    );
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &Created { name, scope, expires_at, secret: &secret })?;
    } else {
        writeln!(out, "{secret}")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

async fn list(config: &Config, arguments: &List) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let tokens = store.tokens().await;
    store.close().await;
    let (tokens, now) = (tokens?, Timestamp::now());
    let mut out = output::stdout();
    if arguments.json {
        for token in &tokens {
            output::json_line(&mut out, token)?;
        }
    } else {
        let cells = |token: &Token| {
            let time =
                |at: Option<Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
            vec![
                token.name.clone(),
                token.scope.as_str().to_owned(),
                state(token, now).to_owned(),
                token.created_at.to_string(),
                token.created_by.clone(),
                time(token.expires_at, "never"),
                time(token.last_used, "never"),
            ]
        };
        let headings = ["name", "scope", "state", "created", "by", "expires", "last used"];
        output::rows(&mut out, &headings, tokens.iter().map(cells).collect(), true)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn state(token: &Token, now: Timestamp) -> &'static str {
    match (token.revoked_at, token.holds(now)) {
        (Some(_), _) => "revoked",
        (None, true) => "valid",
        (None, false) => "expired",
    }
}

async fn revoke(config: &Config, arguments: &Revoke) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Write).await?;
    let revoked = store.revoke_token(arguments.name.clone(), Timestamp::now(), person::person()).await;
    store.close().await;
    let word = if revoked? { "revoked" } else { "there is none of that name" };
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &serde_json::json!({ "name": arguments.name, "change": word }))?;
    } else {
        writeln!(out, "{}: {word}", output::clean(&arguments.name))?;
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(word != "revoked")))
}
