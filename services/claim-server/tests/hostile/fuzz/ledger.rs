//! How many rows were written for each caller: counted as it is tried, whether or not it is
//! committed, and told apart by tenant, so that callers need not wait for each other.

use claims::testing::TestDatabase;

/// Counts the writes of some tenants, but for new entities: a refused mint may leave an idle one
/// (I10).
#[derive(Debug)]
pub(crate) struct Ledger;

impl Ledger {
    /// Counts from now on.
    pub(crate) async fn open(db: &TestDatabase, tenants: &[String]) -> Self {
        let mut setup = String::new();
        for tenant in tenants {
            setup += &format!("CREATE SEQUENCE \"rows of {tenant}\";");
        }
        let query = "SELECT table_name::text FROM information_schema.columns
             WHERE table_schema = 'public' AND column_name = 'tenant_id'";
        setup += "CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$
             DECLARE
                 written record := coalesce(new, old);
                 counter regclass := to_regclass(quote_ident('rows of ' || written.tenant_id));
             BEGIN
                 IF counter IS NOT NULL THEN PERFORM nextval(counter); END IF;
                 RETURN NULL;
             END $$;";
        let tables = db.sql.query(query, &[]).await.expect("tables");
        assert!(tables.len() > 3, "the tables are found");
        for table in tables {
            let table: String = table.get(0);
            let events = match table.as_str() {
                "entity_dispatch_state" => "UPDATE OR DELETE",
                _ => "INSERT OR UPDATE OR DELETE",
            };
            setup += &format!(
                "CREATE TRIGGER note_row AFTER {events} ON \"{table}\"
                     FOR EACH ROW EXECUTE FUNCTION note_row();"
            );
        }
        db.sql.batch_execute(&setup).await.expect("counters");
        Self
    }

    /// Rows of a tenant since the beginning.
    pub(crate) async fn rows(&self, db: &TestDatabase, tenant: &str) -> i64 {
        let query = format!(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM \"rows of {tenant}\""
        );
        db.number(&query).await
    }
}
