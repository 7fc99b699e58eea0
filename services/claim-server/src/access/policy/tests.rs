use super::*;
use crate::fingerprint::Fingerprint;

fn token(name: &str) -> Caller {
    Caller::of_token(name, Fingerprint::of(name.as_bytes()))
}

fn policy(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|flaw| panic!("{}", flaw.of("policy")))
}

const GRANTS: &str = r#"
[[grant]]
callers = ["token:runner"]
tenants = ["acme"]
roles = ["holder"]
runner_prefixes = ["prod-", "stage-"]

[[grant]]
callers = ["token:ops*"]
tenants = ["*"]
roles = ["operator"]

[[grant]]
callers = ["token:free", "token:two"]
tenants = ["acme", "careful-*"]
roles = ["holder", "observer"]

[[grant]]
callers = ["token:two"]
tenants = ["acme"]
roles = ["holder"]
runner_prefixes = ["prod-"]

[[tenant]]
name = "careful-*"
requires_token = true
"#;

#[test]
fn what_is_not_granted_is_refused() {
    let policy = policy(GRANTS);
    for (name, role, tenant, is_permitted) in [
        ("runner", Role::Holder, "acme", true),
        ("runner", Role::Holder, "acme2", false),
        ("runner", Role::Observer, "acme", false),
        ("runners", Role::Holder, "acme", false),
        ("ops", Role::Operator, "anything", true),
        ("ops-eu", Role::Operator, "anything", true),
        ("op", Role::Operator, "anything", false),
        ("free", Role::Observer, "careful-1", true),
        ("free", Role::Observer, "careful", false),
        ("free", Role::Verifier, "acme", false),
        ("nobody", Role::Observer, "acme", false),
    ] {
        let permitted = policy.permits(&token(name), role, tenant);
        assert_eq!(permitted, is_permitted, "{name} {role:?} {tenant}");
    }
    assert!(!policy.knows(&Caller::anonymous()));
    assert!(!policy.knows(&token("nobody")) && policy.knows(&token("ops-eu")));
}

#[test]
fn a_role_in_many_tenants_is_not_one_in_all() {
    let policy = policy(GRANTS);
    assert!(policy.permits_everywhere(&token("ops"), Role::Operator));
    assert!(!policy.permits_everywhere(&token("ops"), Role::Observer));
    assert!(!policy.permits_everywhere(&token("free"), Role::Observer));
}

#[test]
fn a_caller_bound_to_runners_mints_for_no_other_and_shows_the_token() {
    let policy = policy(GRANTS);
    for (runner, is_permitted) in
        [("prod-7", true), ("stage-1", true), ("dev-1", false), ("", false), ("xprod-", false)]
    {
        let permitted = policy.permits_mint(&token("runner"), "acme", runner);
        assert_eq!(permitted, is_permitted, "{runner}");
    }
    assert_eq!(policy.permits_holding(&token("runner"), "acme"), Holding::WithToken);
    assert_eq!(policy.permits_holding(&token("runner"), "other"), Holding::Refused);
    // Another grant without prefixes lifts the bounds of the first.
    assert_eq!(policy.permits_holding(&token("two"), "acme"), Holding::Free);
    assert!(policy.permits_mint(&token("two"), "acme", ""));
    assert!(!policy.permits_mint(&token("ops"), "acme", "prod-1"), "no holder");
}

#[test]
fn a_tenant_that_requires_tokens_requires_them_of_everybody() {
    let policy = policy(GRANTS);
    assert_eq!(policy.permits_holding(&token("free"), "careful-1"), Holding::WithToken);
    assert_eq!(policy.permits_holding(&token("free"), "acme"), Holding::Free);
}

#[test]
fn a_wrong_policy_is_refused_with_its_line() {
    let grant = "[[grant]]\ncallers = [\"token:a\"]\ntenants = [\"t\"]\nroles = [\"holder\"]\n";
    let beside = |line: &str| format!("{grant}{line}\n");
    let instead = |of: &str, line: &str| grant.replace(of, line);
    for (text, told) in [
        (String::new(), "p: has no grant"),
        ("[[grants]]".to_owned(), "p:1: unknown field `grants`"),
        (beside("role = \"x\""), "p:5: unknown field `role`"),
        (beside("runner_prefixes = []"), "p:5: the list is empty"),
        (beside("runner_prefixes = [\"\"]"), "p:5: a prefix is empty"),
        (instead("\"holder\"", "\"admin\""), "p:4: unknown variant `admin`"),
        (instead("\"holder\"", ""), "p:4: the list is empty"),
        (instead("\"t\"", "\"a*b\""), "p:3: \"a*b\": * can only be the last"),
        (instead("\"t\"", "\"\""), "p:3: \"\" is no tenant"),
        (instead("token:a", "a"), "p:2: \"a\" is no caller"),
        (instead("roles = [\"holder\"]\n", ""), "p:1: missing field `roles`"),
        (beside("[[tenant]]\nname = \"t\""), "p:5: missing field `requires_token`"),
        (beside("[[tenant]]\nname = \"t\"\nrequires_token = 1"), "p:7: invalid type"),
        (beside("callers = ["), "p:"),
    ] {
        let flaw = Policy::parse(&text).unwrap_err().of("p");
        assert!(flaw.starts_with(told) && flaw.lines().count() == 1, "{told}: {flaw}");
    }
    let observers = beside("runner_prefixes = [\"a\"]").replace("holder", "observer");
    let flaw = Policy::parse(&observers).unwrap_err().of("p");
    assert!(flaw.contains("means nothing without the role holder"), "{flaw}");
}

#[test]
fn the_policy_of_the_documentation_is_one() {
    const PAGE: &str = include_str!("../../../../../docs/access.md");
    let (_, begin) = PAGE.split_once("```toml\n").unwrap();
    let (example, _) = begin.split_once("```").unwrap();
    let policy = policy(example);
    assert!(policy.permits_everywhere(&token("ops"), Role::Operator));
    assert_eq!(policy.permits_holding(&token("ops"), "acme"), Holding::Refused);
}
