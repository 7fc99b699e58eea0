//! Settings are checked before anything is begun, and a wrong one is named.

use crate::support::{AWAY, run};

/// What the line must name, the arguments, and the environment.
type Case = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const URL: (&str, &str) = ("DATABASE_URL", AWAY);

const WRONG: &[Case] = &[
    ("DATABASE_URL", &[], &[]),
    ("DATABASE_URL", &["--once"], &[("DATABASE_URL", "")]),
    ("DATABASE_URL", &["--once"], &[("DATABASE_URL", "not a url")]),
    ("DATABASE_URL", &["--once"], &[("DATABASE_URL", "postgres:///no_host")]),
    ("DATABASE_URL_FILE", &["--once"], &[("DATABASE_URL_FILE", "/nowhere/at/all")]),
    ("DATABASE_URL_FILE", &["--once"], &[URL, ("DATABASE_URL_FILE", "/dev/null")]),
    ("CLAIM_REAPER_INTERVAL", &[], &[URL, ("CLAIM_REAPER_INTERVAL", "soon")]),
    ("CLAIM_REAPER_INTERVAL", &[], &[URL, ("CLAIM_REAPER_INTERVAL", "99ms")]),
    ("CLAIM_REAPER_INTERVAL", &["--interval=5"], &[URL]),
    ("CLAIM_REAPER_INTERVAL", &["--interval=2h"], &[URL]),
    ("CLAIM_REAP_GRACE", &["--once"], &[URL, ("CLAIM_REAP_GRACE", "")]),
    ("CLAIM_REAP_GRACE", &["--once", "--reap-grace=-5s"], &[URL]),
    ("CLAIM_REAP_GRACE", &["--once", "--reap-grace=2h"], &[URL]),
    ("CLAIM_REAP_BATCH", &["--once"], &[URL, ("CLAIM_REAP_BATCH", "0")]),
    ("CLAIM_REAP_BATCH", &["--once"], &[URL, ("CLAIM_REAP_BATCH", "many")]),
    ("CLAIM_REAP_BATCH", &["--once", "--batch=5001"], &[URL]),
    ("CLAIM_BRAKE_SHARE", &["--once"], &[URL, ("CLAIM_BRAKE_SHARE", "half")]),
    ("CLAIM_BRAKE_SHARE", &["--once"], &[URL, ("CLAIM_BRAKE_SHARE", "1.1")]),
    ("CLAIM_BRAKE_SHARE", &["--once", "--brake-share=-0.1"], &[URL]),
    ("CLAIM_BRAKE_SHARE", &["--once", "--brake-share=NaN"], &[URL]),
    ("CLAIM_BRAKE_MIN", &["--once"], &[URL, ("CLAIM_BRAKE_MIN", "-1")]),
    ("CLAIM_BRAKE_MIN", &["--once", "--brake-min=twenty"], &[URL]),
    ("CLAIM_BRAKE_SPAN", &["--once"], &[URL, ("CLAIM_BRAKE_SPAN", "60")]),
    ("CLAIM_BRAKE_SPAN", &["--once"], &[URL, ("CLAIM_BRAKE_SPAN", "999ms")]),
    ("CLAIM_BRAKE_SPAN", &["--once", "--brake-span=2h"], &[URL]),
    ("CLAIM_RETENTION", &["--once"], &[URL, ("CLAIM_RETENTION", "a week")]),
    ("CLAIM_RETENTION", &["--once"], &[URL, ("CLAIM_RETENTION", "0")]),
    ("CLAIM_RETENTION", &["--once", "--retention=59s"], &[URL]),
    ("CLAIM_RETENTION", &["--once", "--retention=3651d"], &[URL]),
    ("CLAIM_METRICS_LISTEN", &[], &[URL, ("CLAIM_METRICS_LISTEN", "9465")]),
    ("CLAIM_METRICS_LISTEN", &["--metrics-listen=localhost:9465"], &[URL]),
    ("CLAIM_METRICS_LISTEN", &["--metrics-listen=127.0.0.1:65536"], &[URL]),
    ("CLAIM_SHUTDOWN_GRACE", &[], &[URL, ("CLAIM_SHUTDOWN_GRACE", "later")]),
    ("CLAIM_SHUTDOWN_GRACE", &["--shutdown-grace=11m"], &[URL]),
    ("CLAIM_LOG_FORMAT", &["--once"], &[URL, ("CLAIM_LOG_FORMAT", "xml")]),
    ("RUST_LOG", &["--once"], &[URL, ("RUST_LOG", "claims=loud")]),
    ("--json", &["--json"], &[URL]),
    ("--dry-run", &["--dry-run"], &[URL]),
    ("--override-brake", &["--override-brake"], &[URL]),
    ("--only-prune", &["--only-prune"], &[URL]),
    ("--only-prune", &["--once", "--only-prune", "--no-prune"], &[URL]),
    ("--only-prune", &["--once", "--only-prune", "--dry-run"], &[URL]),
    ("--budget", &["--budget=50s"], &[URL]),
    ("--budget", &["--once", "--budget=0"], &[URL]),
    ("--budget", &["--once", "--budget=0s"], &[URL]),
    ("--budget", &["--once", "--budget=999ms"], &[URL]),
    ("--budget", &["--once", "--budget=25h"], &[URL]),
    ("--budget", &["--once", "--budget=50"], &[URL]),
    ("--budget", &["--once", "--budget=plenty"], &[URL]),
    ("--budget", &["--once", "--budget"], &[URL]),
    ("--steal", &["--steal"], &[URL]),
    ("DATABASE_URL", &["DATABASE_URL"], &[URL]),
];

