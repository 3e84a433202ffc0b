//! The services that can be called, each with one operation.

use crate::rest::{MagentoSettings, Members};

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Makes tokens for admins.
    Admin,
    /// Makes tokens for customers.
    Customer,
}

impl Service {
    /// The service of this name.
    pub(super) fn find(name: &str) -> Option<Self> {
        [Self::Admin, Self::Customer].into_iter().find(|service| service.name() == name)
    }

    /// Its name, with its version.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Admin => "integrationAdminTokenServiceV1",
            Self::Customer => "integrationCustomerTokenServiceV1",
        }
    }

    /// The name of its operation. A call is an element of this name with `Request` behind it, the
    /// answer one with `Response`.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Admin => "integrationAdminTokenServiceV1CreateAdminAccessToken",
            Self::Customer => "integrationCustomerTokenServiceV1CreateCustomerAccessToken",
        }
    }

    /// Those whom it makes tokens for.
    pub(super) fn members(self, settings: &MagentoSettings) -> &Members {
        match self {
            Self::Admin => &settings.admin,
            Self::Customer => &settings.customer,
        }
    }
}
