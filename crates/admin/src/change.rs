//! Changes that are made to their end, also when the caller goes away.
//!
//! Called by handlers whose change has several steps, which must not stop between two of them.

use outflow_model::ErrorCode;

use crate::error::Refused;

/// Runs `change` as a task of its own.
pub(crate) async fn to_its_end<T, E>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Refused>
where
    T: Send + 'static,
    E: Into<Refused> + Send + 'static,
{
    let cut_short = |_| Refused::new(ErrorCode::Unavailable, "the change was cut short");
    tokio::spawn(change).await.map_err(cut_short)?.map_err(Into::into)
}
