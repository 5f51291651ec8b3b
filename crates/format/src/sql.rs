//! One SQL statement that reads and does nothing else.
//!
//! It is parsed, and every part of it must be known to be harmless: the functions, too, as a function may do anything.
//! Where the dialect is not known, every dialect that understands the text must find the same.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Function, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor};
use sqlparser::dialect::{self, GenericDialect, MsSqlDialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::verdict::{Parsed, Refused, refuse};

mod functions;

/// Longer statements are not read.
const LONGEST: usize = 64 * 1024;

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Nobody knows.
    Any,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
    /// Microsoft SQL Server.
    MsSql,
}

impl Dialect {
    fn readings(self) -> &'static [&'static (dyn dialect::Dialect + Sync)] {
        match self {
            Self::Any => &[&GenericDialect, &PostgreSqlDialect {}, &MySqlDialect {}, &SQLiteDialect {}, &MsSqlDialect {}],
            Self::Postgres => &[&PostgreSqlDialect {}],
            Self::MySql => &[&MySqlDialect {}],
            Self::Sqlite => &[&SQLiteDialect {}],
            Self::MsSql => &[&MsSqlDialect {}],
        }
    }
}

pub(crate) fn parse(dialect: Dialect, value: &str) -> Parsed {
    if value.len() > LONGEST {
        return refuse("the statement is too long");
    }
    let mut understood = false;
    for reading in dialect.readings() {
        let Ok(tokens) = Tokenizer::new(*reading, value).tokenize() else { continue };
        tokens.iter().try_for_each(|token| plain(token, dialect))?;
        let Ok(statements) = Parser::new(*reading).with_tokens(tokens).parse_statements() else { continue };
        let [statement] = statements.as_slice() else { return refuse("there is not exactly one statement") };
        reads(statement)?;
        understood = true;
    }
    if understood { Ok(value.to_owned()) } else { refuse("the statement cannot be parsed") }
}

/// What some database understands that the parser does not.
fn plain(token: &Token, dialect: Dialect) -> Result<(), Refused> {
    match token {
        // MySQL runs what is in such a comment.
        Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with(['!', '+', 'M']) => {
            refuse("the statement has a comment that is run")
        }
        Token::Word(word)
            if word.quote_style.is_none() && word.value.chars().any(|symbol| !symbol.is_alphanumeric() && !"_$@#".contains(symbol)) =>
        {
            refuse("a name has characters that names do not have")
        }
        Token::Char(_) => refuse("the statement has characters that SQL does not have"),
        // Where a backslash escapes the quote, the text goes on behind it.
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) if dialect == Dialect::Any && text.contains('\\') => {
            refuse("a text has a backslash, which databases read in different ways")
        }
        _ => Ok(()),
    }
}

/// Whether a statement only reads.
fn reads(statement: &Statement) -> Result<(), Refused> {
    let inner = match statement {
        Statement::Explain { statement, .. } => statement,
        other => other,
    };
    match inner {
        Statement::Query(_)
        | Statement::ExplainTable { .. }
        | Statement::ShowVariable { .. }
        | Statement::ShowVariables { .. }
        | Statement::ShowStatus { .. }
        | Statement::ShowCreate { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowViews { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowCollation { .. } => {}
        _ => return refuse("the statement is not one that only reads"),
    }
    match inner.visit(&mut Harmless) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(refused) => Err(refused),
    }
}

/// Stops at what does more than read.
struct Harmless;

const fn stop(why: &'static str) -> ControlFlow<Refused> {
    ControlFlow::Break(Refused(why))
}

impl Visitor for Harmless {
    type Break = Refused;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Refused> {
        if !query.locks.is_empty() {
            return stop("the statement locks rows");
        }
        if query.for_clause.is_some() || query.settings.is_some() || !query.pipe_operators.is_empty() {
            return stop("the statement has clauses that are not known to be harmless");
        }
        body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Refused> {
        if select.into.is_some() { stop("the statement writes what it reads") } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Refused> {
        match statement {
            Statement::Insert(_) | Statement::Update { .. } | Statement::Delete(_) | Statement::Merge { .. } => {
                stop("a part of the statement writes")
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Refused> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => function(name),
            TableFactor::Table { .. } | TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } | TableFactor::UNNEST { .. } => {
                ControlFlow::Continue(())
            }
            TableFactor::TableFunction { expr: Expr::Function(Function { name, .. }), .. } => function(name),
            _ => stop("the statement reads from something other than a table"),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Refused> {
        match expr {
            Expr::Function(call) => function(&call.name),
            Expr::BinaryOp { op: BinaryOperator::Assignment, .. } => stop("the statement sets a variable"),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What a query consists of.
fn body(set: &SetExpr) -> ControlFlow<Refused> {
    match set {
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => match body(left) {
            ControlFlow::Continue(()) => body(right),
            stop => stop,
        },
        _ => stop("a part of the statement writes"),
    }
}

/// Whether a function is known to do nothing but compute.
fn function(name: &ObjectName) -> ControlFlow<Refused> {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident().map(|ident| ident.value.to_ascii_lowercase())).collect();
    let known = match parts.as_slice() {
        [name] => functions::HARMLESS.contains(&name.as_str()),
        [schema, name] if schema == "pg_catalog" => functions::HARMLESS.contains(&name.as_str()),
        _ => false,
    };
    if known { ControlFlow::Continue(()) } else { stop("the statement calls a function that is not known to be harmless") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_reads_is_allowed() {
        for text in [
            "select 1",
            "SELECT a, count(*) FROM t JOIN u USING (id) WHERE b LIKE '%x%' GROUP BY a ORDER BY 2 LIMIT 5;",
            "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
            "SELECT * FROM (VALUES (1), (2)) v(a)",
            "EXPLAIN SELECT 1",
            "SELECT coalesce(lower(a), 'x;y') FROM t -- a comment",
            "SELECT row_number() OVER (PARTITION BY a) FROM t",
        ] {
            assert!(parse(Dialect::Any, text).is_ok(), "{text}: {:?}", parse(Dialect::Any, text));
        }
    }

    #[test]
    fn what_does_more_is_refused() {
        for text in [
            "",
            ";",
            "DROP TABLE t",
            "SELECT 1; SELECT 2",
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
            "SELECT * INTO t2 FROM t",
            "SELECT * FROM t FOR UPDATE",
            "SELECT my_function()",
            "SELECT other.lower('x')",
            "SELECT /*! INTO OUTFILE '/x' */ 1",
            "SELECT 'a\\'; DROP TABLE t; --'",
            "PRAGMA user_version = 1",
            "SELECT 1 FROM t INTO OUTFILE '/x'",
            "COPY t TO '/x'",
            "EXPLAIN ANALYZE DELETE FROM t",
            "SELECT @a := 1",
            "SET x = 1",
            "CALL p()",
            "DO $$ $$",
            "ATTACH 'x' AS y",
            "SELECT * FROM dblink('x','y')",
            "SELECT (SELECT pg_sleep(1))",
            "TRUNCATE t",
            "LOCK TABLE t",
            "SELECT a FROM t WHERE b = pg_read_file('x')",
        ] {
            assert!(parse(Dialect::Any, text).is_err(), "{text}");
        }
    }
}
