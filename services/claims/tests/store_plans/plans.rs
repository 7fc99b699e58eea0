//! Every statement seeks: under the settings of the lanes, in a large database, no statement reads a
//! whole table or throws away by a filter what an index could have kept from it.

use super::load::large_database;
use claims::store::{all_statements, session_settings};
use claims::testing::TestDatabase;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tokio_postgres::SimpleQueryMessage;

/// The tables that grow, with the columns of their keys.
const LARGE: [(&str, &[&str]); 5] = [
    ("consumer_claims", &["tenant_id", "consumer_id", "epoch", "entity_url", "request_id"]),
    ("claim_leases", &["tenant_id", "consumer_id", "epoch"]),
    ("entity_dispatch_state", &["tenant_id", "entity_url"]),
    ("entity_epochs", &["tenant_id", "entity_url", "authority"]),
    ("claim_events", &["sequence", "tenant_id", "entity_url", "consumer_id"]),
];
/// The statements that are meant to read tables whole: the reaper's scan, the fingerprints of its
/// self-check, and what makes a whole database safe that was set back.
const READ_WHOLE: [&str; 6] = [
    "scan_leases.sql",
    "count_leases.sql",
    "compare_holds.sql",
    "restore_look.sql",
    "restore_fences.sql",
    "restore_epochs.sql",
];
/// Pruning begins at the beginning of the events and stops at its limit.
const NO_SEEK: (&str, &str) = ("prune_events.sql", "claim_events");
/// An index that leads to one row at most, so that nothing is read in vain by what is compared
/// afterwards.
const ONE_ROW: &str = "consumer_claims_one_active";

#[test]
fn every_file_of_sql_is_a_statement_of_the_store() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> =
        all_statements().into_iter().map(|(file, _)| file.to_owned()).collect();
    assert_eq!(listed, files);
    assert_eq!(listed.len(), all_statements().len(), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_reads_what_it_does_not_need() {
    let db = large_database().await;
    db.sql.batch_execute(&session_settings()).await.unwrap();
    let mut faults = Vec::new();
    for (file, sql) in all_statements() {
        let plan = plan(&db, sql).await;
        look_at(file, &plan, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Rows are written in the order in which they are asked for, which is that of their keys: of two
/// statements that renew the same claims, one waits for the other, and never each for the other.
#[tokio::test(flavor = "multi_thread")]
async fn leases_that_run_are_renewed_in_the_order_in_which_they_are_asked_for() {
    let db = large_database().await;
    db.sql.batch_execute(&session_settings()).await.unwrap();
    let statements = all_statements();
    let (_, sql) = statements.iter().find(|(file, _)| *file == "renew_running.sql").unwrap();
    let plan = plan(&db, sql).await;
    let update = plan.pointer("/0/Plan").unwrap();
    let text = |node: &str, key: &str| {
        let value = update.pointer(&format!("{node}/{key}")).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    assert_eq!(text("", "Node Type"), "ModifyTable");
    assert_eq!(text("/Plans/0", "Node Type"), "Nested Loop");
    assert_eq!(text("/Plans/0/Plans/0", "Node Type"), "Function Scan");
    assert_eq!(text("/Plans/0/Plans/1", "Node Type"), "Index Scan");
}

/// The generic plan of a statement.
async fn plan(db: &TestDatabase, sql: &str) -> Value {
    db.sql.batch_execute(&format!("PREPARE planned AS {sql}")).await.expect("a statement");
    let count = "SELECT cardinality(parameter_types)::bigint FROM pg_prepared_statements
         WHERE name = 'planned'";
    let params = usize::try_from(db.number(count).await).expect("a count");
    let values = match params {
        0 => String::new(),
        params => format!("({})", vec!["NULL"; params].join(", ")),
    };
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE planned {values}");
    let answer = db.sql.simple_query(&explain).await.expect("a plan");
    db.sql.batch_execute("DEALLOCATE planned").await.expect("an end");
    let text = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str(text.expect("a row")).expect("JSON")
}

/// Collects what is wrong with a plan, node by node.
fn look_at(file: &str, plan: &Value, faults: &mut Vec<String>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| look_at(file, part, faults)),
        Value::Object(node) => {
            if let Some(fault) = fault_of(file, plan) {
                faults.push(format!("{file}: {fault}: {}", without_children(plan)));
            }
            node.values()
                .filter(|value| value.is_array() || value.is_object())
                .for_each(|value| look_at(file, value, faults));
        }
        _ => {}
    }
}

fn fault_of(file: &str, node: &Value) -> Option<&'static str> {
    let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
    // A join that compares keys row by row has read more than it needs, whatever it reads.
    if LARGE.iter().any(|(_, keys)| names_one_of(keys, text("Join Filter"))) {
        return Some("a key is compared by a join");
    }
    let node_type = text("Node Type");
    let (relation, keys) = LARGE.into_iter().find(|(table, _)| *table == text("Relation Name"))?;
    if !node_type.ends_with("Scan") {
        return None;
    }
    if node_type == "Tid Range Scan" && !text("TID Cond").is_empty() {
        return None;
    }
    if READ_WHOLE.contains(&file) {
        return None;
    }
    let seeks_nothing = NO_SEEK == (file, relation);
    if !matches!(node_type, "Index Scan" | "Index Only Scan") {
        return Some("not an index scan");
    }
    if text("Index Cond").is_empty() && !seeks_nothing {
        return Some("a whole index is read");
    }
    if text("Index Name") != ONE_ROW && names_one_of(keys, &without_paging(text("Filter"))) {
        return Some("a key is filtered instead of sought");
    }
    None
}

fn names_one_of(columns: &[&str], condition: &str) -> bool {
    let mut words = condition.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| columns.contains(&word))
}

/// A condition without the comparison of rows by which a page begins behind the last one: its
/// first columns are sought, and the others only tell claims of one moment or entity apart.
fn without_paging(filter: &str) -> String {
    let pages = [
        "(ROW(claimed_at, consumer_id, epoch) > ROW(",
        "(ROW(tenant_id, entity_url, consumer_id, epoch) > ROW(",
    ];
    match pages.iter().find_map(|page| filter.split_once(page)) {
        Some((before, behind)) => {
            let behind = behind.split_once("))").map_or("", |(_, behind)| behind);
            format!("{before}{behind}")
        }
        None => filter.to_owned(),
    }
}

fn without_children(node: &Value) -> Value {
    let mut node = node.clone();
    if let Some(node) = node.as_object_mut() {
        node.remove("Plans");
    }
    node
}
