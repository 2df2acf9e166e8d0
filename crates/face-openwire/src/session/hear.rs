//! What other connections do that this one has to know: take its id, make and remove temporary
//! destinations.

use std::future::pending;

use super::{Advice, Outbox, Session, Step};

/// What was heard and not taken yet.
#[derive(Debug)]
pub(super) enum Heard {
    /// Another connection has this one's id.
    TakenOver,
    /// Others made or removed something.
    Told(Vec<Advice>),
}

impl Session {
    /// Waits for either; what is written to the client only with `writes`.
    pub(super) async fn hear(&mut self, writes: bool) {
        let seat = self.opened.as_ref().map(|opened| &opened.seat);
        let taken_over = async {
            match seat {
                Some(seat) => seat.taken_over().await,
                None => pending().await,
            }
        };
        let news = &mut self.advised.news;
        let told = async {
            match news {
                Some(news) => news.next().await,
                None => pending().await,
            }
        };
        self.heard = Some(tokio::select! {
            biased;
            () = taken_over => Heard::TakenOver,
            advice = told, if writes => Heard::Told(advice),
        });
    }

    /// Takes what was heard; `None`: the connection ends at once.
    pub(super) fn take_heard(&mut self, out: &mut Outbox) -> Option<Step> {
        match self.heard.take() {
            None => Some(Step::Done),
            Some(Heard::TakenOver) => None,
            Some(Heard::Told(advice)) => {
                if advice.is_empty() {
                    // Nobody tells any more, and nothing is waited for.
                    self.advised.news = None;
                }
                self.told(&advice, out);
                Some(Step::Done)
            }
        }
    }
}
