//! Measures that authentication takes the same time whatever is wrong: nothing, a secret that is
//! not there, one of another project, an expired one, one that only resembles one.
//!
//! ```sh
//! cargo run --release -p outflow-auth --example timing
//! ```
//!
//! The cases take turns, so that what the machine does meanwhile hits all alike. Prints for each
//! the median and the 90th percentile of batches of calls, in nanoseconds a call, and Welch's t of
//! its batches against those of the good secret.

#![allow(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement: it needs a real clock, prints, and fails by panicking"
)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use outflow_auth::{Auth, CredentialKind, NewCredential, Presented, SystemRng};
use outflow_model::clock::ManualClock;
use outflow_model::{Action, IntegrationId, ProjectId, Timestamp};
use outflow_store::memory::MemoryEngine;

const ROUNDS: usize = 4_000;
const CALLS: u32 = 64;
/// Other credentials in force, as a server has them.
const OTHERS: usize = 2_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let auth = Auth::open(engine, clock.clone(), Arc::new(SystemRng)).await.unwrap();
    let issue = async |project: usize, expires| {
        let new = NewCredential {
            kind: CredentialKind::Token,
            name: String::new(),
            project: Some(ProjectId::new(&format!("project-{project:04}")).unwrap()),
            integration: Some(IntegrationId::new("feed").unwrap()),
            actions: BTreeSet::from([Action::Read]),
            streams: None,
            expires,
            destinations: None,
            user: None,
        };
        auth.issue(new).await.unwrap().secret.expose().to_owned()
    };
    for other in 1..=OTHERS {
        issue(other, None).await;
    }
    let good = issue(0, None).await;
    let expired = issue(0, Some(Timestamp::from_millis(1))).await;
    let foreign = issue(1, None).await;
    // The same length, form and beginning, another end.
    let near = format!("{}{}", &good[..good.len() - 8], "00000000");
    let unknown = good.chars().rev().collect::<String>();
    let cases = [
        ("good", "project-0000", good.as_str()),
        ("unknown", "project-0000", unknown.as_str()),
        ("all but the end", "project-0000", near.as_str()),
        ("expired", "project-0000", expired.as_str()),
        ("of another project", "project-0000", foreign.as_str()),
        ("project that is not there", "project-9999", good.as_str()),
    ];
    let mut nanos = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for round in 0..ROUNDS + ROUNDS / 10 {
        for turn in 0..cases.len() {
            // Another order each time.
            let at = (turn * 5 + round) % cases.len();
            let (_, user, password) = cases[at];
            let begun = Instant::now();
            for _ in 0..CALLS {
                let presented = Presented::Basic { user, password };
                black_box(auth.authenticate(black_box(&presented)).is_some());
            }
            // The first rounds warm up.
            if round >= ROUNDS / 10 {
                nanos[at].push(begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
            }
        }
    }
    for case in &mut nanos {
        case.sort_by(f64::total_cmp);
        // What interrupted the machine says nothing of us.
        case.truncate(ROUNDS * 9 / 10);
    }
    println!("{:<28}{:>10}{:>10}{:>10}", "secret", "median ns", "p90 ns", "t");
    for ((name, ..), case) in cases.iter().zip(&nanos) {
        let (median, high) = (case[case.len() / 2], case[case.len() - 1]);
        println!("{name:<28}{median:>10.1}{high:>10.1}{:>10.1}", welch(case, &nanos[0]));
    }
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let moments = |of: &[f64]| {
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        let variance = of.iter().map(|one| (one - mean).powi(2)).sum::<f64>();
        (mean, variance / (of.len() * (of.len() - 1)) as f64)
    };
    let ((a, spread_a), (b, spread_b)) = (moments(a), moments(b));
    (a - b) / (spread_a + spread_b).sqrt().max(f64::EPSILON)
}
