//! `SECURITY.md` promises nothing that no test shows: every threat of its table names tests, and all
//! of them exist.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where tests in Rust are.
const SOURCES: [&str; 4] = ["proto", "services", "worker", "bench"];
/// What the table of threats begins with.
const HEAD: &str = "| Threat | What stands against it | Shown by |";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the table of threats: the threat, and the names in the last cell.
fn threats(page: &str) -> Vec<(&str, Vec<&str>)> {
    let (_, rows) = page.split_once(HEAD).expect("the table of threats");
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [threat, _, shown] = cells[..] else { return (row, vec![]) };
        // What stands between two backticks: every second part.
        (threat, shown.split('`').skip(1).step_by(2).collect())
    })
    .collect()
}

/// The names of all functions below a folder that are tests.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            found.extend(tests_in(&source).map(str::to_owned));
        }
    }
}

/// The functions that follow an attribute of a test, whatever other attributes stand between.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let after = |mark| source.split(mark).skip(1);
    after("test]\n").chain(after("tokio::test(")).filter_map(|after| {
        let line = after.lines().find(|line| line.contains("fn "))?;
        let (_, name) = line.split_once("fn ")?;
        name.split('(').next()
    })
}

#[test]
fn every_threat_names_tests_and_all_of_them_exist() {
    let root = root();
    let page = fs::read_to_string(root.join("SECURITY.md")).expect("the page");
    let mut tests = BTreeSet::new();
    for sources in SOURCES {
        tests_below(&root.join(sources), &mut tests);
    }
    let threats = threats(&page);
    assert!(threats.len() > 10, "the table is found");
    let is_there = |name: &str| match name.strip_prefix("scripts/") {
        Some(_) => root.join(name).is_file(),
        None => tests.contains(name),
    };
    let wrong: Vec<_> = threats
        .iter()
        .filter(|(_, names)| names.is_empty() || !names.iter().all(|name| is_there(name)))
        .map(|(threat, names)| {
            let missing: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
            format!("{threat}: {missing:?} of {}", names.len())
        })
        .collect();
    assert!(wrong.is_empty(), "threats without a test that exists:\n{}", wrong.join("\n"));
}
