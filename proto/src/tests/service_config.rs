//! The service config names methods that exist and repeats only what may be repeated.

use std::collections::BTreeSet;

use serde_json::Value;

use super::published;

fn config() -> Value {
    serde_json::from_str(crate::SERVICE_CONFIG).unwrap()
}

fn method_configs(config: &Value) -> &[Value] {
    config["methodConfig"].as_array().unwrap()
}

/// The methods that an entry is about, as `package.Service/Method`.
fn names(entry: &Value) -> Vec<String> {
    let name = |name: &Value| {
        format!("{}/{}", name["service"].as_str().unwrap(), name["method"].as_str().unwrap())
    };
    entry["name"].as_array().unwrap().iter().map(name).collect()
}

/// A protobuf duration in its JSON form, in seconds.
fn seconds(value: &Value) -> f64 {
    value.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn every_method_but_keep_alive_is_named_exactly_once_and_no_other() {
    let config = config();
    let named: Vec<String> = method_configs(&config).iter().flat_map(names).collect();
    let unique: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(unique.len(), named.len(), "a method is named twice");

    let mut expected: BTreeSet<String> = published()
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| format!("{}/{}", method.parent_service().full_name(), method.name()))
        .collect();
    assert!(expected.remove("claim.v1.ClaimService/KeepAlive"));
    assert_eq!(unique, expected);
}

#[test]
fn only_unavailable_and_deadline_exceeded_are_repeated() {
    for entry in method_configs(&config()) {
        let codes = &entry["retryPolicy"]["retryableStatusCodes"];
        assert_eq!(*codes, serde_json::json!(["UNAVAILABLE", "DEADLINE_EXCEEDED"]));
    }
}

#[test]
fn a_heartbeat_ends_within_five_seconds_and_no_other_call_is_cut() {
    for entry in method_configs(&config()) {
        if names(entry).iter().any(|name| name.contains("/Heartbeat")) {
            assert!(seconds(&entry["timeout"]) <= 5.0);
        } else {
            assert_eq!(entry["timeout"], Value::Null);
        }
    }
}

#[test]
fn the_waits_between_attempts_leave_a_heartbeat_time_for_its_last_attempt() {
    for entry in method_configs(&config()) {
        let policy = &entry["retryPolicy"];
        let attempts = policy["maxAttempts"].as_u64().unwrap();
        assert!((2..=5).contains(&attempts), "gRPC takes 2 to 5 attempts");

        let multiplier = policy["backoffMultiplier"].as_f64().unwrap();
        let longest = seconds(&policy["maxBackoff"]);
        let mut wait = seconds(&policy["initialBackoff"]);
        let mut waited = 0.0;
        for _ in 1..attempts {
            waited += wait.min(longest);
            wait *= multiplier;
        }
        assert!(waited <= 2.5, "{waited} s of waiting");
    }
}
