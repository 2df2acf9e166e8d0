//! The event types, by the names of the wire.

macro_rules! kinds {
    ($($variant:ident = $name:literal,)*) => {
        /// An event type (reference `airship.md` 3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $(#[doc = $name] $variant,)* }

        impl Kind {
            /// The name on the wire.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        /// The names of all types that the generator makes: the 42 of the test server and
        /// `COMPLIANCE`, in alphabetical order but for the last.
        pub const EVENT_TYPES: &[&str] = &[$($name,)*];
    };
}

kinds! {
    AttributeOperation = "ATTRIBUTE_OPERATION",
    Close = "CLOSE",
    ContactChange = "CONTACT_CHANGE",
    Control = "CONTROL",
    Custom = "CUSTOM",
    FeatureFlagInteraction = "FEATURE_FLAG_INTERACTION",
    FirstOpen = "FIRST_OPEN",
    FirstOptIn = "FIRST_OPT_IN",
    InAppButtonTap = "IN_APP_BUTTON_TAP",
    InAppExperiences = "IN_APP_EXPERIENCES",
    InAppFormDisplay = "IN_APP_FORM_DISPLAY",
    InAppFormResult = "IN_APP_FORM_RESULT",
    InAppMessageControl = "IN_APP_MESSAGE_CONTROL",
    InAppMessageDisplay = "IN_APP_MESSAGE_DISPLAY",
    InAppMessageExclusion = "IN_APP_MESSAGE_EXCLUSION",
    InAppMessageExpiration = "IN_APP_MESSAGE_EXPIRATION",
    InAppMessageResolution = "IN_APP_MESSAGE_RESOLUTION",
    InAppPageSwipe = "IN_APP_PAGE_SWIPE",
    InAppPageView = "IN_APP_PAGE_VIEW",
    InAppPagerCompleted = "IN_APP_PAGER_COMPLETED",
    InAppPagerSummary = "IN_APP_PAGER_SUMMARY",
    LabelEvent = "LABEL_EVENT",
    Location = "LOCATION",
    MobileOriginated = "MOBILE_ORIGINATED",
    Open = "OPEN",
    PushBody = "PUSH_BODY",
    Region = "REGION",
    RichControl = "RICH_CONTROL",
    RichDelete = "RICH_DELETE",
    RichDelivery = "RICH_DELIVERY",
    RichRead = "RICH_READ",
    ScreenViewed = "SCREEN_VIEWED",
    Send = "SEND",
    SendAborted = "SEND_ABORTED",
    SendRejected = "SEND_REJECTED",
    ShortLinkClick = "SHORT_LINK_CLICK",
    Subscription = "SUBSCRIPTION",
    SubscriptionList = "SUBSCRIPTION_LIST",
    TagChange = "TAG_CHANGE",
    Uninstall = "UNINSTALL",
    WebClick = "WEB_CLICK",
    WebSession = "WEB_SESSION",
    Compliance = "COMPLIANCE",
}

impl Kind {
    /// Whether events of this type say who the user is (reference `airship.md` 2; `CUSTOM` does so
    /// in live samples).
    pub(crate) const fn carries_user(self) -> bool {
        !matches!(
            self,
            Self::Compliance
                | Self::FeatureFlagInteraction
                | Self::FirstOpen
                | Self::FirstOptIn
                | Self::InAppMessageExpiration
                | Self::LabelEvent
                | Self::MobileOriginated
                | Self::PushBody
                | Self::SendAborted
                | Self::SendRejected
                | Self::ShortLinkClick
        )
    }

    /// Whether a server made the event, not a device: its id then begins with a time.
    pub(crate) const fn is_server_made(self) -> bool {
        matches!(
            self,
            Self::Send
                | Self::SendAborted
                | Self::SendRejected
                | Self::PushBody
                | Self::Control
                | Self::LabelEvent
                | Self::RichControl
                | Self::RichDelivery
                | Self::Compliance
                | Self::Subscription
        )
    }
}
