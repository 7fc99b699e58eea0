//! The programs that are measured, as they were built beside this one.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A program of the workspace on a database, with its default settings, quiet.
pub(crate) fn program(name: &str, url: &str) -> Result<Command> {
    let binary = std::env::current_exe()?.with_file_name(name);
    if !binary.exists() {
        bail!("{} is missing; build the workspace in the same profile", binary.display());
    }
    let mut command = Command::new(binary);
    for (setting, _) in std::env::vars_os() {
        if setting.to_string_lossy().starts_with("CLAIM_") {
            command.env_remove(setting);
        }
    }
    command
        .env("DATABASE_URL", url)
        // Several programs on one machine.
        .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null());
    Ok(command)
}

/// A claim-server that ends with this value.
pub(crate) struct Server {
    running: Running,
    address: String,
}

impl Server {
    /// Starts one, with settings other than the defaults, and waits until it is ready.
    pub(crate) fn start(url: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let mut command = program("claim-server", url)?;
        command.arg("serve").env("CLAIM_LISTEN", "127.0.0.1:0").stdout(Stdio::piped());
        command.envs(settings.iter().copied());
        let mut running = Running::start(&mut command)?;
        let stdout = running.0.stdout.take().context("a pipe")?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        let (_, address) = ready.trim().rsplit_once(' ').context("no ready line")?;
        let address = address.to_owned();
        Ok(Self { running, address })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.check("claim-server")
    }
}

/// A program that ends with this value.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Ok(Self(command.spawn()?))
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self, name: &str) -> Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{name} has ended: {status}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
