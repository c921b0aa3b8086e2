//! How is telemetry deleted, and who can tell afterwards?
//!
//! Y1  The answer is sent when the rows are in no answer any more. What is in memory goes to blocks before, within the time that
//!     the caller allows; rows that come meanwhile may stay.
//! Y2  A caller who does not wait for the answer does not undo the deletion.

use super::answer::{self, Body};
use super::ask::Delete;
use super::state::QueryState;
use crate::error::{Error, Result};
use crate::exec::QueryContext;
use query_api::deletion::{DeleteResponse, Deletion, DeletionsResponse};
use std::sync::Arc;
use std::time::Duration;
use storage::engine::{DeleteRequest, Recorded};

/// Deletes rows.
pub(super) async fn delete(state: &Arc<QueryState>, context: QueryContext, rows: Delete) -> Result<Body> {
    let busy =
        |_| Error::Busy { message: "rows in memory could not be stored in time", retry_after: Duration::from_secs(5) };
    tokio::time::timeout(context.timeout, state.engine().flush()).await.map_err(busy)??;
    let Delete { signal, range, predicate } = rows;
    let request = DeleteRequest { tenant: context.tenant.clone(), signal, time: range, predicate };
    let in_job = Arc::clone(state);
    let job = move |_: &crate::exec::Control| {
        let deleted = in_job.engine().delete(&request)?;
        answer::small(&DeleteResponse { deleted: deleted.as_ref().map(deletion) })
    };
    state.executor().run(context, job).await
}

/// Tells the last deletions of the tenant, however many of others lie between them.
pub(super) async fn list(state: &Arc<QueryState>, context: QueryContext, most: usize, gzip: bool) -> Result<Body> {
    let in_job = Arc::clone(state);
    let tenant = context.tenant.clone();
    let job = move |control: &crate::exec::Control| {
        let mut record = in_job.engine().deletions(&tenant)?;
        while record.found().len() < most && record.advance()? {
            control.check()?;
        }
        let deletions = record.found().iter().map(deletion).collect();
        answer::large(control, &DeletionsResponse { deletions, damaged: record.damaged().to_vec() }, gzip)
    };
    state.executor().run(context, job).await
}

fn deletion(Recorded { version, deletion }: &Recorded) -> Deletion {
    let predicate = deletion.to_json().get("predicate").map(ToString::to_string);
    Deletion {
        number: *version,
        time_unix_nano: deletion.time,
        signal: deletion.signal.to_string(),
        cause: deletion.cause.as_str().to_owned(),
        predicate,
        blocks: deletion.blocks,
        rows: deletion.rows,
    }
}
