//! The policy: who may do what in which tenant. What it does not grant is refused.
//!
//! ```toml
//! [[grant]]
//! callers = ["cert:spiffe://prod/runner", "jwt:system:serviceaccount:fleet:*", "token:ci"]
//! tenants = ["acme", "acme-*"]
//! roles = ["holder"]
//! runner_prefixes = ["prod-"]
//!
//! [[grant]]
//! callers = ["token:ops"]
//! tenants = ["*"]
//! roles = ["observer", "operator"]
//!
//! [[tenant]]
//! name = "acme"
//! requires_token = true
//! ```
//!
//! * `callers` and `tenants` are names, or beginnings of names with `*` behind them. How callers are
//!   called says [`super::names`]. A tenant that a request does not name is `default`.
//! * `runner_prefixes`: mints with the role `holder` must name a runner that begins with one of these.
//!   Heartbeat and done name no runner: then a write token has to show that the claim is the caller's
//!   own. A second grant without prefixes lifts both.
//! * `requires_token`: heartbeat and done in that tenant need the write token whoever calls, so that to
//!   know a consumer id is not enough.
//!
//! Grants add up; nothing takes away. Keys that are not known, empty lists and files without a grant
//! are refused, so that neither a slip of the pen nor half a file becomes a policy.

use super::caller::Caller;
use super::flaw::Flaw;
use super::names::{ANONYMOUS, Pattern};
use super::roles::Role;
use serde::Deserialize;
use std::collections::HashMap;

/// Most grants: a file beyond it was made by a mistake.
const GRANTS_MAX: usize = 10_000;

/// A policy. See the module.
#[derive(Debug)]
pub(super) struct Policy {
    grants: Vec<Grant>,
    /// The grants to a caller of that name.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// Those to callers whose names begin alike.
    by_prefix: Vec<(Pattern, usize)>,
    tenants: Vec<TenantRule>,
}

/// What may be done with a claim by a caller with the role `holder`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// Nothing.
    Refused,
    /// It has to show the write token.
    WithToken,
    /// It need not.
    Free,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "grant")]
    grants: Vec<Grant>,
    #[serde(default, rename = "tenant")]
    tenants: Vec<TenantRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, try_from = "GrantText")]
struct Grant {
    callers: List<Callers>,
    tenants: List<Tenants>,
    roles: List<Role>,
    runner_prefixes: Option<List<Prefix>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantText {
    callers: List<Callers>,
    tenants: List<Tenants>,
    roles: List<Role>,
    runner_prefixes: Option<List<Prefix>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantRule {
    name: Tenants,
    requires_token: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Callers(Pattern);

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Tenants(Pattern);

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Prefix(String);

/// A list with something in it.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<T>")]
struct List<T>(Vec<T>);

impl Policy {
    /// Everybody may do everything.
    pub(super) fn open() -> Self {
        let grant = Grant {
            callers: List(vec![Callers(Pattern::Exact(ANONYMOUS.into()))]),
            tenants: List(vec![Tenants(Pattern::Prefix("".into()))]),
            roles: List(Role::ALL.to_vec()),
            runner_prefixes: None,
        };
        Self::of(File { grants: vec![grant], tenants: vec![] })
    }

    /// Reads a file.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let file: File = toml::from_str(text).map_err(|error| match error.span() {
            Some(span) => {
                let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
                Flaw::in_line(line, error.message())
            }
            None => Flaw::new(error.message()),
        })?;
        match file.grants.len() {
            0 => Err(Flaw::new("has no grant: nobody could do anything")),
            1..=GRANTS_MAX => Ok(Self::of(file)),
            count => Err(Flaw::new(format!("has {count} grants, more than {GRANTS_MAX}"))),
        }
    }

    fn of(file: File) -> Self {
        let File { grants, tenants } = file;
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut by_prefix = vec![];
        for (index, grant) in grants.iter().enumerate() {
            for Callers(pattern) in &grant.callers.0 {
                match pattern {
                    Pattern::Exact(name) => by_name.entry(name.clone()).or_default().push(index),
                    Pattern::Prefix(_) => by_prefix.push((pattern.clone(), index)),
                }
            }
        }
        Self { grants, by_name, by_prefix, tenants }
    }

