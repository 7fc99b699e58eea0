//! What a daemon says of itself over HTTP.

use super::Running;
use claims::testing::{PATIENCE, eventually};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Where a daemon answers.
pub(crate) struct Probes {
    address: String,
}

impl Probes {
    /// Waits until the daemon has told its address.
    pub(crate) async fn of(daemon: &Running) -> Self {
        let find = || {
            let log = daemon.log();
            let (_, rest) = log.split_once("metrics and probes are served on ")?;
            Some(rest.split_whitespace().next()?.to_owned())
        };
        eventually("the log tells where the probes are", async || find().is_some()).await;
        Self { address: find().expect("it was there") }
    }

    /// Where they are.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Status and body of a plain request.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let (head, body) = self.exchange(path).await;
        let status = head.split(' ').nth(1).expect("a status line").parse();
        (status.expect("a status"), body)
    }

    /// The status of a plain request alone.
    pub(crate) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.0
    }

    /// What `/metrics` says; it has to be OpenMetrics.
    pub(crate) async fn metrics(&self) -> Metrics {
        let (head, body) = self.exchange("/metrics").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let content_type = "content-type: application/openmetrics-text; version=1.0.0";
        assert!(head.to_ascii_lowercase().contains(content_type), "{head}");
        Metrics::parse(&body)
    }

    async fn exchange(&self, path: &str) -> (String, String) {
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await.expect("a connection");
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time");
        let (head, body) = answer.split_once("\r\n\r\n").expect("headers and a body");
        (head.to_owned(), body.to_owned())
    }
}

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Samples by name, with their labels as they were written.
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads OpenMetrics and panics where it is none: a family's type comes before its samples,
    /// these are named as the type wants it, and the end is marked.
    fn parse(text: &str) -> Self {
        let lines = text.strip_suffix("# EOF\n").expect("the end is marked");
        let mut family: Option<(&str, &str)> = None;
        let mut samples = BTreeMap::new();
        for line in lines.lines() {
            if let Some(about) = line.strip_prefix("# TYPE ") {
                family = Some(about.split_once(' ').expect("a name and a type"));
            } else if line.starts_with("# HELP ") || line.starts_with("# UNIT ") {
                continue;
            } else {
                let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
                let (name, _) = sample.split_once('{').unwrap_or((sample, ""));
                let (stem, kind) = family.expect("a type before the first sample");
                assert!(suffixes(kind).iter().any(|end| name == format!("{stem}{end}")), "{line}");
                let value = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
                let twice = samples.insert(sample.to_owned(), value);
                assert!(twice.is_none(), "{line}");
            }
        }
        Self { samples }
    }

    /// Names of samples, without labels.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(|sample| sample.split_once('{').map_or(&**sample, |(name, _)| name))
    }

    /// The value of a sample without labels.
    pub(crate) fn value(&self, name: &str) -> f64 {
        *self.samples.get(name).unwrap_or_else(|| panic!("{name} is there: {self:#?}"))
    }

    /// A histogram's buckets: upper bound, and how many values lie at or below it. Panics if they
    /// do not rise to its count.
    pub(crate) fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let mut buckets = Vec::new();
        for (sample, below) in &self.samples {
            let bound = sample.strip_prefix(&format!("{name}_bucket{{le=\""));
            if let Some(bound) = bound.and_then(|rest| rest.strip_suffix("\"}")) {
                let bound = bound.replace("+Inf", "inf").parse::<f64>().expect("a bound");
                buckets.push((bound, *below));
            }
        }
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name}: {buckets:?}");
        let (last, all) = buckets.last().expect("a bucket");
        assert!(last.is_infinite() && *all == self.value(&format!("{name}_count")), "{name}");
        buckets
    }
}

/// How the samples of a family of that type are named.
fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "gauge" => &[""],
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        other => panic!("a type that the reaper has no metric of: {other}"),
    }
}
