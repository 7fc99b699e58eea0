//! Settings of identity and permissions, and what is read from them at start.

use super::Loaded;
use super::fetch::Fetcher;
use super::flaw::Flaw;
use super::jwt::{Expected, Keys};
use super::policy::Policy;
use super::reload::{KeySource, Sources};
use super::signature::PUBLIC_KEY_ALGORITHMS;
use super::tokens::Tokens;
use crate::source::Source;
use claims::program::WrongSetting;
use clap::Args;
use jsonwebtoken::Algorithm;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who may call, as flags and environment variables alike. All files are read again when they change.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Callers")]
pub struct AccessSettings {
    /// File with the policy: who may do what in which tenant, in TOML
    ///
    /// Without it nobody is asked for credentials and everybody may do everything, which is allowed
    /// on loopback alone. With it, what it does not grant is refused.
    #[arg(long, env = "CLAIM_POLICY_FILE", value_name = "CLAIM_POLICY_FILE")]
    pub policy_file: Option<PathBuf>,

    /// File with fixed bearer tokens: a line each, its SHA-256 digest in hex and the name of its holder
    ///
    /// Tokens should come from a generator, 32 random bytes: whoever reads the file can try guesses.
    #[arg(long, env = "CLAIM_TOKENS_FILE", value_name = "CLAIM_TOKENS_FILE")]
    pub tokens_file: Option<PathBuf>,

    /// File with the public keys of an issuer of JWTs, as a JWKS
    ///
    /// Needs CLAIM_JWT_ISSUER and CLAIM_JWT_AUDIENCE; this or CLAIM_JWKS_URL.
    #[arg(long, env = "CLAIM_JWKS_FILE", value_name = "CLAIM_JWKS_FILE")]
    pub jwks_file: Option<PathBuf>,

    /// Where the issuer shows its keys, https://…; fetched every 5 minutes
    ///
    /// While it cannot be fetched, the keys that are known stay.
    #[arg(long, env = "CLAIM_JWKS_URL", value_name = "CLAIM_JWKS_URL")]
    pub jwks_url: Option<String>,

    /// File with the authorities, in PEM, that are trusted for CLAIM_JWKS_URL [default: those of
    /// the operating system]
    #[arg(long, env = "CLAIM_JWKS_CA_FILE", value_name = "CLAIM_JWKS_CA_FILE")]
    pub jwks_ca_file: Option<PathBuf>,

    /// File with the bearer token that is sent to CLAIM_JWKS_URL; the API server of Kubernetes asks
    /// for one
    #[arg(long, env = "CLAIM_JWKS_TOKEN_FILE", value_name = "CLAIM_JWKS_TOKEN_FILE")]
    pub jwks_token_file: Option<PathBuf>,

    /// What `iss` of a JWT must be
    #[arg(long, env = "CLAIM_JWT_ISSUER", value_name = "CLAIM_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// What `aud` of a JWT must be or have in it
    ///
    /// One that other services accept too lets them use the tokens that their callers send them here.
    #[arg(long, env = "CLAIM_JWT_AUDIENCE", value_name = "CLAIM_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,

    /// Algorithms by which a JWT may be signed, of RS256, RS384, RS512, PS256, PS384, PS512, ES256,
    /// ES384 and EdDSA
    #[arg(
        long,
        env = "CLAIM_JWT_ALGORITHMS",
        value_name = "CLAIM_JWT_ALGORITHMS",
        value_delimiter = ',',
        default_value = "RS256,ES256,EdDSA",
        value_parser = algorithm
    )]
    pub jwt_algorithms: Vec<Algorithm>,

    /// Ask nobody for credentials although CLAIM_LISTEN is no loopback address
    ///
    /// Whoever reaches the address may do everything. For networks in which something else sees to it
    /// who does. In the environment: true or false.
    #[arg(
        long,
        env = "CLAIM_ALLOW_ANONYMOUS",
        value_name = "CLAIM_ALLOW_ANONYMOUS",
        value_parser = flag
    )]
    pub allow_anonymous: bool,
}

/// Settings that have been checked, and what their files said.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    pub(super) loaded: Loaded,
    pub(super) sources: Sources,
}

impl Default for AccessConfig {
    /// Nobody is asked for credentials.
    fn default() -> Self {
        Self { loaded: Loaded::open(), sources: Sources::default() }
    }
}

impl AccessConfig {
    /// Whether callers are asked for credentials.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.loaded.asks
    }
}

const POLICY: &str = "CLAIM_POLICY_FILE";
const TOKENS: &str = "CLAIM_TOKENS_FILE";
const KEYS: &str = "CLAIM_JWKS_FILE";

