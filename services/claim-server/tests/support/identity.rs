//! The files by which a server knows its callers.

use super::Server;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder with such files; gone when dropped.
pub(crate) struct Files(PathBuf);

impl Files {
    /// With that policy and one token for each of these names.
    pub(crate) fn new(policy: &str, names: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("claim-server-identity-{}-{number}", std::process::id());
        let files = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&files.0).expect("a folder");
        files.write("policy.toml", policy);
        files.write("tokens", &lines(names.iter().map(|name| (token(name), *name))));
        files
    }

    /// Puts a file there as a whole, in place of what was there.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let new = self.0.join(format!("{name}.new"));
        fs::write(&new, text).expect("a file");
        fs::rename(new, self.0.join(name)).expect("a file");
    }

    /// The path of a file.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a path").to_owned()
    }

    /// A server that knows its callers by them.
    pub(crate) async fn server(&self, database_url: &str, more: &[(&str, &str)]) -> Server {
        let (policy, tokens) = (self.path("policy.toml"), self.path("tokens"));
        let own = [("CLAIM_POLICY_FILE", &*policy), ("CLAIM_TOKENS_FILE", &*tokens)];
        Server::start_with(database_url, &[&own[..], more].concat()).await
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The token of a name.
pub(crate) fn token(name: &str) -> String {
    format!("5ecret-of-{name}")
}

/// A file of tokens and who has them.
pub(crate) fn lines<'a>(tokens: impl IntoIterator<Item = (String, &'a str)>) -> String {
    let line = |(token, name): (String, &str)| {
        let digest = Sha256::digest(token.as_bytes());
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}  {name}\n")
    };
    tokens.into_iter().map(line).collect()
}

/// One grant as the policy has it.
pub(crate) fn grant(caller: &str, tenants: &str, roles: &[&str]) -> String {
    format!("[[grant]]\ncallers = [{caller:?}]\ntenants = [{tenants:?}]\nroles = {roles:?}\n")
}

/// A request with a bearer token.
pub(crate) fn with_token<T>(token: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let value = format!("Bearer {token}").parse().expect("a header");
    request.metadata_mut().insert("authorization", value);
    request
}

/// The lines of the audit in a log that is JSON.
pub(crate) fn audit(server: &Server) -> Vec<serde_json::Value> {
    let log = server.log.lock().expect("no panic holds it");
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &serde_json::Value| line["target"] == "audit").collect()
}
