//! What the help of each subcommand ends with: examples, exit codes, what only the environment says. Made for
//! terminals of 80 columns.

use claims::program::ENVIRONMENT_HELP;

const EXIT_CODES: &str = "\
Exit codes:
  0    it did what it was asked to
  1    it failed; the log says why
  64   a setting is wrong; one line on standard error names it
  130  a second signal ended it at once";

/// Of the program as a whole.
pub(crate) fn program() -> String {
    format!(
        "\
Examples:
  claim-server dev                          # all that one developer needs
  claim-server migrate && claim-server serve
  claim-server serve --help                 # every setting

{ENVIRONMENT_HELP}"
    )
}

/// Of `serve`.
pub(crate) fn serve() -> String {
    format!(
        "\
Examples:
  DATABASE_URL=postgres://claims@localhost/claims claim-server serve
  DATABASE_URL_FILE=/run/secrets/database_url claim-server serve \\
          --listen 0.0.0.0:50051 --metrics-listen 0.0.0.0:9464 \\
          --tls-cert tls.crt --tls-key tls.key --policy-file policy.toml

{EXIT_CODES}

{ENVIRONMENT_HELP}
  OTEL_EXPORTER_OTLP_ENDPOINT
                     Where traces are sent by OTLP over gRPC, as in
                     http://collector:4317; not set: nowhere

Files are read at the start. Certificates, keys, policy, tokens and quotas are
read again when they change; one that cannot be used changes nothing but the log.
docs/operations.md says what each setting does when it is too high or too low."
    )
}

/// Of `migrate`.
pub(crate) fn migrate() -> String {
    format!(
        "\
Examples:
  claim-server migrate           # before the servers of a new release start
  claim-server migrate --check   # in a probe or a pipeline: is anything missing?

Exit codes:
  0    the schema is up to date
  1    it failed; with --check: something is missing
  2    with --check: that could not be found out
  64   a setting is wrong; one line on standard error names it

{ENVIRONMENT_HELP}"
    )
}

/// Of `fence-bump`.
pub(crate) fn fence_bump() -> String {
    format!(
        "\
Examples:
  claim-server fence-bump --dry-run   # what it would do
  claim-server fence-bump             # after a restore, before servers start

{EXIT_CODES}

{ENVIRONMENT_HELP}

docs/restore.md says what a restore to an earlier point means."
    )
}

/// Of `dev`.
pub(crate) fn dev() -> String {
    format!(
        "\
Examples:
  claim-server dev               # keeps its database in ./.dev
  claim-server dev --ephemeral   # keeps nothing
  claim-server dev --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0

{EXIT_CODES}

{ENVIRONMENT_HELP}
  PG_BIN_DIR         Folder of the Postgres programs for a private database

Files:
  .dev               The private database, or the folder of --folder"
    )
}
