//! Names that paths keep, and those they lose.

use outflow_model::id::{EventType, NameError};
use outflow_model::{EventId, IntegrationId, ProjectId, StreamName};

#[test]
fn names_that_paths_lose_are_refused() {
    for bad in [".", "..", "/a", "a/", "a//b", "a/./b", "a/../b", "/"] {
        assert_eq!(StreamName::new(bad), Err(NameError::Segment), "{bad}");
    }
    for good in ["a", "a/b", "...", ".a", "a..b/c.", "queue:a/b$"] {
        StreamName::new(good).unwrap();
    }
    for bad in [".", ".."] {
        assert_eq!(ProjectId::new(bad), Err(NameError::Segment));
        assert_eq!(IntegrationId::new(bad), Err(NameError::Segment));
        // What events carry is in no path.
        EventId::new(bad).unwrap();
        EventType::new(bad).unwrap();
    }
}
