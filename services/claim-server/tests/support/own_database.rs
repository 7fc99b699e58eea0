//! A database on a cluster of its own, which a test can take away and give back.

use claims::cluster::{Cluster, ClusterError, PostgresPrograms};
use claims::store::{Database, migrations};
use claims::testing::TestDatabase;
use tokio::task::spawn_blocking;

/// The one database of a cluster, migrated. Its URL stays the same whether or not it runs.
pub(crate) struct OwnDatabase {
    cluster: Option<Cluster>,
    pub(crate) url: String,
}

impl OwnDatabase {
    /// A new one that runs.
    pub(crate) async fn new() -> Self {
        let cluster = new_cluster().await;
        let url = cluster.url("postgres");
        let database = Database::parse(&url).expect("a URL");
        migrations::migrate(&database).await.expect("migrations run");
        Self { cluster: Some(cluster), url }
    }

    /// As [`OwnDatabase::new`], with the guards of a test database and a look into it. The look has
    /// to be connected again after each start.
    pub(crate) async fn guarded() -> (Self, TestDatabase) {
        let cluster = new_cluster().await;
        let look = TestDatabase::in_cluster(&cluster).await;
        let url = look.url().to_owned();
        (Self { cluster: Some(cluster), url }, look)
    }

    /// Takes it away as a crash would.
    pub(crate) async fn stop(&mut self) {
        self.change(Cluster::stop_immediately).await;
    }

    /// Gives it back.
    pub(crate) async fn start(&mut self) {
        self.change(Cluster::start).await;
    }

    async fn change(&mut self, how: fn(&mut Cluster) -> Result<(), ClusterError>) {
        let mut cluster = self.cluster.take().expect("a cluster");
        let changed = spawn_blocking(move || how(&mut cluster).map(|()| cluster)).await;
        self.cluster = Some(changed.expect("no panic").expect("a cluster that does as it is told"));
    }
}

async fn new_cluster() -> Cluster {
    let start = || Cluster::ephemeral(PostgresPrograms::locate().expect("Postgres programs"));
    spawn_blocking(start).await.expect("no panic").expect("a cluster")
}
