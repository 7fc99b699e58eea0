//! What was met, so that a run shows that it was not about nothing.

use super::record::{Call, History, Record, Said};
use claims::domain::{Answer, Command, Expiry};
use std::collections::BTreeMap;

/// How often.
pub(crate) type Met = BTreeMap<String, usize>;

pub(crate) fn count(history: &History, met: &mut Met) {
    for Record { call, said, .. } in &history.records {
        *met.entry("call".to_owned()).or_default() += 1;
        let Some((_, said)) = said else {
            *met.entry("no answer".to_owned()).or_default() += 1;
            continue;
        };
        let name = match call {
            Call::Decide(Command::Mint(_)) => "mint",
            Call::Decide(Command::Done(_)) => "done",
            Call::Decide(Command::Revoke(_)) => "revoke",
            Call::Decide(Command::Signal(_)) => "signal",
            Call::Decide(Command::Expire(_)) => "expire",
            Call::Beat(_) => "heartbeat",
            Call::Write(..) => "write",
            Call::Prune(..) => "prune",
        };
        *met.entry(format!("{name} {}", kind(said))).or_default() += 1;
        if let Said::Decided(Ok(Answer::Minted(minted))) = said
            && minted.ended_predecessor.as_ref().is_some_and(|old| old.ending.is_some())
        {
            *met.entry("mint of a lapsed claim".to_owned()).or_default() += 1;
        }
        if let Said::Beat(Ok(renewal)) = said
            && renewal.had_lapsed
        {
            *met.entry("heartbeat of a lapsed claim".to_owned()).or_default() += 1;
        }
    }
}

/// The answer in a word.
fn kind(said: &Said) -> String {
    let refusal = match said {
        Said::Decided(Ok(Answer::Minted(minted))) if minted.reminted => {
            return "Reminted".to_owned();
        }
        Said::Decided(Ok(Answer::Minted(_))) => return "Minted".to_owned(),
        Said::Decided(Ok(Answer::Ended(ended))) if ended.already_ended => {
            return "AlreadyEnded".to_owned();
        }
        Said::Decided(Ok(Answer::Ended(_))) => return "Ended".to_owned(),
        Said::Decided(Ok(Answer::Signaled(_))) => return "Signaled".to_owned(),
        Said::Decided(Ok(Answer::Expiry(Expiry::Expired { .. }))) => return "Expired".to_owned(),
        Said::Decided(Ok(Answer::Expiry(_))) => return "NotExpired".to_owned(),
        Said::Beat(Ok(_)) => return "Renewed".to_owned(),
        Said::Write(Ok(_)) => return "Allowed".to_owned(),
        Said::Pruned(_) => return "Pruned".to_owned(),
        Said::Failed => return "Failed".to_owned(),
        Said::Decided(Err(refusal)) | Said::Beat(Err(refusal)) | Said::Write(Err(refusal)) => {
            refusal
        }
    };
    let whole = format!("{refusal:?}");
    let end = whole.find(|c: char| !c.is_alphanumeric());
    whole[..end.unwrap_or(whole.len())].to_owned()
}
