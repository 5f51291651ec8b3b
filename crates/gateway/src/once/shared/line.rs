//! A connection to the database: dialled by the one dialer, with the statements that are put to it.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Statement};
use tokio_util::sync::CancellationToken;

use super::sql;
use crate::config::{Postgres, Secured};
use crate::upstream;

/// The tables, as they are made where there are none.
const SCHEMA: &str = include_str!("schema.sql");
/// Which tables these are.
const VERSION: i32 = 1;
/// How long connecting may take, and how long an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What a client of PostgreSQL asks first, and the server's yes.
const TLS: (&[u8], u8) = (&[0, 0, 0, 8, 4, 210, 22, 47], b'S');
/// How every session begins: what waits does not wait long, and what is said to be written is written.
const MANNERS: &str = "set statement_timeout = '3s'; set lock_timeout = '2s'; set idle_in_transaction_session_timeout = '5s'; \
    set default_transaction_isolation = 'read committed'; \
    select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'";
/// One gateway at a time makes the tables.
const TURN: &str = "select pg_advisory_xact_lock(1113682516)";

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It is not there now, and may be again.
    #[error("{0}")]
    Gone(String),
    /// Somebody has to do something.
    #[error("{0}")]
    Wrong(String),
}

/// A connection. After an error that is not an answer it is over.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) over: CancellationToken,
    pub(super) claim: Statement,
    pub(super) look: Statement,
    pub(super) leave: Statement,
    pub(super) end: Statement,
    pub(super) release: Statement,
    pub(super) beat: Statement,
    pub(super) orphans: Statement,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Line {
    /// Connects, and finds the tables as they should be, or makes them.
    pub(super) async fn open(postgres: &Postgres) -> Result<Self, Broken> {
        let opened = tokio::time::timeout(PATIENCE, Self::begin(postgres)).await;
        opened.unwrap_or_else(|_| Err(Broken::Gone(format!("no answer within {} s", PATIENCE.as_secs()))))
    }

    async fn begin(postgres: &Postgres) -> Result<Self, Broken> {
        let (host, port) = (postgres.host.as_str(), postgres.port);
        let stream = match postgres.line {
            Secured::Tls => upstream::line_after(host, port, TLS).await,
            Secured::Plain => match upstream::Way::plain(host, port) {
                Ok(way) => way.open().await,
                Err(error) => Err(error),
            },
        };
        let stream = stream.map_err(|error| undialled(&error))?;
        let mut settings = tokio_postgres::Config::new();
        settings.user(&postgres.username).dbname(&postgres.database).application_name("bartizan");
        // The dialer has seen to TLS.
        settings.ssl_mode(tokio_postgres::config::SslMode::Disable);
        if let Some(password) = &postgres.password {
            settings.password(password.expose());
        }
        let (client, connection) = settings.connect_raw(stream, NoTls).await.map_err(|error| broken(&error))?;
        let over = CancellationToken::new();
        let (ended, told) = (over.clone(), over.clone().drop_guard());
        tokio::spawn(async move {
            tokio::select! {
                // Why it ended is told by the questions that got no answer.
                _ = connection => {}
                () = ended.cancelled() => {}
            }
            drop(told);
        });
        client.batch_execute(MANNERS).await.map_err(|error| broken(&error))?;
        settle(&client).await?;
        Self::prepared(client, over).await.map_err(|error| broken(&error))
    }

    async fn prepared(client: Client, over: CancellationToken) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            claim: client.prepare(&sql::claim()).await?,
            look: client.prepare(&sql::look()).await?,
            leave: client.prepare(sql::LEAVE).await?,
            end: client.prepare(sql::END).await?,
            release: client.prepare(sql::RELEASE).await?,
            beat: client.prepare(sql::BEAT).await?,
            orphans: client.prepare(sql::ORPHANS).await?,
            client,
            over,
        })
    }

    /// An answer, or why there is none.
    pub(super) async fn ask<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, String> {
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                // A statement that took too long says nothing of the rest.
                let slow = error.code() == Some(&SqlState::QUERY_CANCELED);
                if !slow && (error.as_db_error().is_none() || passes(&error)) {
                    self.over.cancel();
                }
                Err(words(&error))
            }
            // Whether the connection is good for anything is found out by the next sign of life: one slow statement is
            // no reason to cut it for everybody.
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// Finds the tables as they should be, or makes them.
async fn settle(client: &Client) -> Result<(), Broken> {
    let missing = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
    match version(client).await {
        Err(error) if error.code().is_some_and(|code| missing.contains(code)) => {
            if let Err(error) = client.batch_execute(&format!("{TURN};\n{SCHEMA}")).await {
                return Err(match error.code() {
                    Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Broken::Wrong(format!(
                        "there are no tables, and they may not be made ({}). Have somebody run this:\n\n{SCHEMA}",
                        words(&error)
                    )),
                    _ => broken(&error),
                });
            }
        }
        found => return judged(found),
    }
    judged(version(client).await)
}

async fn version(client: &Client) -> Result<Option<i32>, tokio_postgres::Error> {
    let row = client.query_opt("select version from bartizan.version", &[]).await?;
    row.map(|row| row.try_get(0)).transpose()
}

fn judged(found: Result<Option<i32>, tokio_postgres::Error>) -> Result<(), Broken> {
    match found.map_err(|error| broken(&error))? {
        Some(VERSION) => Ok(()),
        found => {
            let found = found.map_or_else(|| "none".to_owned(), |version| version.to_string());
            Err(Broken::Wrong(format!(
                "the tables have version {found}, and this gateway knows version {VERSION}: gateways over one database are of one release"
            )))
        }
    }
}

fn undialled(error: &io::Error) -> Broken {
    use io::ErrorKind::{InvalidData, InvalidInput, Unsupported};
    let words = error.to_string();
    match error.kind() {
        Unsupported => Broken::Wrong(format!("{words}; `?sslmode=disable` does without, on this machine only")),
        InvalidData | InvalidInput => Broken::Wrong(format!("TLS with it: {words}")),
        _ => Broken::Gone(words),
    }
}

fn broken(error: &tokio_postgres::Error) -> Broken {
    match error.as_db_error() {
        Some(_) if !passes(error) => Broken::Wrong(words(error)),
        Some(_) => Broken::Gone(words(error)),
        None => {
            let io = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>);
            if io || error.is_closed() { Broken::Gone(words(error)) } else { Broken::Wrong(words(error)) }
        }
    }
}

/// Whether what the server says is about its own state, and passes: it starts, ends, is full, or only reads.
fn passes(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| ["08", "25", "26", "53", "57"].iter().any(|class| code.code().starts_with(class)))
}

/// What an error says, without the values that it is about.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
