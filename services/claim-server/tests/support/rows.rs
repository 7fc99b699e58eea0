//! What is in a database, and whether anything was written to it.

use claims::testing::TestDatabase;
use std::collections::BTreeMap;

/// Every server writes it all the time, whoever calls.
const LIVENESS: &str = "service_liveness";

/// All rows of all tables but the liveness record, and where the sequence of events stands.
pub(crate) async fn all_rows(db: &TestDatabase) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::new();
    for table in tables(db).await {
        let query = format!("SELECT t::text FROM \"{table}\" t ORDER BY 1");
        let rows = db.sql.query(&query, &[]).await.expect("rows");
        let rows = rows.iter().map(|row| row.get(0)).collect();
        contents.insert(table, rows);
    }
    let drawn = "SELECT last_value::text || is_called::text FROM claim_event_sequence";
    let drawn = db.sql.query_one(drawn, &[]).await.expect("a sequence").get(0);
    contents.insert("claim_event_sequence".to_owned(), vec![drawn]);
    contents
}

async fn tables(db: &TestDatabase) -> Vec<String> {
    let query = "SELECT tablename::text FROM pg_tables
         WHERE schemaname = 'public' AND tablename <> $1 ORDER BY 1";
    let tables = db.sql.query(query, &[&LIVENESS]).await.expect("tables");
    tables.iter().map(|row| row.get(0)).collect()
}

/// How much was written, counted as it is tried, whether or not it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writes {
    /// Rows written, but for new entities.
    pub(crate) rows: i64,
    /// Entities that came into being; a refused mint may leave an idle one (I10).
    pub(crate) entities: i64,
}

/// Counts writes from now on, but for those to the liveness record.
pub(crate) async fn count_writes(db: &TestDatabase) {
    let mut setup = "CREATE SEQUENCE rows_written; CREATE SEQUENCE entities_made;
         CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM nextval(tg_argv[0]::regclass); RETURN NULL; END $$;"
        .to_owned();
    for table in tables(db).await {
        let (events, sequence) = match table.as_str() {
            "entity_dispatch_state" => {
                setup += "CREATE TRIGGER note_new AFTER INSERT ON entity_dispatch_state
                     FOR EACH ROW EXECUTE FUNCTION note_write('entities_made');";
                ("UPDATE OR DELETE", "rows_written")
            }
            _ => ("INSERT OR UPDATE OR DELETE", "rows_written"),
        };
        setup += &format!(
            "CREATE TRIGGER note_write AFTER {events} ON \"{table}\"
                 FOR EACH ROW EXECUTE FUNCTION note_write('{sequence}');"
        );
    }
    db.sql.batch_execute(&setup).await.expect("triggers");
}

/// The count since [`count_writes`].
pub(crate) async fn writes(db: &TestDatabase) -> Writes {
    let query = "SELECT CASE WHEN r.is_called THEN r.last_value ELSE 0 END,
             CASE WHEN e.is_called THEN e.last_value ELSE 0 END
         FROM rows_written r, entities_made e";
    let row = db.sql.query_one(query, &[]).await.expect("two counts");
    Writes { rows: row.get(0), entities: row.get(1) }
}