    /// Whether anything is granted to that caller.
    pub(super) fn knows(&self, caller: &Caller) -> bool {
        self.grants_to(caller).next().is_some()
    }

    /// Whether that caller has that role in that tenant.
    pub(super) fn permits(&self, caller: &Caller, role: Role, tenant: &str) -> bool {
        self.grants_to(caller).any(|grant| grant.is_of(role, tenant))
    }

    /// Whether that caller has that role in all tenants there may ever be.
    pub(super) fn permits_everywhere(&self, caller: &Caller, role: Role) -> bool {
        let mut grants = self.grants_to(caller).filter(|grant| grant.roles.0.contains(&role));
        grants.any(|grant| grant.tenants.0.iter().any(|Tenants(pattern)| pattern.is_all()))
    }

    /// Whether that caller may mint for that runner.
    pub(super) fn permits_mint(&self, caller: &Caller, tenant: &str, runner: &str) -> bool {
        self.holding(caller, tenant).any(|grant| match &grant.runner_prefixes {
            Some(prefixes) => prefixes.0.iter().any(|Prefix(prefix)| runner.starts_with(&**prefix)),
            None => true,
        })
    }

    /// What that caller may do with claims that are held.
    pub(super) fn permits_holding(&self, caller: &Caller, tenant: &str) -> Holding {
        let mut found = Holding::Refused;
        for grant in self.holding(caller, tenant) {
            found = Holding::WithToken;
            if grant.runner_prefixes.is_none() {
                let mut rules = self.tenants.iter().filter(|rule| rule.name.0.matches(tenant));
                let needs_token = rules.any(|rule| rule.requires_token);
                return if needs_token { Holding::WithToken } else { Holding::Free };
            }
        }
        found
    }

    fn holding(&self, caller: &Caller, tenant: &str) -> impl Iterator<Item = &Grant> {
        self.grants_to(caller).filter(move |grant| grant.is_of(Role::Holder, tenant))
    }

    fn grants_to(&self, caller: &Caller) -> impl Iterator<Item = &Grant> {
        let by_name = caller.names().filter_map(|name| self.by_name.get(name)).flatten().copied();
        let by_prefix = self
            .by_prefix
            .iter()
            .filter(|(pattern, _)| caller.names().any(|name| pattern.matches(name)))
            .map(|(_, index)| *index);
        by_name.chain(by_prefix).filter_map(|index| self.grants.get(index))
    }
}

impl Grant {
    fn is_of(&self, role: Role, tenant: &str) -> bool {
        let is_there = |Tenants(pattern): &Tenants| pattern.matches(tenant);
        self.roles.0.contains(&role) && self.tenants.0.iter().any(is_there)
    }
}

impl TryFrom<GrantText> for Grant {
    type Error = &'static str;

    fn try_from(text: GrantText) -> Result<Self, Self::Error> {
        let GrantText { callers, tenants, roles, runner_prefixes } = text;
        if runner_prefixes.is_some() && !roles.0.contains(&Role::Holder) {
            return Err("runner_prefixes means nothing without the role holder");
        }
        Ok(Self { callers, tenants, roles, runner_prefixes })
    }
}

impl TryFrom<String> for Callers {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Pattern::of_callers(&written).map(Self)
    }
}

impl TryFrom<String> for Tenants {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Pattern::of_tenants(&written).map(Self)
    }
}

impl TryFrom<String> for Prefix {
    type Error = &'static str;

    fn try_from(written: String) -> Result<Self, &'static str> {
        if written.is_empty() {
            return Err("a prefix is empty: every runner begins so");
        }
        Ok(Self(written))
    }
}

impl<T> TryFrom<Vec<T>> for List<T> {
    type Error = &'static str;

    fn try_from(list: Vec<T>) -> Result<Self, &'static str> {
        if list.is_empty() { Err("the list is empty") } else { Ok(Self(list)) }
    }
}

#[cfg(test)]
mod tests;
