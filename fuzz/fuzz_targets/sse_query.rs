//! No query of a feed breaks its reader; an id that is understood is one that was given, and a
//! token in a URL never lasts. Input: a query, as it stands behind the `?`.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use outflow_face_sse::authenticate::ends_soon;
use outflow_face_sse::translate::{Place, Wanted, after_id, id};
use outflow_model::{StreamId, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fuzz_target!(|input: &[u8]| {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(input).into_owned().collect();
    let Ok(wanted) = Wanted::read(&pairs, NOW) else { return };
    match wanted.place {
        Place::AfterId(text) => {
            if let Some(offset) = after_id(&text, StreamId(7)) {
                assert_eq!(after_id(&id(StreamId(7), offset), StreamId(7)), Some(offset));
                assert_eq!(after_id(&text, StreamId(8)), None);
            }
        }
        Place::At(time) => assert!(time.millis() < i64::MAX / 2),
        Place::Unsaid | Place::Earliest | Place::Latest => {}
    }
    if let Some(token) = wanted.token {
        let long = ends_soon(&token, NOW, Duration::from_secs(7_200));
        assert!(long || !ends_soon(&token, NOW, Duration::from_secs(3_600)));
    }
});
