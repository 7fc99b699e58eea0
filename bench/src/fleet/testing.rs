//! A server in this process, and the measurements in small.

use super::settings::Settings;
use crate::sql::Sql;
use claim_server::{
    AccessConfig, Config, ConnectionSettings, LaneSettings, QuotaFile, Server, Transport,
};
use claims::program::Shutdown;
use claims::store::Database;
use claims::testing::TestDatabase;
use clap::Parser;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A server on a database of its own.
pub(crate) struct Ground {
    pub(crate) runtime: Runtime,
    pub(crate) db: TestDatabase,
    pub(crate) sql: Sql,
    pub(crate) address: String,
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    settings: Settings,
}

/// Less than the short form.
pub(crate) fn settings() -> Settings {
    let callers = ["fleet", "--callers=4", "--under-way=3", "--batch-callers=1", "--claims=500"];
    let lengths = ["--length=200ms", "--cut=40ms"];
    Program::parse_from(callers.into_iter().chain(lengths)).settings
}

impl Ground {
    /// Starts it.
    pub(crate) fn new() -> Self {
        Self::start(None)
    }

    /// The same, with those quotas.
    pub(crate) fn with_quotas(quotas: &str) -> Self {
        Self::start(Some(QuotaFile::of_text(quotas).unwrap()))
    }

    fn start(quota: Option<QuotaFile>) -> Self {
        let runtime = Runtime::new().unwrap();
        let db = runtime.block_on(TestDatabase::in_service());
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            database: Database::parse(db.url()).unwrap(),
            listen: any,
            metrics_listen: any,
            outage_grace: Duration::from_secs(30),
            shutdown_grace: Duration::ZERO,
            lanes: LaneSettings::default(),
            transport: Transport::default(),
            connections: ConnectionSettings::default(),
            access: AccessConfig::default(),
            quota,
        };
        let server = runtime.block_on(Server::bind(config)).unwrap();
        let address = format!("http://{}", server.address());
        runtime.spawn(server.run(Shutdown::default()));
        let sql = Sql::connect(db.url()).unwrap();
        Self { runtime, db, sql, address }
    }
}
