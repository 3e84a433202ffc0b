//! The methods that there are, by path: so that no caller can make up a label of a metric.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// A method.
#[derive(Debug)]
pub(in crate::grpc) struct Rpc {
    /// Its service's full name.
    pub(super) service: Arc<str>,
    /// Its own.
    pub(super) method: Arc<str>,
}

/// The methods that there are.
#[derive(Debug)]
pub(in crate::grpc) struct Rpcs {
    by_path: HashMap<String, Arc<Rpc>>,
    unknown: Arc<Rpc>,
}

impl Rpcs {
    /// Reads them from compiled protos.
    ///
    /// # Errors
    /// Where these are none.
    pub(in crate::grpc) fn read(descriptors: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut by_path = HashMap::new();
        for descriptor in descriptors {
            for file in FileDescriptorSet::decode(*descriptor)?.file {
                for service in &file.service {
                    let service_name: Arc<str> =
                        format!("{}.{}", file.package(), service.name()).into();
                    for method in &service.method {
                        let service = Arc::clone(&service_name);
                        let rpc = Rpc { service, method: method.name().into() };
                        by_path.insert(format!("/{service_name}/{}", rpc.method), Arc::new(rpc));
                    }
                }
            }
        }
        let unknown = Arc::new(Rpc { service: "unknown".into(), method: "unknown".into() });
        Ok(Self { by_path, unknown })
    }

    /// Answers the method of a path, or one whose names are `unknown`.
    pub(super) fn get(&self, path: &str) -> Arc<Rpc> {
        Arc::clone(self.by_path.get(path).unwrap_or(&self.unknown))
    }
}
