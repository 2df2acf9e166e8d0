//! What a device does next: the state machine of its life.
//!
//! App: `FIRST_OPEN`, sessions of `OPEN` … `CLOSE` (which is sometimes missing, as in life),
//! `UNINSTALL`. Web likewise with `WEB_SESSION`. Email, SMS and open channels opt in, then go on.

use crate::device::{Device, Platform, Stage};
use crate::kind::Kind;
use crate::luck::Luck;
use crate::words;

type Weights = &'static [(usize, Kind)];

/// What happens within an app session. The shares of §3.3 lead; the rest is rare but steady.
const APP_SESSION: Weights = &[
    (32, Kind::Location),
    (27, Kind::TagChange),
    (10, Kind::ScreenViewed),
    (10, Kind::Custom),
    (3, Kind::Region),
    (2, Kind::AttributeOperation),
    (2, Kind::FeatureFlagInteraction),
    (1, Kind::RichRead),
    (1, Kind::RichDelete),
    (1, Kind::SubscriptionList),
    (1, Kind::InAppButtonTap),
    (1, Kind::InAppExperiences),
    (1, Kind::InAppFormDisplay),
    (1, Kind::InAppFormResult),
    (1, Kind::InAppMessageControl),
    (1, Kind::InAppMessageDisplay),
    (1, Kind::InAppMessageExclusion),
    (1, Kind::InAppMessageExpiration),
    (1, Kind::InAppMessageResolution),
    (1, Kind::InAppPageSwipe),
    (1, Kind::InAppPageView),
    (1, Kind::InAppPagerCompleted),
    (1, Kind::InAppPagerSummary),
];

/// What is heard of an app between sessions.
const APP_AWAY: Weights = &[
    (4, Kind::RichDelivery),
    (2, Kind::RichControl),
    (2, Kind::Control),
    (3, Kind::ContactChange),
    (3, Kind::SendAborted),
    (3, Kind::SendRejected),
    (3, Kind::Region),
    (2, Kind::AttributeOperation),
];

const WEB_SESSION: Weights = &[
    (10, Kind::ScreenViewed),
    (6, Kind::Custom),
    (6, Kind::TagChange),
    (4, Kind::WebClick),
    (2, Kind::AttributeOperation),
    (2, Kind::FeatureFlagInteraction),
    (1, Kind::SubscriptionList),
    (1, Kind::Control),
];

const EMAIL: Weights = &[
    (8, Kind::Custom),
    (5, Kind::Compliance),
    (4, Kind::Subscription),
    (2, Kind::SubscriptionList),
    (2, Kind::TagChange),
    (1, Kind::AttributeOperation),
];

const SMS: Weights = &[
    (5, Kind::Compliance),
    (5, Kind::Custom),
    (4, Kind::MobileOriginated),
    (4, Kind::ShortLinkClick),
    (1, Kind::SubscriptionList),
    (1, Kind::TagChange),
    (1, Kind::AttributeOperation),
];

const OPEN: Weights =
    &[(4, Kind::Send), (3, Kind::Custom), (2, Kind::TagChange), (1, Kind::AttributeOperation)];

impl Device {
    /// Moves the device on and says which event that is.
    pub(crate) fn step(&mut self, luck: &Luck) -> Kind {
        let kind = match self.platform {
            Platform::Ios | Platform::Android | Platform::Amazon => self.step_app(luck),
            Platform::Web => self.step_web(luck),
            Platform::Email => self.step_opted_in(luck, EMAIL),
            Platform::Sms => self.step_opted_in(luck, SMS),
            Platform::Open => self.step_opted_in(luck, OPEN),
        };
        if kind == Kind::ScreenViewed {
            self.previous_screen = self.screen;
            self.screen = luck.pick(words::SCREENS);
        }
        // What answers a message needs one to have been sent to this device.
        let answers = matches!(kind, Kind::WebClick | Kind::ShortLinkClick)
            || kind == Kind::Custom && matches!(self.platform, Platform::Email | Platform::Sms);
        if answers && self.sent.is_none() { Kind::Send } else { kind }
    }

    /// Whether a message can be sent to it.
    pub(crate) fn is_reachable(&self) -> bool {
        !matches!(self.stage, Stage::New | Stage::Gone)
    }

    fn step_app(&mut self, luck: &Luck) -> Kind {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Away;
                Kind::FirstOpen
            }
            Stage::Session(0) => {
                self.stage = Stage::Away;
                // Devices are switched off without a word: some sessions have no `CLOSE`.
                if luck.chance(8) { self.step_app(luck) } else { Kind::Close }
            }
            Stage::Session(left) => {
                self.stage = Stage::Session(left - 1);
                luck.weighted(APP_SESSION).unwrap_or(Kind::Location)
            }
            Stage::Away | Stage::Gone if self.sessions == 0 => {
                self.stage = Stage::Gone;
                Kind::Uninstall
            }
            Stage::Away | Stage::Gone if luck.chance(12) => {
                luck.weighted(APP_AWAY).unwrap_or(Kind::RichDelivery)
            }
            Stage::Away | Stage::Gone => {
                self.begin_session(luck);
                Kind::Open
            }
        }
    }

    fn step_web(&mut self, luck: &Luck) -> Kind {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Away;
                Kind::FirstOpen
            }
            Stage::Session(left) if left > 0 => {
                self.stage = Stage::Session(left - 1);
                luck.weighted(WEB_SESSION).unwrap_or(Kind::ScreenViewed)
            }
            _ if self.sessions > 0 => {
                self.begin_session(luck);
                Kind::WebSession
            }
            _ => {
                self.stage = Stage::Gone;
                Kind::Uninstall
            }
        }
    }

    /// Addresses have no farewell event of their own: after a while nothing more is heard.
    fn step_opted_in(&mut self, luck: &Luck, weights: Weights) -> Kind {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Session(6 + luck.below(10) as u8);
                return Kind::FirstOptIn;
            }
            Stage::Session(left) if left > 0 => self.stage = Stage::Session(left - 1),
            _ => self.stage = Stage::Gone,
        }
        luck.weighted(weights).unwrap_or(Kind::TagChange)
    }

    fn begin_session(&mut self, luck: &Luck) {
        self.sessions -= 1;
        self.session = luck.uuid();
        self.opened_by = self.sent.filter(|_| luck.chance(40));
        self.screen = "home";
        self.previous_screen = "";
        self.stage = Stage::Session(1 + luck.below(4) as u8);
    }
}
