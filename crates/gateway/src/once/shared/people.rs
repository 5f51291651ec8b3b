//! What people see of it, and what they clear.

use bartizan_monitor::controls::once::Config;

use super::line::Line;
use super::sql;
use crate::config::Postgres;
use crate::once::Shown;

/// The ambiguous calls of all gateways over a database, the oldest first.
pub async fn list(postgres: &Postgres, rules: Config) -> Result<Vec<Shown>, String> {
    let line = opened(postgres, rules).await?;
    let rows = line.ask(line.client.query(sql::LIST, &[])).await?;
    let shown = |row: &tokio_postgres::Row| -> Result<Shown, tokio_postgres::Error> {
        Ok(Shown {
            call: name(row.try_get(0)?),
            at_ms: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or_default(),
            client: row.try_get(2)?,
            tool: row.try_get(3)?,
        })
    };
    rows.iter().map(shown).collect::<Result<_, _>>().map_err(|error| super::line::words(&error))
}

/// Lets an ambiguous call be made again: a person has found out that it may. Returns whether it was ambiguous.
pub async fn forget(postgres: &Postgres, rules: Config, call: &str) -> Result<bool, String> {
    let Ok(number) = u64::from_str_radix(call, 16) else { return Ok(false) };
    let line = opened(postgres, rules).await?;
    Ok(line.ask(line.client.execute(sql::FORGET, &[&number.cast_signed()])).await? > 0)
}

async fn opened(postgres: &Postgres, rules: Config) -> Result<Line, String> {
    let line = Line::open(postgres).await.map_err(|error| format!("{postgres}: {error}"))?;
    // Also what no gateway has found out yet, when none is left.
    if let Err(error) = line.ask(line.client.batch_execute(&sql::sweep(rules.keep_hours))).await {
        tracing::warn!(%error, "what is over was not cleared away");
    }
    Ok(line)
}

fn name(call: i64) -> String {
    format!("{:016x}", call.cast_unsigned())
}
