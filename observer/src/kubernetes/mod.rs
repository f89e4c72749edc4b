//! Names of pods, from the API server of Kubernetes: the pods of this node only, and of each only names.
//!
//! The key is what the kernel shows: the container's id and the pod's uid in the path of the control group. `cut`, `pod`, `places`
//! and `settings` are pure; `api`, `node` and `watch` do input and output. Without the API server the ids stay and names are unknown.

mod api;
mod cut;
mod node;
mod places;
mod pod;
mod settings;
mod status;
mod watch;

pub use api::{Api, Fault};
pub use node::{Node, nodes};
pub use places::{Change, Cluster, ContainerNames, Pod, PodNames, Where};
pub(crate) use settings::SERVICE_HOST;
pub use settings::{Resolved, Settings, node_name};
pub use status::{State, Status};
pub use watch::{Watcher, probe};
