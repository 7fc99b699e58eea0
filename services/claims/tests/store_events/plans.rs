//! A plan is kept as long as its connection, and may have been made when the tables were empty and
//! all indexes looked alike. It must be the right one all the same.

use claims::store::{all_statements, session_settings};
use claims::testing::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn on_an_empty_table_events_are_sought_by_the_index_of_what_is_asked() {
    let db = TestDatabase::in_service().await;
    db.sql.batch_execute(&session_settings()).await.unwrap();
    for (file, index) in [
        ("read_last_event.sql", "claim_events_pkey"),
        ("read_events.sql", "claim_events_pkey"),
        ("read_events_of_entity.sql", "claim_events_by_entity"),
        ("read_events_of_consumer.sql", "claim_events_by_consumer"),
    ] {
        let statements = all_statements();
        let (_, sql) = statements.iter().find(|(name, _)| *name == file).expect("a statement");
        db.sql.batch_execute(&format!("PREPARE planned AS {sql}")).await.unwrap();
        let count = "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements
             WHERE name = 'planned'";
        let nulls = vec!["NULL"; usize::try_from(db.number(count).await).unwrap()].join(", ");
        let plan = db.sql.query(&format!("EXPLAIN EXECUTE planned ({nulls})"), &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(&format!("using {index} on claim_events")), "{file}:\n{plan}");
        assert!(!plan.contains("Incremental Sort"), "{file}:\n{plan}");
        db.sql.batch_execute("DEALLOCATE planned").await.unwrap();
    }
}
