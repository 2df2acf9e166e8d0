//! Going away moves forward only.

use outflow_face::{Drain, Phase};

#[tokio::test]
async fn phases_only_move_forward_and_wake_waiters() {
    let drain = Drain::new();
    let waiter = tokio::spawn({
        let drain = drain.clone();
        async move { drain.reached(Phase::Stopping).await }
    });
    drain.advance(Phase::Draining);
    assert!(!waiter.is_finished());
    drain.advance(Phase::Now);
    drain.advance(Phase::Draining);
    assert_eq!(drain.phase(), Phase::Now);
    waiter.await.unwrap();
}
