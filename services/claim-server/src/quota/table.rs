//! Whose limits are which.

use super::limits::{QuotaLimits, QuotaOf};
use claims::domain::TenantId;
use serde::Deserialize;
use std::collections::HashMap;
use std::num::NonZeroU16;

/// Limits by name, as a file of quotas names them. Who is named has exactly the limits that stand with
/// the name; nothing is added from the default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QuotaTable {
    /// Of each tenant that is not named.
    pub(crate) default_tenant: QuotaLimits,
    /// Of tenants by name.
    pub(crate) tenant: HashMap<String, QuotaLimits>,
    /// Of each caller that is not named.
    pub(crate) default_caller: QuotaLimits,
    /// Of callers by name; `anonymous` is who has no credentials.
    pub(crate) caller: HashMap<String, QuotaLimits>,
}

impl QuotaTable {
    /// Reads a table from TOML and checks it. The error is one line that names what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let table: Self = toml::from_str(text).map_err(|error| {
            let begin = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(begin).filter(|byte| *byte == b'\n').count();
            format!("line {line}: {}", error.message().replace('\n', "; "))
        })?;
        table.check()?;
        Ok(table)
    }

    /// Whether all of its limits can be kept; an error names the place.
    pub(crate) fn check(&self) -> Result<(), String> {
        let within = |place: String, limits: &QuotaLimits, of| {
            limits.check(of).map_err(|problem| format!("{place}.{problem}"))
        };
        if self.default_tenant.weight.is_some() {
            return Err("default_tenant.weight: means nothing if all have the same".to_owned());
        }
        within("default_tenant".to_owned(), &self.default_tenant, QuotaOf::Tenant)?;
        within("default_caller".to_owned(), &self.default_caller, QuotaOf::Caller)?;
        for (name, limits) in &self.tenant {
            TenantId::parse(name).map_err(|error| format!("tenant {name:?}: {error}"))?;
            within(format!("tenant.{name:?}"), limits, QuotaOf::Tenant)?;
        }
        for (name, limits) in &self.caller {
            if name.is_empty() {
                return Err("caller: a name is empty".to_owned());
            }
            within(format!("caller.{name:?}"), limits, QuotaOf::Caller)?;
        }
        Ok(())
    }

    /// The weights of tenants that have one.
    pub(super) fn weights(&self) -> HashMap<TenantId, NonZeroU16> {
        let named = self.tenant.iter();
        named.filter_map(|(name, of)| Some((TenantId::parse(name).ok()?, of.weight?))).collect()
    }

    pub(super) fn of_tenant(&self, tenant: &TenantId) -> QuotaLimits {
        self.tenant.get(tenant.as_str()).copied().unwrap_or(self.default_tenant)
    }

    pub(super) fn of_caller(&self, caller: &str) -> QuotaLimits {
        self.caller.get(caller).copied().unwrap_or(self.default_caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        [default_tenant]
        calls_per_second = 100

        [tenant.batch]
        live_claims = 5

        [caller."spiffe://example.org/runner"]
        streams = 3
    "#;

    #[test]
    fn who_is_named_has_its_own_limits_and_none_of_the_default() {
        let table = QuotaTable::parse(TABLE).unwrap();
        let of = |name| table.of_tenant(&TenantId::parse(name).unwrap());
        assert_eq!(of("other").calls_per_second, Some(100));
        assert_eq!(of("batch"), QuotaLimits { live_claims: Some(5), ..QuotaLimits::default() });
        assert_eq!(table.of_caller("spiffe://example.org/runner").streams, Some(3));
        assert_eq!(table.of_caller("anonymous"), QuotaLimits::default());
    }

    #[test]
    fn an_empty_table_limits_nobody() {
        assert_eq!(QuotaTable::parse("").unwrap(), QuotaTable::default());
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line_with_its_place() {
        for (text, told) in [
            ("[default_tenant]\ncalls_per_minute = 5", "line 2: unknown field"),
            ("[tenants.a]", "unknown field"),
            ("[tenant.a]\nburst = 5", "tenant.\"a\".burst: "),
            ("[default_caller]\nlive_claims = 5", "default_caller.live_claims: "),
            ("[default_tenant]\nweight = 5", "default_tenant.weight: "),
            ("[caller.\"\"]\nstreams = 5", "caller: a name is empty"),
            ("[tenant.\"a\\tb\"]", "tenant \"a\\tb\": "),
            ("[tenant.a]\n[tenant.a]", "line 2: "),
            ("[tenant.a]\nwatchers = \"many\"", "line 2: "),
            ("not TOML", "line 1: "),
        ] {
            let problem = QuotaTable::parse(text).unwrap_err();
            assert!(problem.contains(told) && !problem.contains('\n'), "{text}: {problem}");
        }
    }
}
