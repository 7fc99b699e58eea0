//! The plans of every statement of a pass, as Postgres carried them out: in the reaper's own session,
//! with its settings, its generic plans and its real parameters. auto_explain writes them to the
//! server's log.

use super::ground::Ground;
use super::{Settings, due, pass};
use crate::progress;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// What a session is begun with so that its plans are written down.
const EXPLAINED: [(&str, &str); 5] = [
    ("session_preload_libraries", "auto_explain"),
    ("auto_explain.log_min_duration", "0"),
    ("auto_explain.log_analyze", "on"),
    ("auto_explain.log_buffers", "on"),
    ("auto_explain.log_format", "json"),
];
/// Most claims that the explained pass expires: a few batches tell what thousands would.
pub(crate) const DUE_MAX: u32 = 2_000;

/// A statement of a pass and how its slowest execution went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    /// The first sentence of its file.
    pub(crate) meaning: String,
    pub(crate) executions: u64,
    pub(crate) slowest_ms: f64,
    /// Blocks that its slowest execution looked at.
    pub(crate) blocks: u64,
    /// Where that one read and wrote, in the order of the plan.
    pub(crate) steps: Vec<Step>,
}

/// A node that touches a table or an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) node: String,
    /// The index, or else the table.
    pub(crate) of: String,
    pub(crate) loops: u64,
    /// Rows that it looked at and did not want, a loop.
    pub(crate) filtered: u64,
    /// What the index is asked for.
    pub(crate) condition: String,
}

impl Step {
    /// Whether it reads a table from one end to the other.
    pub(crate) fn reads_all(&self) -> bool {
        self.node == "Seq Scan"
    }
}

/// Makes one more pass, with the explanations on.
pub(crate) fn of_a_pass(
    settings: &Settings,
    stage: &Stage,
    ground: &mut Ground,
) -> Result<Vec<Plan>> {
    let count = settings.due.min(DUE_MAX);
    progress("the plans of a pass");
    ground.settle()?;
    due::lapse(ground, count)?;
    let begins = fs::metadata(stage.log())?.len();
    pass::once(stage, ground, &stage.url_with(&EXPLAINED)?)?;
    ground.expired(count);
    let log = fs::read(stage.log())?;
    let log = log.get(usize::try_from(begins)?..).context("a log that grows")?;
    let plans = plans(&String::from_utf8_lossy(log));
    ensure!(!plans.is_empty(), "Postgres explained nothing; is auto_explain installed?");
    Ok(plans)
}

/// Reads what auto_explain wrote: `plan:` at the end of a line, and JSON in the lines below, which
/// begin with a tab. Of each statement the slowest execution stays.
fn plans(log: &str) -> Vec<Plan> {
    let mut plans: BTreeMap<String, (usize, Plan)> = BTreeMap::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        let mut json = String::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            json.push_str(line);
            json.push('\n');
        }
        let Ok(explained) = serde_json::from_str::<Value>(&json) else { continue };
        let Some((query, plan)) = plan(&explained) else { continue };
        let position = plans.len();
        let (_, known) = plans.entry(query).or_insert_with(|| (position, plan.clone()));
        let executions = known.executions + 1;
        if plan.slowest_ms > known.slowest_ms {
            *known = plan;
        }
        known.executions = executions;
    }
    let mut plans: Vec<(usize, Plan)> = plans.into_values().collect();
    plans.sort_by_key(|(position, _)| *position);
    plans.into_iter().map(|(_, plan)| plan).collect()
}

/// One execution, not yet counted.
fn plan(explained: &Value) -> Option<(String, Plan)> {
    let query = explained.get("Query Text")?.as_str()?;
    let root = explained.get("Plan")?;
    let number = |key: &str| root.get(key).and_then(Value::as_u64).unwrap_or(0);
    let mut steps = Vec::new();
    collect(root, &mut steps);
    let plan = Plan {
        meaning: meaning(query),
        executions: 0,
        slowest_ms: root.get("Actual Total Time")?.as_f64()?,
        blocks: number("Shared Hit Blocks") + number("Shared Read Blocks"),
        steps,
    };
    Some((query.to_owned(), plan))
}

fn collect(node: &Value, steps: &mut Vec<Step>) {
    let text = |key: &str| node.get(key).and_then(Value::as_str).unwrap_or_default();
    let of = match text("Index Name") {
        "" => text("Relation Name"),
        index => index,
    };
    if !of.is_empty() {
        let kind = match text("Node Type") {
            "ModifyTable" => text("Operation"),
            kind => kind,
        };
        let condition = match text("Index Cond") {
            "" => text("TID Cond"),
            condition => condition,
        };
        let count = |key: &str| node.get(key).and_then(Value::as_u64).unwrap_or(0);
        steps.push(Step {
            node: kind.to_owned(),
            of: of.to_owned(),
            loops: count("Actual Loops"),
            filtered: count("Rows Removed by Filter"),
            condition: condition.to_owned(),
        });
    }
    for child in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
        collect(child, steps);
    }
}

/// The first sentence of the comment at a statement's head, or the beginning of the statement.
fn meaning(query: &str) -> String {
    let head: Vec<&str> = query.lines().map_while(|line| line.strip_prefix("--")).collect();
    if head.is_empty() {
        return query.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
    }
    let head = head.join("");
    let end = head.find(['.', ':', ';', '(']).unwrap_or(head.len());
    head.get(..end).unwrap_or(&head).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_execution_of_each_statement_is_kept_and_all_are_counted() {
        let execution = |ms: f64, loops: u32| {
            format!(
                "2026-01-01 UTC [7] LOG:  duration: {ms} ms  plan:\n\t{{\n\t  \"Query Text\": \
                 \"-- Finds, at once: rows (R1).\\nSELECT 1\",\n\t  \"Plan\": {{\"Node Type\": \
                 \"Nested Loop\", \"Actual Total Time\": {ms}, \"Shared Hit Blocks\": 3, \
                 \"Plans\": [{{\"Node Type\": \"Index Scan\", \"Index Name\": \"t_pkey\", \
                 \"Relation Name\": \"t\", \"Actual Loops\": {loops}, \"Index Cond\": \
                 \"(id = $1)\"}}]}}\n\t}}\n2026-01-01 UTC [7] LOG:  other\n"
            )
        };
        let plans = plans(&[execution(1.0, 5), execution(3.0, 9), execution(2.0, 7)].concat());
        let [plan] = plans.as_slice() else { panic!("{plans:?}") };
        assert_eq!((plan.meaning.as_str(), plan.executions, plan.blocks), ("Finds, at once", 3, 3));
        let step = Step {
            node: "Index Scan".into(),
            of: "t_pkey".into(),
            loops: 9,
            filtered: 0,
            condition: "(id = $1)".into(),
        };
        assert_eq!(plan.steps, [step]);
    }
}
