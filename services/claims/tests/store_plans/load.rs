//! A large database, made in a moment.

use claims::testing::TestDatabase;

/// Fills a database as a busy installation would after a week: entities, claims of which one in ten
/// is live, marks, events; and lets the planner know.
pub(crate) async fn large_database() -> TestDatabase {
    let db = TestDatabase::in_service().await;
    db.sql.batch_execute(include_str!("load.sql")).await.expect("a large database");
    db
}
