//! Postgres clusters that are reached over TCP, with certificates or without.

use crate::authority::Authority;
use claims::cluster::{Cluster, PostgresPrograms};
use claims::store::{Database, InvalidDatabaseUrl, migrations};
use claims::testing::{connect, eventually};
use std::net::TcpListener;
use tokio_postgres::Client;

/// The password of the role that the URLs name. Nothing asks for it; nothing may show it.
pub(crate) const PASSWORD: &str = "s3cret-of-the-database";

/// A cluster at a port of `localhost`; connections by another name or address are for staging.
pub(crate) struct Networked {
    /// Stops when dropped.
    _cluster: Cluster,
    pub(crate) port: u16,
    pub(crate) sql: Client,
}

impl Networked {
    /// One that knows no encryption.
    pub(crate) async fn plain() -> Self {
        let started = tokio::task::spawn_blocking(|| {
            let port = free_port();
            let programs = PostgresPrograms::locate().expect("Postgres programs");
            (Cluster::ephemeral_over_tcp(programs, port).expect("a cluster"), port)
        });
        let (cluster, port) = started.await.expect("no panic");
        let sql = connect(&cluster.url("postgres")).await;
        Self { _cluster: cluster, port, sql }
    }

    /// One that has a certificate of that authority for that name.
    pub(crate) async fn certified(authority: &Authority, name: &str) -> Self {
        let cluster = Self::plain().await;
        let (certificate, key) = authority.issue(name);
        cluster.write("server.crt", &certificate).await;
        cluster.write("server.key", &key).await;
        cluster.set("ssl = on").await;
        eventually("encryption is on", async || cluster.setting("ssl").await == "on").await;
        cluster
    }

    /// From now on new connections over TCP have to be encrypted.
    pub(crate) async fn insist_on_encryption(&self) {
        self.write("pg_hba.conf", "local all all trust\nhostssl all all all trust").await;
        self.set("application_name = 'insists'").await;
        eventually("it insists", async || {
            let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err()
        })
        .await;
    }

    async fn set(&self, setting: &str) {
        self.sql.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.expect("a setting");
        self.sql.batch_execute("SELECT pg_reload_conf()").await.expect("a signal");
    }

    async fn setting(&self, name: &str) -> String {
        let row = self.sql.query_one(&format!("SHOW {name}"), &[]).await.expect("a setting");
        row.get(0)
    }

    /// Writes a file in the data folder that only the server's account can read.
    async fn write(&self, name: &str, text: &str) {
        let lines = format!("SELECT unnest(string_to_array('{}', E'\\n'))", text.trim_end());
        let program = format!("umask 077; cat > {name}");
        let copy = format!("COPY ({lines}) TO PROGRAM '{program}'");
        self.sql.batch_execute(&copy).await.expect("a superuser");
    }

    /// The database at `localhost`, with those parameters in its URL.
    pub(crate) fn database(&self, parameters: &str) -> Result<Database, InvalidDatabaseUrl> {
        let port = self.port;
        Database::parse(&format!(
            "postgres://postgres:{PASSWORD}@localhost:{port}/postgres?{parameters}"
        ))
    }

    /// Why no connection can be had with those parameters, with all causes; none if it can.
    pub(crate) async fn refusal(&self, parameters: &str) -> Option<String> {
        let database = self.database(parameters).expect("a URL");
        let refused = migrations::pending(&database).await.err()?;
        Some(claims::chain(&refused).to_string())
    }

    /// How many sessions of the store there are that are encrypted, and that are not.
    pub(crate) async fn sessions(&self) -> (i64, i64) {
        let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl)
                   FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)
                   WHERE application_name LIKE 'claim%'";
        let row = self.sql.query_one(sql, &[]).await.expect("sessions");
        (row.get(0), row.get(1))
    }
}

/// The parameters that name an authority.
pub(crate) fn root_cert(authority: &Authority) -> String {
    let path = authority.file().display().to_string();
    format!("sslrootcert={}", path.replace('/', "%2F").replace(' ', "%20"))
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
