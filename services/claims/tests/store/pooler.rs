//! What `docs/failover.md` tells operators to set, where a pooler stands before the database.

use claims::store::session_settings;
use claims::testing::TestDatabase;

/// The page's settings of the role: name and value.
fn settings_of_the_page() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/failover.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let lines = page.lines().filter_map(|line| line.strip_prefix("ALTER ROLE claims SET "));
    let setting = |line: &str| {
        let (name, value) = line.split_once(" = ").expect("a name and a value");
        (name.to_owned(), value.trim_matches([';', '\'']).to_owned())
    };
    lines.map(setting).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_is_told_what_each_session_is_told() {
    let db = TestDatabase::new().await;
    db.sql.batch_execute(&session_settings()).await.expect("the settings of a session");
    let settings = settings_of_the_page();
    assert_eq!(settings.len(), session_settings().matches("SET ").count(), "all of them");
    for (name, value) in settings {
        let row = db.sql.query_one(&format!("SHOW {name}"), &[]).await.expect("a setting");
        assert_eq!(row.get::<_, String>(0), value, "{name}");
    }
}
