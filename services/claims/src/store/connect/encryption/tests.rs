use super::*;
use crate::store::Database;

/// An authority that a test may name; nobody uses it.
struct File(std::path::PathBuf);

impl File {
    fn new(test: &str, content: &str) -> Self {
        let name = format!("claim-encryption-{}-{test}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn with_an_authority(test: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self::new(test, &params.self_signed(&key).unwrap().pem())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn refusal(url: &str) -> String {
    Database::parse(url).unwrap_err().to_string()
}

#[test]
fn a_url_that_asks_for_more_than_it_gives_is_refused() {
    let file = File::with_an_authority("asks");
    let file = file.0.display();
    for (query, why) in [
        ("sslmode=verify-full".to_owned(), "no sslrootcert"),
        ("sslmode=verify-ca".to_owned(), "no sslrootcert"),
        (format!("sslmode=prefer&sslrootcert={file}"), "plain text"),
        (format!("sslmode=disable&sslrootcert={file}"), "plain text"),
        ("sslmode=require&sslrootcert=system".to_owned(), "sslmode=verify-full"),
        ("sslmode=verify-ca&sslrootcert=system".to_owned(), "sslmode=verify-full"),
        ("sslmode=verify-full&sslrootcert=/nowhere/ca.pem".to_owned(), "/nowhere/ca.pem"),
        ("sslrootcert=/nowhere/ca.pem".to_owned(), "/nowhere/ca.pem"),
        ("sslmode=verify_full".to_owned(), "sslmode must be"),
    ] {
        let refused = refusal(&format!("postgres://u:s3cret@db/claims?{query}"));
        assert!(refused.contains(why), "{query}: {refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
}

#[test]
fn a_file_without_a_certificate_vouches_for_nobody() {
    let broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    for (name, content) in [("empty", ""), ("text", "certificate"), ("broken", broken)] {
        let file = File::new(name, content);
        let refused = refusal(&format!("postgres://db/claims?sslrootcert={}", file.0.display()));
        assert!(refused.contains("sslrootcert: "), "{name}: {refused}");
    }
}

#[test]
fn the_driver_never_falls_back_to_plain_text_where_encryption_was_asked_for() {
    let file = File::with_an_authority("never");
    let file = file.0.display();
    for (query, mode) in [
        (String::new(), SslMode::Prefer),
        ("?sslmode=disable".to_owned(), SslMode::Disable),
        ("?sslmode=prefer".to_owned(), SslMode::Prefer),
        ("?sslmode=require".to_owned(), SslMode::Require),
        (format!("?sslmode=require&sslrootcert={file}"), SslMode::Require),
        (format!("?sslmode=verify-ca&sslrootcert={file}"), SslMode::Require),
        (format!("?sslmode=verify-full&sslrootcert={file}"), SslMode::Require),
        (format!("?sslrootcert={file}"), SslMode::Require),
    ] {
        let url = format!("postgres://a:1,b:2/claims{query}");
        assert_eq!(Database::parse(&url).unwrap().encryption.mode, mode, "{url}");
    }
    let keywords = Database::parse("host=db user=u sslmode=require").unwrap();
    assert_eq!(keywords.encryption.mode, SslMode::Require);
}

#[test]
fn a_unix_socket_is_not_encrypted_whatever_the_url_says() {
    for query in ["", "?sslmode=require", "?sslmode=verify-full"] {
        let database = Database::parse(&format!("postgres://%2Frun%2Fpg/claims{query}")).unwrap();
        assert_eq!(database.encryption.mode, SslMode::Disable, "{query}");
    }
    let mixed = refusal("postgres://%2Frun%2Fpg,db/claims?sslmode=require");
    assert!(mixed.contains("Unix socket"), "{mixed}");
    // The address is what is connected to.
    let named = refusal("postgres://%2Frun%2Fpg/claims?hostaddr=10.0.0.1&sslmode=require");
    assert!(named.contains("Unix socket"), "{named}");
}

#[test]
fn only_connections_that_others_could_read_call_for_caution() {
    let cautions = |url| Database::parse(url).unwrap().encryption.caution.is_some();
    for url in [
        "postgres://db/claims",
        "postgres://localhost,db/claims",
        "postgres://localhost/claims?hostaddr=10.0.0.1",
        "postgres://db/claims?sslmode=require",
    ] {
        assert!(cautions(url), "{url}");
    }
    for url in [
        "postgres://%2Frun%2Fpg/claims",
        "postgres://localhost/claims",
        "postgres://127.0.0.1,[::1]/claims",
        "postgres://db/claims?sslmode=disable",
    ] {
        assert!(!cautions(url), "{url}");
    }
}
