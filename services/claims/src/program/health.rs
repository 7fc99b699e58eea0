//! The subcommand `health`: asks the running program of this machine whether it is ready, or alive,
//! for probes that can only run a command. It needs no shell, no curl and no database.
//!
//! It asks where the program's own settings say that it answers, so whoever runs it in the same
//! environment (a container's health check, an exec probe) needs no arguments.

use super::{ExitCode, WrongSetting, parse_length};
use crate::chain;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::process;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Builder;

/// How long an answer may take, whatever is asked for: a probe that waits longer is no probe.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// Most bytes of an answer: the programs answer in a few words.
const ANSWER_MAX: usize = 4096;

/// Settings of `health`.
#[derive(Clone, Copy, Debug, Args)]
pub struct HealthSettings {
    /// Ask only whether the program is alive (/livez), not whether it is ready (/readyz)
    ///
    /// Ready is what decides whether it gets work. Who restarts a program that is alive and not
    /// ready, restarts it for a database that is away.
    #[arg(long)]
    pub live: bool,

    /// How long the answer may take, such as 1s; 100ms to 1m
    #[arg(long, default_value = "2s", value_parser = parse_length)]
    pub timeout: Duration,

    /// Where the program serves its probes: IP address and port, as it was told itself
    ///
    /// If that is every address, such as 0.0.0.0, loopback is asked. [default: the program's own]
    #[arg(long, env = "CLAIM_METRICS_LISTEN", value_name = "CLAIM_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("nobody listens there")]
    Connect(#[source] io::Error),
    #[error("no HTTP is spoken there")]
    Exchange(#[source] hyper::Error),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

impl HealthSettings {
    /// Asks, says in one line on standard output what is the matter, and gives the exit code: 0 for
    /// yes, 1 for no or no answer, 64 for wrong settings. `default` is where the program serves its
    /// probes if it was not told.
    #[must_use]
    pub fn run(&self, default: SocketAddr) -> process::ExitCode {
        let address = match self.check(default) {
            Ok(address) => address,
            Err(wrong) => return wrong.report(),
        };
        let asked = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.ask(address)),
            Err(error) => Err(NoAnswer::Connect(error)),
        };
        let (line, code) = match asked {
            Ok((StatusCode::OK, word)) => (word, ExitCode::Done),
            Ok((_, why)) => (why, ExitCode::Failed),
            Err(error) => (format!("{address}: {}", chain(&error)), ExitCode::Failed),
        };
        // A closed standard output is the reader's choice; the exit code says the same.
        let _ = writeln!(io::stdout(), "{line}");
        code.into()
    }

    /// Where to ask.
    fn check(&self, default: SocketAddr) -> Result<SocketAddr, WrongSetting> {
        if !TIMEOUT.contains(&self.timeout) {
            return Err(WrongSetting::new("--timeout", "must be between 100ms and 1m"));
        }
        let address = self.metrics_listen.unwrap_or(default);
        if address.port() == 0 {
            let problem = "is a free port that only the program's log tells; name it";
            return Err(WrongSetting::new("CLAIM_METRICS_LISTEN", problem));
        }
        Ok(SocketAddr::new(reachable(address.ip()), address.port()))
    }

    async fn ask(&self, address: SocketAddr) -> Result<(StatusCode, String), NoAnswer> {
        let path = if self.live { "/livez" } else { "/readyz" };
        tokio::time::timeout(self.timeout, get(address, path))
            .await
            .unwrap_or(Err(NoAnswer::TimedOut(self.timeout)))
    }
}

/// Who listens on every address is reached on loopback.
const fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

/// One plain request: status, and the first line of the answer.
async fn get(address: SocketAddr, path: &str) -> Result<(StatusCode, String), NoAnswer> {
    let stream = TcpStream::connect(address).await.map_err(NoAnswer::Connect)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(NoAnswer::Exchange)?;
    // The sender ends with the exchange, and so does the connection, whoever keeps it open.
    let exchange = async move {
        let request = Request::get(path)
            .header(header::HOST, address.to_string())
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| NoAnswer::Body(error.into()))?;
        let answer = sender.send_request(request).await.map_err(NoAnswer::Exchange)?;
        let status = answer.status();
        Ok((status, first_line(answer).await?))
    };
    // The connection has to be driven; what ends it early, the exchange is told.
    let (found, _) = tokio::join!(exchange, connection);
    found
}

async fn first_line(answer: Response<Incoming>) -> Result<String, NoAnswer> {
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect();
    let bytes = body.await.map_err(NoAnswer::Body)?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &str) -> HealthSettings {
        let metrics_listen = Some(listen.parse().expect("an address"));
        HealthSettings { live: false, timeout: Duration::from_secs(2), metrics_listen }
    }

    #[test]
    fn whoever_listens_everywhere_is_asked_on_loopback() {
        let default = "127.0.0.1:1".parse().expect("an address");
        for (listens, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.1.2.3:9464", "10.1.2.3:9464"),
        ] {
            let found = settings(listens).check(default).expect("an address");
            assert_eq!(found.to_string(), asked);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_name() {
        let default = "127.0.0.1:1".parse().expect("an address");
        let refused = settings("127.0.0.1:0").check(default).expect_err("a free port");
        assert_eq!(refused.name, "CLAIM_METRICS_LISTEN");
        let hasty = HealthSettings { timeout: Duration::ZERO, ..settings("127.0.0.1:1") };
        assert_eq!(hasty.check(default).expect_err("no time").name, "--timeout");
    }
}
