use super::*;
use prometheus_client::encoding::text::encode;

fn text(metrics: &StoreMetrics) -> String {
    let mut registry = Registry::with_prefix("claim");
    metrics.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

fn has(metrics: &StoreMetrics, line: &str) -> bool {
    let text = text(metrics);
    assert!(text.lines().any(|found| found == line), "no line `{line}` in\n{text}");
    true
}

#[test]
fn a_connection_counts_as_used_only_while_somebody_works_on_it_and_then_no_more() {
    let metrics = StoreMetrics::default();
    let mut place = metrics.place();
    let _other = metrics.place();
    assert!(has(&metrics, r#"claim_db_connections{state="idle"} 2"#));
    place.is_used(true);
    place.is_used(true);
    assert!(has(&metrics, r#"claim_db_connections{state="idle"} 1"#));
    assert!(has(&metrics, r#"claim_db_connections{state="used"} 1"#));
    drop(place);
    assert!(has(&metrics, r#"claim_db_connections{state="used"} 0"#));
    assert!(has(&metrics, r#"claim_db_connections{state="idle"} 1"#));
}

#[test]
fn errors_of_every_kind_are_shown_before_there_are_any() {
    let metrics = StoreMetrics::default();
    metrics.not_connected();
    assert!(has(&metrics, r#"claim_db_errors_total{kind="connect"} 1"#));
    metrics.failed(&TransactionError::TimedOut { in_commit: true });
    assert!(has(&metrics, r#"claim_db_errors_total{kind="timed_out"} 1"#));
    for kind in ["disconnected", "rolled_back", "outcome_unknown", "damaged"] {
        assert!(has(&metrics, &format!(r#"claim_db_errors_total{{kind="{kind}"}} 0"#)));
    }
}