#[tokio::test]
async fn a_wrong_setting_ends_the_program_with_64_and_one_line_that_names_it() {
    for (name, arguments, environment) in WRONG {
        let ended = run(arguments, environment).await;
        let case = format!("{name} {arguments:?} {environment:?}: {ended:?}");
        assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{case}");
        assert!(ended.log.contains(name), "{case}");
        assert_eq!(ended.log.lines().count(), 1, "{case}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_ends_the_daemon_with_1_and_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&[], &[URL, ("CLAIM_METRICS_LISTEN", &address)]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(ended.log.contains("CLAIM_METRICS_LISTEN"), "{}", ended.log);
    assert!(ended.log.contains(&address), "{}", ended.log);
}

#[tokio::test]
async fn no_password_is_repeated_when_its_url_is_wrong() {
    for url in ["postgres://u:p4ssw0rd@[/x", "postgres://u:p4ssw0rd@h:port/x", "p4ssw0rd"] {
        let ended = run(&["--once"], &[("DATABASE_URL", url)]).await;
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(!ended.log.contains("p4ssw0rd"), "{}", ended.log);
    }
}

/// Every flag and environment variable, every default that is no flag's absence, and the exit codes.
const HELP: &[&str] = &[
    "--once",
    "--json",
    "--dry-run",
    "--budget",
    "--override-brake",
    "--no-prune",
    "--only-prune",
    "--interval <CLAIM_REAPER_INTERVAL>",
    "--reap-grace <CLAIM_REAP_GRACE>",
    "--batch <CLAIM_REAP_BATCH>",
    "--brake-share <CLAIM_BRAKE_SHARE>",
    "--brake-min <CLAIM_BRAKE_MIN>",
    "--brake-span <CLAIM_BRAKE_SPAN>",
    "--retention <CLAIM_RETENTION>",
    "--metrics-listen <CLAIM_METRICS_LISTEN>",
    "--shutdown-grace <CLAIM_SHUTDOWN_GRACE>",
    "--log-format <CLAIM_LOG_FORMAT>",
    "[env: CLAIM_REAPER_INTERVAL=]",
    "[env: CLAIM_REAP_GRACE=]",
    "[env: CLAIM_REAP_BATCH=]",
    "[env: CLAIM_BRAKE_SHARE=]",
    "[env: CLAIM_BRAKE_MIN=]",
    "[env: CLAIM_BRAKE_SPAN=]",
    "[env: CLAIM_RETENTION=]",
    "[env: CLAIM_METRICS_LISTEN=]",
    "[env: CLAIM_SHUTDOWN_GRACE=]",
    "[env: CLAIM_LOG_FORMAT=]",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "RUST_LOG",
    "[default: 5s]",
    "[default: 500]",
    "[default: 0.5]",
    "[default: 20]",
    "[default: 60s]",
    "[default: 7d]",
    "[default: 127.0.0.1:9465]",
    "[default: 20s]",
    "0 done",
    "1 failed",
    "2 some claims failed",
    "3 the brake",
    "64 wrong settings",
];

#[tokio::test]
async fn help_and_version_are_complete() {
    let version = run(&["--version"], &[]).await;
    let expected = format!("claim-reaper {} (", env!("CARGO_PKG_VERSION"));
    assert!(version.code == 0 && version.stdout.starts_with(&expected), "{version:?}");
    let help = run(&["--help"], &[]).await;
    assert_eq!((help.code, help.log.as_str()), (0, ""));
    // A line of the text may break anywhere.
    let text = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in HELP {
        assert!(text.contains(word), "{word}: {}", help.stdout);
    }
}
