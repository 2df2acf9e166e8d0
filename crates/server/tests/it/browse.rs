//! A look at a queue right after its messages were acknowledged.

use outflow_testkit::{Options, Server, directory};

use crate::stomp::Stomp;

const MESSAGES: usize = 3;

/// Messages that do not wait for the disk have their receipts a moment before they can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_shows_every_message_that_has_its_receipt() {
    let dir = directory().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let server = Server::start(&options).await.unwrap();
    let mut stomp = Stomp::connect(server.stomp()).await.unwrap();
    for attempt in 0..50 {
        let queue = format!("/queue/look.{attempt}");
        for number in 0..MESSAGES {
            let send = format!("SEND\ndestination:{queue}\nreceipt:{number}\n\n{number}\0");
            stomp.send(&send).await.unwrap();
        }
        for number in 0..MESSAGES {
            let receipt = stomp.frame().await.unwrap();
            assert_eq!(receipt.header("receipt-id"), Some(number.to_string().as_str()));
        }
        let look =
            format!("SUBSCRIBE\nid:{attempt}\ndestination:{queue}\nbrowser:true\nack:auto\n\n\0");
        stomp.send(&look).await.unwrap();
        let mut seen = Vec::new();
        loop {
            let message = stomp.frame().await.unwrap();
            assert_eq!(message.command(), "MESSAGE", "{message:?}");
            if message.header("browser") == Some("end") {
                break;
            }
            seen.push(message.body().to_owned());
        }
        assert_eq!(seen, ["0", "1", "2"], "look {attempt}");
    }
    server.kill().await.unwrap();
}
