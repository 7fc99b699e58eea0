//! The log: sentences on standard error, filtered by `RUST_LOG`.

use crate::store::TRACES;
use std::io::{self, IsTerminal};
use std::str::FromStr;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// The filter without `RUST_LOG`: our own words, and only warnings of the libraries below.
const DEFAULT_FILTER: &str = "info,h2=warn,hyper=warn,tokio_postgres=warn,tonic=warn";

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// JSON where standard error is no terminal.
    #[must_use]
    pub fn of_this_terminal() -> Self {
        if io::stderr().is_terminal() { Self::Text } else { Self::Json }
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        match value {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

/// Starts the log; `RUST_LOG` filters it. A filter that does not parse is an error.
pub fn start_log(format: LogFormat) -> Result<(), super::WrongSetting> {
    let lines = lines(format)?;
    tracing_subscriber::registry().with(lines).init();
    Ok(())
}

/// The same, and another layer beside it, with a filter of its own.
pub fn start_log_beside(
    format: LogFormat,
    other: impl Layer<Registry> + Send + Sync,
) -> Result<(), super::WrongSetting> {
    let lines = lines(format)?;
    tracing_subscriber::registry().with(other).with(lines).init();
    Ok(())
}

fn lines<S>(format: LogFormat) -> Result<Box<dyn Layer<S> + Send + Sync>, super::WrongSetting>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::try_new(filter)
            .map_err(|error| super::WrongSetting::new("RUST_LOG", error.to_string()))?,
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // Below a warning the driver logs the parameters of statements, which hold what callers sent:
    // no filter may ask for that. Spans that are for collectors of traces only say nothing here.
    let spoken = filter_fn(|about| {
        (*about.level() <= Level::WARN || !about.target().starts_with("tokio_postgres"))
            && !about.target().starts_with(TRACES)
    });
    // Without this hint, every look at a level would have to ask the filter.
    let filter = filter.and(spoken.with_max_level_hint(LevelFilter::TRACE));
    Ok(match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
        }
    })
}
