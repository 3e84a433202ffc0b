//! The query of a URL: which services are meant.

use secrecy::ExposeSecret as _;

use super::service::Service;
use crate::rest::input::form;

/// What a URL asks for, by its query.
#[derive(Debug)]
pub(super) struct Query {
    wsdl: bool,
    services: String,
    others: Vec<String>,
}

/// The services that a URL names, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Services(Vec<Service>);

/// Why a URL asks for nothing that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryFault {
    /// It is malformed, or names no service.
    #[error("Incorrect format of WSDL request URI or Requested services are missing.")]
    Format,
    /// There is no service of this name.
    #[error("Requested service is not available: \"{0}\"")]
    Unknown(String),
    /// It has these parameters, which ask for nothing.
    #[error("Not allowed parameters: {0}. Please use only wsdl and services.")]
    Parameters(String),
}

impl Query {
    /// Reads a query, without its `?`.
    ///
    /// # Errors
    /// [`QueryFault::Format`] where it is no form, or a parameter comes twice.
    pub(super) fn parse(query: &str) -> Result<Self, QueryFault> {
        let mut form = form::parse(query.as_bytes()).map_err(|_| QueryFault::Format)?;
        let wsdl = form.take("wsdl").is_some();
        let services = form.take("services");
        Ok(Self {
            wsdl,
            services: services.map(|names| names.expose_secret().to_owned()).unwrap_or_default(),
            others: form.names().map(str::to_owned).collect(),
        })
    }

    /// The services whose WSDL is asked for.
    ///
    /// # Errors
    /// The [`QueryFault`] of it.
    pub(super) fn of_wsdl(&self) -> Result<Services, QueryFault> {
        if !self.wsdl {
            return Err(QueryFault::Format);
        }
        if !self.others.is_empty() {
            return Err(QueryFault::Parameters(self.others.join(", ")));
        }
        self.of_call()
    }

    /// The services of which an operation is called. Other parameters are not looked at.
    ///
    /// # Errors
    /// The [`QueryFault`] of it.
    pub(super) fn of_call(&self) -> Result<Services, QueryFault> {
        let mut services = Vec::new();
        for name in self.services.split(',') {
            if !is_name(name) {
                return Err(QueryFault::Format);
            }
            let unknown = || QueryFault::Unknown(name.to_owned());
            let service = Service::find(name).ok_or_else(unknown)?;
            if !services.contains(&service) {
                services.push(service);
            }
        }
        Ok(Services(services))
    }
}

impl Services {
    /// The services, in the order they were named.
    pub(super) fn iter(&self) -> impl Iterator<Item = Service> {
        self.0.iter().copied()
    }

    /// The service whose operation an element of this name calls.
    pub(super) fn called_by(&self, element: &str) -> Option<Service> {
        let operation = element.strip_suffix("Request")?;
        self.iter().find(|service| service.operation() == operation)
    }

    /// The query that names them.
    pub(super) fn query(&self) -> String {
        let names: Vec<_> = self.iter().map(Service::name).collect();
        format!("services={}", names.join("%2C"))
    }
}

// As the vendor has it: letters and digits, and a version.
fn is_name(name: &str) -> bool {
    let version = name.rsplit_once('V').map(|(_, version)| version);
    name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && version.is_some_and(|v| !v.is_empty() && v.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "integrationAdminTokenServiceV1";
    const CUSTOMER: &str = "integrationCustomerTokenServiceV1";

    fn of_wsdl(query: &str) -> Result<String, QueryFault> {
        Query::parse(query).and_then(|query| query.of_wsdl()).map(|services| services.query())
    }

    #[test]
    fn names_each_service_once_in_the_order_of_the_url() {
        for wsdl in ["wsdl", "wsdl=", "wsdl=1"] {
            let query = format!("{wsdl}&services={ADMIN}");
            assert_eq!(of_wsdl(&query), Ok(format!("services={ADMIN}")));
        }
        for comma in [",", "%2C"] {
            let query = format!("services={CUSTOMER}{comma}{ADMIN}{comma}{CUSTOMER}&wsdl");
            assert_eq!(of_wsdl(&query), Ok(format!("services={CUSTOMER}%2C{ADMIN}")));
        }
    }

    #[test]
    fn refuses_what_names_no_service() {
        for query in [
            "",
            "wsdl",
            "wsdl&services",
            "wsdl&services=",
            "wsdl&services=,",
            "wsdl&services=a",
            "wsdl&services=V",
            "wsdl&services=aV1b",
            "wsdl&services=a%20V1",
            "wsdl&services=<V1",
            &format!("services={ADMIN}"),
            &format!("wsdl&services={ADMIN},"),
            &format!("wsdl&services={ADMIN} ,{CUSTOMER}"),
            &format!("wsdl&services={ADMIN}&services={ADMIN}"),
            &format!("wsdl&wsdl=1&services={ADMIN}"),
            "wsdl&services=%ff",
            "wsdl&services=%",
        ] {
            assert_eq!(of_wsdl(query), Err(QueryFault::Format), "{query}");
        }
        let unknown = QueryFault::Unknown("catalogProductRepositoryV1".to_owned());
        let query = format!("wsdl&services={ADMIN},catalogProductRepositoryV1");
        assert_eq!(of_wsdl(&query), Err(unknown));
    }

    #[test]
    fn refuses_other_parameters_for_the_wsdl_alone() {
        let query = format!("wsdl&services={ADMIN}&a=1&b");
        assert_eq!(of_wsdl(&query), Err(QueryFault::Parameters("a, b".to_owned())));
        assert!(Query::parse(&query).unwrap().of_call().is_ok());
    }

    #[test]
    fn finds_the_operations_of_the_named_services_alone() {
        let services = Query::parse(&format!("services={ADMIN}")).unwrap().of_call().unwrap();
        let request = |service: Service| format!("{}Request", service.operation());
        assert_eq!(services.called_by(&request(Service::Admin)), Some(Service::Admin));
        assert_eq!(services.called_by(Service::Admin.operation()), None);
        assert_eq!(services.called_by(&request(Service::Customer)), None);
        assert_eq!(services.called_by("Request"), None);
    }
}
