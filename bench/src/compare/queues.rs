//! pg-boss and graphile-worker, by programs of their own language on the same Postgres.

use crate::load::Measured;
use crate::progress;
use crate::stage::Stage;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The programs and what they need to be installed.
const FILES: [(&str, &str); 5] = [
    ("package.json", include_str!("../../peers/package.json")),
    ("package-lock.json", include_str!("../../peers/package-lock.json")),
    ("measure.mjs", include_str!("../../peers/measure.mjs")),
    ("pg-boss.mjs", include_str!("../../peers/pg-boss.mjs")),
    ("graphile-worker.mjs", include_str!("../../peers/graphile-worker.mjs")),
];

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    PgBoss,
    GraphileWorker,
}

/// Where they are installed, and what they said of themselves.
pub(crate) struct Queues {
    folder: PathBuf,
    about: Vec<(Queue, About)>,
}

/// What a queue says of itself.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) durable: String,
    /// Connections: those that suit it best.
    pub(crate) pool: u32,
}

/// What was measured together.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Line {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) callers: u32,
    pub(crate) batch: u32,
}

#[derive(Deserialize)]
struct Output {
    #[serde(flatten)]
    about: About,
    results: Vec<Measurement>,
}

#[derive(Deserialize)]
struct Measurement {
    #[serde(flatten)]
    line: Line,
    #[serde(flatten)]
    measured: Measured,
    errors: u64,
}

impl Queues {
    /// Installs them at the first use, beside what cargo builds; none if that is not possible.
    pub(crate) fn install() -> Option<Self> {
        match try_install() {
            Ok(folder) => Some(Self { folder, about: Vec::new() }),
            Err(error) => {
                progress(&format!(
                    "*** pg-boss and graphile-worker ARE NOT MEASURED: {error:#}\n\
                     *** Node 20 or newer and npm are needed, and the packages once"
                ));
                None
            }
        }
    }

    /// Runs one; each line in jobs a second.
    pub(crate) fn run(
        &mut self,
        queue: Queue,
        stage: &Stage,
        callers: u32,
        length: Duration,
    ) -> Result<Vec<(Line, Measured)>> {
        let (program, name) = match queue {
            Queue::PgBoss => ("pg-boss.mjs", "pg-boss"),
            Queue::GraphileWorker => ("graphile-worker.mjs", "graphile-worker"),
        };
        let mut command = Command::new("node");
        command
            .args([program, stage.url(), "--callers", &callers.to_string()])
            .args(["--seconds", &length.as_secs_f64().to_string()])
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        let known = self.about.iter().find(|(known, _)| *known == queue);
        if let Some((_, about)) = known {
            command.args(["--pool", &about.pool.to_string()]);
        }
        let output = command.output().context("node does not run")?;
        if !output.status.success() {
            bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let output: Output = serde_json::from_slice(&output.stdout)?;
        if known.is_none() {
            self.about.push((queue, output.about));
        }
        let mut lines = Vec::new();
        for Measurement { line, measured, errors } in output.results {
            ensure!(errors == 0, "{errors} calls of {name} failed");
            lines.push((Line { name: name.to_owned(), ..line }, measured));
        }
        Ok(lines)
    }

    /// What they said of themselves.
    pub(crate) fn about(&self) -> Vec<About> {
        self.about.iter().map(|(_, about)| about.clone()).collect()
    }
}

fn try_install() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.parent().and_then(Path::parent).context("a folder")?;
    let folder = target.join("claim-bench-peers");
    fs::create_dir_all(&folder)?;
    let lock = folder.join("node_modules/.package-lock.json");
    let same = FILES.iter().all(|(name, text)| {
        fs::read_to_string(folder.join(name)).is_ok_and(|found| found == *text)
    });
    if same && lock.exists() {
        return Ok(folder);
    }
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    progress("installing pg-boss and graphile-worker");
    let output = Command::new("npm")
        .args(["ci", "--omit=dev", "--no-audit", "--no-fund"])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .context("npm does not run")?;
    ensure!(
        output.status.success() && lock.exists(),
        "npm ci failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(folder)
}
