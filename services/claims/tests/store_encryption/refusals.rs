//! Databases that the store does not talk to.

use crate::authority::Authority;
use crate::support::{Networked, PASSWORD, root_cert};
use claims::store::{Database, migrations};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_authority_is_refused_by_every_mode_that_verifies() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let cluster = Networked::certified(&authority, "localhost").await;
    let (right, wrong) = (root_cert(&authority), root_cert(&stranger));
    for mode in ["sslmode=require&", "sslmode=verify-ca&", "sslmode=verify-full&", ""] {
        assert_eq!(cluster.refusal(&format!("{mode}{right}")).await, None, "{mode}");
        let refused = cluster.refusal(&format!("{mode}{wrong}")).await.expect("a refusal");
        assert!(refused.contains("invalid peer certificate"), "{mode}: {refused}");
        assert!(!refused.contains(PASSWORD), "{refused}");
    }
    // Where the operating system trusts nobody, the URL is refused already.
    if let Ok(database) = cluster.database("sslrootcert=system") {
        migrations::pending(&database).await.unwrap_err();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_name_is_refused_by_verify_full_alone() {
    let authority = Authority::new();
    let cluster = Networked::certified(&authority, "db.example").await;
    let root_cert = root_cert(&authority);
    for mode in ["sslmode=verify-full&", ""] {
        let refused = cluster.refusal(&format!("{mode}{root_cert}")).await.expect("a refusal");
        assert!(refused.contains("not valid for name"), "{mode}: {refused}");
    }
    for mode in ["sslmode=verify-ca", "sslmode=require"] {
        assert_eq!(cluster.refusal(&format!("{mode}&{root_cert}")).await, None, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_encryption_is_refused_where_the_url_asks_for_it() {
    let cluster = Networked::plain().await;
    let authority = Authority::new();
    let root_cert = root_cert(&authority);
    let verified = [
        format!("sslmode=verify-ca&{root_cert}"),
        format!("sslmode=verify-full&{root_cert}"),
        root_cert,
    ];
    for parameters in verified.iter().map(String::as_str).chain(["sslmode=require"]) {
        let refused = cluster.refusal(parameters).await.expect("a refusal");
        assert!(refused.contains("does not support TLS"), "{parameters}: {refused}");
        assert!(!refused.contains(PASSWORD), "{refused}");
    }
    for parameters in ["", "sslmode=prefer", "sslmode=disable"] {
        assert_eq!(cluster.refusal(parameters).await, None, "{parameters}");
    }
}

#[tokio::test]
async fn the_debug_form_of_an_encrypted_database_shows_no_password() {
    let authority = Authority::new();
    let url = format!("postgres://u:{PASSWORD}@db/claims?{}", root_cert(&authority));
    let shown = format!("{:?}", Database::parse(&url).unwrap());
    assert!(!shown.contains(PASSWORD), "{shown}");
}
