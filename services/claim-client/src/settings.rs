//! Settings of a client, checked before anything is started.

use crate::bearer::Bearer;
use crate::calls::Calls;
use crate::client::Client;
use crate::io_thread::IoThread;
use crate::limits::{
    CALL_DEADLINE_DEFAULT, CALL_DEADLINE_MAX, CONNECT_TIMEOUT, PING_INTERVAL, PING_TIMEOUT,
    WRITE_MARGIN_PERCENT_DEFAULT, WRITE_MARGIN_PERCENT_MAX,
};
use crate::servers::Servers;
use crate::tls::Tls;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Endpoint;

/// A client in the making.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientBuilder {
    addresses: Vec<String>,
    tls: Option<Tls>,
    bearer: Option<Token>,
    call_deadline: Duration,
    write_margin_percent: u32,
}

/// Where the bearer token comes from.
#[derive(Clone)]
enum Token {
    Fixed(String),
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed(<redacted>)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrongSetting {
    /// No address was given.
    #[error("no server is named")]
    NoServer,
    /// An address is none.
    #[error("{address}: {problem}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Certificates or keys cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[source] tonic::transport::Error),
    /// The bearer token cannot be read or sent.
    #[error("the bearer token cannot be used")]
    BearerToken(#[source] io::Error),
    /// No call could be made within it, or it is no limit.
    #[error("a call deadline of {0:?} is not between 1 ms and {CALL_DEADLINE_MAX:?}")]
    CallDeadline(Duration),
    /// The margin leaves too little of a lease.
    #[error("a write margin of {0} % is more than {WRITE_MARGIN_PERCENT_MAX} %")]
    WriteMargin(u32),
    /// The operating system gives no thread.
    #[error("the client's thread cannot be started")]
    Thread(#[source] io::Error),
}

impl ClientBuilder {
    pub(crate) fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            tls: None,
            bearer: None,
            call_deadline: CALL_DEADLINE_DEFAULT,
            write_margin_percent: WRITE_MARGIN_PERCENT_DEFAULT,
        }
    }

    /// Encrypts; every address must then be `https://`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sends that bearer token with every call, for servers that know their callers by tokens. It can
    /// be read on the way by anybody where calls are not encrypted.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(Token::Fixed(token.into()));
        self
    }

    /// Sends the bearer token in that file with every call. The file is read again about every second
    /// while calls are made, so that a token which is replaced in time never stops them; the tokens of
    /// Kubernetes' service accounts are kept so.
    pub fn bearer_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.bearer = Some(Token::File(path.into()));
        self
    }

    /// Longest time for a call with all its repetitions, up to a day; 30 s if not given. A done that is given up
    /// too early leaves its claim to the reaper. Heartbeats are not concerned: they go on for as
    /// long as their guard lives.
    pub fn call_deadline(mut self, length: Duration) -> Self {
        self.call_deadline = length;
        self
    }

    /// How much of a lease is given away so that a write that was allowed ends before the lease
    /// does; 10 % if not given, at most 50. It has to cover the time from
    /// [`may_write`](crate::ClaimHandle::may_write) to the end of the write. With more, a shorter
    /// outage suspends writing.
    pub fn write_margin_percent(mut self, percent: u32) -> Self {
        self.write_margin_percent = percent;
        self
    }

    /// Checks the settings and starts the client's thread. No server is needed yet: connections are
    /// made when the first call needs them, and again whenever they break.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn build(self) -> Result<Client, WrongSetting> {
        if self.write_margin_percent > WRITE_MARGIN_PERCENT_MAX {
            return Err(WrongSetting::WriteMargin(self.write_margin_percent));
        }
        if self.call_deadline < Duration::from_millis(1) || self.call_deadline > CALL_DEADLINE_MAX {
            return Err(WrongSetting::CallDeadline(self.call_deadline));
        }
        if self.addresses.is_empty() {
            return Err(WrongSetting::NoServer);
        }
        let tls = self.tls.as_ref();
        let endpoints = self.addresses.iter().map(|address| endpoint(address, tls));
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        let first = fastrand::usize(..endpoints.len());
        let bearer = match &self.bearer {
            None => Ok(Bearer::default()),
            Some(Token::Fixed(token)) => Bearer::fixed(token),
            Some(Token::File(path)) => Bearer::file(path.clone()),
        };
        let bearer = bearer.map_err(WrongSetting::BearerToken)?;
        let servers = Arc::new(Servers::new(endpoints, bearer, first));
        let calls = Calls::new(Arc::clone(&servers), self.call_deadline);
        let io = IoThread::start().map_err(WrongSetting::Thread)?;
        Ok(Client::start(io, servers, calls, self.write_margin_percent))
    }
}

fn endpoint(address: &str, tls: Option<&Tls>) -> Result<Endpoint, WrongSetting> {
    let wrong = |problem| WrongSetting::Address { address: address.to_owned(), problem };
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|_| wrong("is not an address such as http://127.0.0.1:50051"))?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    match (endpoint.uri().scheme_str(), tls) {
        (Some("http"), None) => Ok(endpoint),
        (Some("https"), Some(tls)) => endpoint.tls_config(tls.config()).map_err(WrongSetting::Tls),
        (Some("http"), Some(_)) => Err(wrong("must begin with https://, since TLS is set")),
        (Some("https"), None) => Err(wrong("needs TLS: whom to trust is not set")),
        _ => Err(wrong("must begin with http:// or https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(builder: ClientBuilder) -> String {
        builder.build().expect_err("a wrong setting").to_string()
    }

    #[test]
    fn a_wrong_setting_is_refused_by_name_before_anything_starts() {
        assert_eq!(refusal(ClientBuilder::new([] as [&str; 0])), "no server is named");
        let margin = ClientBuilder::new(["http://a"]).write_margin_percent(51);
        assert_eq!(refusal(margin), "a write margin of 51 % is more than 50 %");
        for length in [Duration::ZERO, Duration::MAX] {
            let refusal = refusal(ClientBuilder::new(["http://a"]).call_deadline(length));
            assert!(refusal.starts_with("a call deadline of"), "{refusal}");
        }
        for address in ["127.0.0.1:50051", "https://a:1", "ftp://a", "http://a b"] {
            let refusal = refusal(ClientBuilder::new(["http://127.0.0.1:1", address]));
            assert!(refusal.starts_with(address), "{refusal}");
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_and_never_shown() {
        let builder = ClientBuilder::new(["http://a"]).bearer_token("two words");
        assert!(!format!("{builder:?}").contains("two words"));
        assert_eq!(refusal(builder), "the bearer token cannot be used");
        let builder = ClientBuilder::new(["http://a"]).bearer_token_file("/nowhere/at/all");
        assert_eq!(refusal(builder), "the bearer token cannot be used");
    }

    #[test]
    fn an_unencrypted_address_is_refused_where_encryption_is_asked_for() {
        let builder = ClientBuilder::new(["http://a"]).tls(Tls::trusting(""));
        assert_eq!(refusal(builder), "http://a: must begin with https://, since TLS is set");
    }

    #[test]
    fn a_client_needs_no_server_to_be_built() {
        ClientBuilder::new(["http://127.0.0.1:1"]).build().unwrap();
    }
}
