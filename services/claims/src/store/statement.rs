//! One typed statement per file of `sql/`.
//!
//! diesel prepares a statement once per connection only if its type says that the text never
//! varies. A DSL update, `sql_query` and an insert of many rows do not; a small `QueryFragment`
//! with a static `QueryId` does. [`statement!`] makes one from an `.sql` file whose parameters
//! `$1`, `$2` … each stand once and in order.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// The text of a statement, pushed piece by piece around its parameters.
pub(crate) struct Pieces<'t> {
    rest: &'t str,
    params: usize,
}

impl<'t> Pieces<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        Self { rest: text, params: 0 }
    }

    /// Pushes the text before the next parameter.
    pub(crate) fn push_to_next_param(mut self, out: &mut AstPass<'_, '_, Pg>) -> QueryResult<Self> {
        self.params += 1;
        let param = format!("${}", self.params);
        let (before, behind) = self.rest.split_once(&param).ok_or_else(|| {
            diesel::result::Error::QueryBuilderError(format!("the statement lacks {param}").into())
        })?;
        out.push_sql(before);
        self.rest = behind;
        Ok(self)
    }

    /// Pushes what is left.
    pub(crate) fn push_rest(self, out: &mut AstPass<'_, '_, Pg>) {
        out.push_sql(self.rest);
    }
}

/// A statement of ours.
pub(crate) trait Statement: Query {
    /// Its file.
    const FILE: &'static str;
    /// Its text.
    const TEXT: &'static str;

    /// Writes it with its parameters, by its own text or a variant of that.
    fn walk<'b>(&'b self, text: &str, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

/// What a statement says that leaves alone the rows that a stranger holds.
const SKIP: &str = " SKIP LOCKED";

/// The same statement, waiting for rows that a stranger holds, as long as `lock_timeout` allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patient<S>(pub(crate) S);

impl<S: QueryId> QueryId for Patient<S> {
    type QueryId = Patient<S::QueryId>;
    const HAS_STATIC_QUERY_ID: bool = S::HAS_STATIC_QUERY_ID;
}

impl<S: Statement> Query for Patient<S> {
    type SqlType = S::SqlType;
}

impl<S: Statement> QueryFragment<Pg> for Patient<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk(&S::TEXT.replace(SKIP, ""), out)
    }
}

/// Declares a statement: its file, its parameters with their SQL types, its row's SQL types.
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $name:ident<'a> = $file:literal {
            $($param:ident: $rust:ty as $sql:ty),* $(,)?
        } -> $row:ty
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub(crate) struct $name<'a> {
            $(pub(crate) $param: $rust,)*
            /// Statements without a borrowed parameter have the lifetime all the same.
            pub(crate) life: std::marker::PhantomData<&'a ()>,
        }

        impl $name<'_> {
            /// The statement's text.
            pub(crate) const SQL: &'static str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $file));
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = $row;
        }

        impl $crate::store::statement::Statement for $name<'_> {
            const FILE: &'static str = $file;
            const TEXT: &'static str = Self::SQL;

            fn walk<'b>(
                &'b self,
                text: &str,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                let pieces = $crate::store::statement::Pieces::of(text);
                $(
                    let pieces = pieces.push_to_next_param(&mut out)?;
                    out.push_bind_param::<$sql, _>(&self.$param)?;
                )*
                pieces.push_rest(&mut out);
                Ok(())
            }
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                $crate::store::statement::Statement::walk(self, Self::SQL, out)
            }
        }
    };
}

pub(crate) use statement;
