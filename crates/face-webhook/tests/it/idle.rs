//! What endpoints and connections cost that have nothing to do: memory, and no task.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use outflow_face_webhook::Options;
use outflow_face_webhook::client::Client;
use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::Wish;
use outflow_hub::Webhook;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use crate::stand::{LOOPBACK, names, options, post};
use crate::world::{SOON, World, memory, named, open, webhook};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// How many tasks there are once nothing goes on.
async fn calm() -> usize {
    let mut last = tasks();
    loop {
        sleep(Duration::from_millis(300)).await;
        let now = tasks();
        if now == last {
            return now;
        }
        last = now;
    }
}

/// Waits until there are no more tasks than so many.
async fn at_most(most: usize) {
    let end = async {
        while tasks() > most {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let done = timeout(SOON, end).await;
    assert!(done.is_ok(), "{} tasks, and {most} would do", tasks());
}

/// Makes so many more endpoints, which are all sent an event then; every third one fails, and waits.
async fn grow(world: &World, from: usize, to: usize) {
    let before = world.desk.came.lock().len();
    for at in from..to {
        let url = format!("https://{at}.hooks.example.com/in");
        let pauses = vec![Duration::from_secs(3_600)];
        let lanes = (at % 2 == 0).then_some(4);
        let hook = Webhook { url, pauses, lanes, ..webhook(1) };
        world.endpoint(&named("acme", &format!("hook{at}")), hook).await;
    }
    let again = Outcome::Again { failure: Failure::Status(503), wish: Wish::default() };
    let answers = (from..to).map(|at| if at % 3 == 0 { again.clone() } else { Outcome::Taken });
    world.desk.answers.lock().extend(answers);
    world.publish(&["A"]).await;
    world.desk.requests(before + to - from).await;
}

#[tokio::test]
async fn an_endpoint_that_has_nothing_to_do_has_no_task() {
    let world = open(memory(), Arc::default(), Options::default()).await;
    world.project("acme").await;
    grow(&world, 0, 10).await;
    let few = calm().await;
    grow(&world, 10, 310).await;
    at_most(few).await;
}

#[tokio::test]
async fn connections_that_nobody_uses_share_one_task() {
    const COUNT: usize = 200;
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // A receiver without a task; it ends with the test's process.
    #[expect(clippy::disallowed_methods, reason = "what is counted here are tasks")]
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let (mut came, mut piece) = (Vec::new(), [0; 1_024]);
            while !came.ends_with(b"\r\n\r\n{}") {
                let read = stream.read(&mut piece).unwrap();
                came.extend_from_slice(&piece[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            kept.push(stream);
        }
    });
    let mut options = options();
    options.resolve = names(|_, _| vec![LOOPBACK]);
    let client = Client::new(options);
    let before = tasks();
    for at in 0..COUNT {
        post(&client, &format!("http://{at}.test:{port}/"), "{}").await.unwrap();
    }
    assert_eq!(client.idle(), COUNT);
    at_most(before + 1).await;
    assert_eq!(client.idle(), COUNT);
}
