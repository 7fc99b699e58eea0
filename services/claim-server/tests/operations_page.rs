//! `docs/operations.md` has every setting that `--help` of the programs has, with the same default, and no other:
//! whoever looks a setting up at night finds it there.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Settings by their names, as `CLAIM_LISTEN --listen`, `--once` or `RUST_LOG`, with their defaults.
type Settings = BTreeMap<String, Option<String>>;

/// What the tables of settings begin with.
const HEAD: &str = "| setting | default |";
/// The section of what both programs have, and that of the reaper; all others are the server's.
const BOTH: &str = "Both programs";
const REAPER: &str = "Reaper";
/// A line of help with a flag is indented by no more; texts are by more.
const FLAG_INDENT_MAX: usize = 6;

fn claim_server() -> PathBuf {
    env!("CARGO_BIN_EXE_claim-server").into()
}

/// The program that was built beside the server.
fn claim_reaper() -> PathBuf {
    claim_server().with_file_name("claim-reaper")
}

fn help(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg("--help").output();
    let output = output.expect("the program runs; is it built? `cargo build --workspace --bins`");
    assert!(output.status.success(), "{} {arguments:?}", program.display());
    String::from_utf8(output.stdout).expect("text")
}

/// The settings that a help tells.
fn told(help: &str) -> Settings {
    let mut settings = Settings::new();
    let mut flag: Option<(&str, String)> = None;
    let mut in_environment = false;
    for line in help.lines().chain(["The end:"]) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let is_heading = indent == 0 && line.ends_with(':');
        let name = text.strip_prefix("--").filter(|_| indent <= FLAG_INDENT_MAX);
        if is_heading || name.is_some() {
            settings.extend(flag.take().map(|(name, about)| setting(name, &about)));
        }
        if is_heading {
            in_environment = line.starts_with("Environment");
        } else if let Some(name) = name {
            flag = Some((name.split(' ').next().unwrap_or(name), String::new()));
        } else if let Some((_, about)) = &mut flag {
            about.push(' ');
            about.push_str(text);
        } else if in_environment && indent == 2 {
            settings.extend(text.split(' ').next().map(|name| (name.to_owned(), None)));
        }
    }
    settings
}

/// A flag with what is said about it.
fn setting(flag: &str, about: &str) -> (String, Option<String>) {
    let bracket = |mark, end| Some(about.split_once(mark)?.1.split(end).next()?.to_owned());
    let name = match bracket("[env: ", '=') {
        Some(variable) => format!("{variable} --{flag}"),
        None => format!("--{flag}"),
    };
    (name, bracket("[default: ", ']'))
}

/// The settings in the page's tables, of those sections of which `belongs` is true.
fn on_the_page(page: &str, belongs: impl Fn(&str) -> bool) -> Settings {
    let mut settings = Settings::new();
    let (mut section, mut in_table) = ("", false);
    for line in page.lines() {
        section = line.strip_prefix("### ").unwrap_or(section);
        in_table = line.starts_with(HEAD) || (in_table && line.starts_with('|'));
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (Some(names), Some(default)) = (cells.next(), cells.next()) else { continue };
        if !in_table || !names.starts_with('`') || !belongs(section) {
            continue;
        }
        // What stands between two backticks: every second part.
        let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        let default = default.replace('`', "");
        let default = Some(default).filter(|default| !default.starts_with("none"));
        let twice = settings.insert(names.join(" "), default);
        assert!(twice.is_none(), "the page has {names:?} twice");
    }
    settings
}

/// What one of two has and the other has not, or otherwise.
fn differences(told: &Settings, on_the_page: &Settings) -> Vec<String> {
    let missing = |of: &Settings, name: &String| !of.contains_key(name);
    let unknown = on_the_page.keys().filter(|name| missing(told, name));
    let forgotten = told.keys().filter(|name| missing(on_the_page, name));
    let other = told.iter().filter_map(|(name, default)| {
        let page = on_the_page.get(name).filter(|page| *page != default)?;
        Some(format!("{name}: the default is {default:?}, the page says {page:?}"))
    });
    let unknown = unknown.map(|name| format!("{name}: on the page, and not in --help"));
    let forgotten = forgotten.map(|name| format!("{name}: in --help, and not on the page"));
    unknown.chain(forgotten).chain(other).collect()
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations.md");
    fs::read_to_string(path).expect("the page")
}

#[test]
fn no_setting_of_the_server_is_missing_unknown_or_has_another_default() {
    let mut settings = told(&help(&claim_server(), &["serve"]));
    settings.extend(told(&help(&claim_server(), &["migrate"])));
    for known in ["CLAIM_LISTEN --listen", "CLAIM_WRITE_TIMEOUT --write-timeout", "DATABASE_URL"] {
        assert!(settings.contains_key(known), "{known} is found: {settings:?}");
    }
    let page = on_the_page(&page(), |section| !section.starts_with(REAPER));
    let differences = differences(&settings, &page);
    assert!(differences.is_empty(), "docs/operations.md:\n{}", differences.join("\n"));
}

#[test]
fn no_setting_of_the_reaper_is_missing_unknown_or_has_another_default() {
    let settings = told(&help(&claim_reaper(), &[]));
    for known in ["CLAIM_REAP_BATCH --batch", "--override-brake", "DATABASE_URL_FILE"] {
        assert!(settings.contains_key(known), "{known} is found: {settings:?}");
    }
    let page = on_the_page(&page(), |section| [BOTH, REAPER].contains(&section));
    let differences = differences(&settings, &page);
    assert!(differences.is_empty(), "docs/operations.md:\n{}", differences.join("\n"));
}