impl AccessSettings {
    /// Reads the files and checks that the settings go together, for a server that listens there and
    /// that knows callers by their certificates or not.
    pub(crate) fn check(
        &self,
        listen: SocketAddr,
        has_certificates: bool,
    ) -> Result<AccessConfig, WrongSetting> {
        let expected = self.expected()?;
        let Some(policy) = given(self.policy_file.as_deref()) else {
            return self.without_policy(listen, has_certificates || expected.is_some());
        };
        let (policy_source, policy) = opened(POLICY, policy, Policy::parse)?;
        let mut loaded =
            Loaded { policy: Arc::new(policy), tokens: Arc::default(), keys: None, asks: true };
        let mut sources = Sources { policy: Some(policy_source), ..Sources::default() };
        if let Some(path) = given(self.tokens_file.as_deref()) {
            let (source, tokens) = opened(TOKENS, path, Tokens::parse)?;
            (sources.tokens, loaded.tokens) = (Some(source), Arc::new(tokens));
        }
        if let Some(expected) = expected {
            let (source, keys) = self.keys(&expected)?;
            (sources.keys, loaded.keys) = (Some((source, expected)), Some(Arc::new(keys)));
        }
        Ok(AccessConfig { loaded, sources })
    }

    /// Without a policy nothing would be granted to anybody who is known.
    fn without_policy(
        &self,
        listen: SocketAddr,
        knows_callers: bool,
    ) -> Result<AccessConfig, WrongSetting> {
        if knows_callers || given(self.tokens_file.as_deref()).is_some() {
            let problem = "is not set: callers would be known, and nothing granted to them";
            return Err(WrongSetting::new(POLICY, problem));
        }
        if !listen.ip().to_canonical().is_loopback() && !self.allow_anonymous {
            let problem = format!(
                "is not set, so everybody who reaches {listen} could do everything: set it, listen \
                 on loopback, or set CLAIM_ALLOW_ANONYMOUS"
            );
            return Err(WrongSetting::new(POLICY, problem));
        }
        Ok(AccessConfig::default())
    }

    /// What JWTs must say; none if none are accepted.
    fn expected(&self) -> Result<Option<Expected>, WrongSetting> {
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let has_file = given(self.jwks_file.as_deref()).is_some();
        let has_url = text(&self.jwks_url).is_some();
        let (issuer, audience) = (text(&self.jwt_issuer), text(&self.jwt_audience));
        match (has_file, has_url) {
            (false, false) => {
                return match issuer.or(audience) {
                    Some(_) => Err(WrongSetting::new(KEYS, "is not set, nor is CLAIM_JWKS_URL")),
                    None => Ok(None),
                };
            }
            (true, true) => {
                let problem = "is set together with CLAIM_JWKS_FILE; set one of them";
                return Err(WrongSetting::new("CLAIM_JWKS_URL", problem));
            }
            _ => {}
        }
        let missing = |name| WrongSetting::new(name, "is not set, and JWTs are checked against it");
        Ok(Some(Expected {
            issuer: issuer.ok_or_else(|| missing("CLAIM_JWT_ISSUER"))?,
            audience: audience.ok_or_else(|| missing("CLAIM_JWT_AUDIENCE"))?,
            algorithms: self.jwt_algorithms.clone(),
        }))
    }

    fn keys(&self, expected: &Expected) -> Result<(KeySource, Keys), WrongSetting> {
        if let Some(path) = given(self.jwks_file.as_deref()) {
            let parse = |text: &str| Keys::parse(expected.clone(), text);
            let (source, keys) = opened(KEYS, path, parse)?;
            return Ok((KeySource::File(source), keys));
        }
        let authorities = given(self.jwks_ca_file.as_deref());
        let token_file = given(self.jwks_token_file.as_deref()).map(Path::to_owned);
        let url = self.jwks_url.as_deref().unwrap_or_default();
        let fetcher = Fetcher::new(url, authorities, token_file)?;
        Ok((KeySource::Url(Box::new(fetcher)), Keys::none(expected.clone())))
    }
}

/// A path that was given; an empty variable is none.
fn given(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| !path.as_os_str().is_empty())
}

fn opened<T>(
    setting: &'static str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, Flaw>,
) -> Result<(Source, T), WrongSetting> {
    let (source, text) = Source::open(setting, path)?;
    let content =
        parse(&text).map_err(|flaw| WrongSetting::new(setting, flaw.of(path.display())))?;
    Ok((source, content))
}

/// A flag as an environment variable sets it.
fn flag(value: &str) -> Result<bool, &'static str> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" | "" => Ok(false),
        _ => Err("CLAIM_ALLOW_ANONYMOUS must be true or false"),
    }
}

/// An algorithm with public keys.
fn algorithm(name: &str) -> Result<Algorithm, String> {
    let known = PUBLIC_KEY_ALGORITHMS.into_iter().find(|known| format!("{known:?}") == name);
    known.ok_or_else(|| "is no algorithm with public keys that is known here".to_owned())
}

#[cfg(test)]
mod tests;
