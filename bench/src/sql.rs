//! A connection for staging and looking; each call waits for its answer.

use anyhow::Result;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, NoTls, Row};

/// Parameters of a statement.
pub(crate) type Params<'p> = &'p [&'p (dyn ToSql + Sync)];

/// The process of the Postgres server, whose children serve the sessions.
const POSTMASTER: &str = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::bigint";

/// One session.
pub(crate) struct Sql {
    runtime: Runtime,
    client: Client,
}

impl Sql {
    /// Opens it.
    pub(crate) fn connect(url: &str) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(url, NoTls))?;
        runtime.spawn(connection);
        Ok(Self { runtime, client })
    }

    /// Several statements without parameters.
    pub(crate) fn batch(&self, statements: &str) -> Result<()> {
        Ok(self.runtime.block_on(self.client.batch_execute(statements))?)
    }

    /// One statement; how many rows it concerned.
    pub(crate) fn execute(&self, statement: &str, params: Params<'_>) -> Result<u64> {
        Ok(self.runtime.block_on(self.client.execute(statement, params))?)
    }

    /// The rows of a query.
    pub(crate) fn rows(&self, query: &str, params: Params<'_>) -> Result<Vec<Row>> {
        Ok(self.runtime.block_on(self.client.query(query, params))?)
    }

    /// The one value of a query.
    pub(crate) fn value<T: FromSqlOwned>(&self, query: &str) -> Result<T> {
        Ok(self.runtime.block_on(self.client.query_one(query, &[]))?.try_get(0)?)
    }

    /// The Postgres server's process.
    pub(crate) fn postmaster(&self) -> Result<u32> {
        Ok(u32::try_from(self.value::<i64>(POSTMASTER)?)?)
    }
}
