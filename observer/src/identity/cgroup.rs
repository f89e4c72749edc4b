//! Container id and pod from a process's cgroup path. Pure.
//!
//! The names in such a path are as trustworthy as whoever may make control groups there. Below `user.slice` that is every user (systemd
//! delegates `user@UID.service`), below a service with `Delegate=` the service's user. So nothing there is a pod, whatever it is called.

/// What the text of `/proc/PID/cgroup` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlGroup {
    /// Container id: the 64 hexadecimal digits that runc, containerd, CRI-O, Docker and podman put into the path (`.../<id>`,
    /// `docker-<id>.scope`, `libpod-<id>`, `cri-containerd-<id>.scope`). Of a pod the outermost one in it, elsewhere the innermost. Empty
    /// without one.
    pub container_id: String,
    /// Uid of the pod, as kubelets write it: `.../pod<uid>/...`, or with systemd `...-pod<uid>.slice` with `_` for `-`. For a pod that a
    /// kubelet started from a file it is 32 digits that are no uid. Empty outside of pods.
    pub pod_uid: String,
    /// The container's control group lies below one that was given to a user, who can call it as he likes.
    pub is_users: bool,
}

impl ControlGroup {
    /// The unified hierarchy (`0::`) is asked first; the others after it, for hosts that only use those.
    pub fn parse(text: &str) -> Self {
        let (unified, others): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("0::"));
        let paths: Vec<Vec<&str>> = unified
            .into_iter()
            .chain(others)
            .filter_map(|line| line.splitn(3, ':').nth(2))
            .map(|path| path.split('/').filter(|part| !part.is_empty()).collect())
            .collect();
        let of_pod = paths.iter().find_map(|parts| pod(parts));
        of_pod
            .or_else(|| paths.iter().find_map(|parts| container(parts)))
            .unwrap_or_default()
    }
}

/// What lies below the control groups of a kubelet that no user can have made. Where pods nest, the outermost one is that of this host.
fn pod(parts: &[&str]) -> Option<ControlGroup> {
    let root = parts
        .iter()
        .position(|part| is_of_kubelet(part))
        .or_else(|| relative(parts))?;
    if parts[..root].iter().any(|part| is_given_away(part)) {
        return None;
    }
    let below = &parts[root..];
    let named = below
        .iter()
        .enumerate()
        .find_map(|(at, part)| Some((at, uid_in(part)?)));
    let (at, pod_uid) = named.unwrap_or_default();
    let found = ControlGroup {
        container_id: below[at..]
            .iter()
            .find_map(|part| id_in(part))
            .unwrap_or_default(),
        pod_uid,
        is_users: false,
    };
    (found != ControlGroup::default()).then_some(found)
}

/// A container that is in no pod.
fn container(parts: &[&str]) -> Option<ControlGroup> {
    let numbered = parts.iter().enumerate().rev();
    let (at, container_id) = numbered
        .into_iter()
        .find_map(|(at, part)| Some((at, id_in(part)?)))?;
    Some(ControlGroup {
        container_id,
        pod_uid: String::new(),
        is_users: parts[..at].iter().any(|part| is_given_away(part)),
    })
}

/// Whether a part is a kubelet's: `kubepods`, or a slice of it, below another one, too (kind: `kubelet-kubepods-burstable.slice`).
fn is_of_kubelet(part: &str) -> bool {
    let name = part.split(':').next().unwrap_or_default();
    let of_slice = |name: &str| name.split('-').any(|word| word == "kubepods");
    name == "kubepods" || name.strip_suffix(".slice").is_some_and(of_slice)
}

/// In a namespace of control groups, paths of others begin where both part (`/../../pod<uid>/<id>`): what is above is not shown. To an
/// agent in a pod that is its neighbours; nobody else's path begins so.
fn relative(parts: &[&str]) -> Option<usize> {
    let first = parts.iter().position(|part| *part != "..").filter(|at| *at > 0)?;
    let is_class = matches!(parts[first], "besteffort" | "burstable");
    (is_class || (parts[first].starts_with("pod") && uid_in(parts[first]).is_some())).then_some(first)
}

/// Whether below this part somebody else than root may make control groups: sessions and managers of users, services, which may run as a
/// user (those of runtimes run as root), and containers that run a systemd of their own (podman, LXC, nspawn), whose root need not be the host's.
fn is_given_away(part: &str) -> bool {
    const RUNTIMES: [&str; 9] = [
        "containerd",
        "crio",
        "cri-docker",
        "docker",
        "kubelet",
        "k3s",
        "k3s-agent",
        "rke2-agent",
        "rke2-server",
    ];
    let of_users = part == "user.slice" || (part.starts_with("user-") && part.ends_with(".slice"));
    let is_service = |name: &str| !RUNTIMES.contains(&name) && !name.starts_with("snap.microk8s.");
    let of_system = part == "lxc"
        || part.starts_with("lxc.")
        || (part.ends_with(".scope") && (part.starts_with("libpod-") || part.starts_with("machine-")));
    of_users || of_system || part.strip_suffix(".service").is_some_and(is_service)
}

fn uid_in(part: &str) -> Option<String> {
    // The name of a container's scope may hold its slice: `kubepods-pod1.slice:cri-containerd:<id>`.
    let part = part.split(':').next()?;
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match part.strip_prefix("pod") {
        Some(uid) => uid,
        None => part.rsplit_once("-pod")?.1,
    };
    let uid = uid.replace('_', "-");
    let is_hex = |digits: &str| digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let groups: Vec<&str> = uid.split('-').collect();
    let is_uid =
        groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) || (groups.len() == 1 && uid.len() == 32);
    (is_uid && groups.iter().all(|group| is_hex(group))).then_some(uid)
}

fn id_in(part: &str) -> Option<String> {
    const ID_LEN: usize = 64;
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.rsplit(['-', ':']).next()?;
    (id.len() == ID_LEN && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    fn id(digits: &str) -> String {
        digits.repeat(64 / digits.len())
    }

    fn of(path: &str) -> ControlGroup {
        ControlGroup::parse(&format!("0::{path}\n"))
    }

    #[test]
    fn ids_of_the_usual_runtimes_are_found() {
        let id = id("0123456789abcdef");
        for path in [
            format!("/kubepods/besteffort/pod1/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/../../kubepods.slice/cri-containerd-{id}.scope"),
            format!("/kubepods-pod1.slice:cri-containerd:{id}"),
            format!("/../{id}"),
            format!("/docker/{}/docker/{id}", "ab".repeat(32)),
        ] {
            let wanted = ControlGroup {
                container_id: id.clone(),
                ..ControlGroup::default()
            };
            assert_eq!(of(&path), wanted, "{path}");
            let older = ControlGroup::parse(&format!("4:memory:{path}\n0::/\n"));
            assert_eq!(older, wanted, "{path}");
        }
    }

    #[test]
    fn pods_of_both_drivers_of_the_kubelet_are_found() {
        let (id, node) = (id("ab"), id("cd"));
        let slice = UID.replace('-', "_");
        for path in [
            format!("/kubepods/besteffort/pod{UID}/{id}"),
            format!("/../../kubepods/pod{UID}/{id}"),
            format!("/../../pod{UID}/{id}"),
            format!("/../../../burstable/pod{UID}/{id}"),
            format!("/../../kubepods-besteffort-pod{slice}.slice/cri-containerd-{id}.scope"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{id}.scope"
            ),
            format!("/kubepods-pod{slice}.slice:cri-containerd:{id}"),
            format!(
                "/system.slice/containerd.service/kubepods-besteffort-pod{slice}.slice:cri-containerd:{id}"
            ),
            // A node that is a container (kind, k3d).
            format!("/docker/{node}/kubelet/kubepods/burstable/pod{UID}/{id}"),
            format!(
                "/system.slice/docker-{node}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{slice}.slice/cri-containerd-{id}.scope"
            ),
        ] {
            let wanted = ControlGroup {
                container_id: id.clone(),
                pod_uid: UID.to_owned(),
                is_users: false,
            };
            assert_eq!(of(&path), wanted, "{path}");
            let older = ControlGroup::parse(&format!("4:memory:{path}\n0::/\n"));
            assert_eq!(older, wanted, "{path}");
        }
        let hash = "0123456789abcdef".repeat(2);
        assert_eq!(of(&format!("/kubepods/burstable/pod{hash}/{id}")).pod_uid, hash);
    }

    #[test]
    fn what_is_named_like_a_pod_is_none() {
        for path in [
            "/podman.slice/x",
            "/kubepods/pod1/x",
            "/user.slice/a-pod0a1b2c3d-1111-2222-3333-44445555666g",
            "/machine.slice/libpod-ab.scope",
            "/foo/pod0a1b2c3d-1111-2222-3333-444455556666/x",
            "/../foo/pod0a1b2c3d-1111-2222-3333-444455556666/x",
        ] {
            assert_eq!(of(path).pod_uid, "", "{path}");
        }
    }

    #[test]
    fn what_a_user_may_have_made_is_no_pod_and_its_container_is_his_word() {
        let id = id("ab");
        let slice = UID.replace('-', "_");
        for path in [
            format!("/user.slice/user-1000.slice/user@1000.service/app.slice/pod{UID}/{id}"),
            format!("/user.slice/user-1000.slice/user@1000.service/kubepods/pod{UID}/{id}"),
            format!(
                "/user.slice/user-1000.slice/user@1000.service/kubepods.slice/kubepods-pod{slice}.slice/cri-containerd-{id}.scope"
            ),
            format!("/../../../user.slice/user-1000.slice/user@1000.service/kubepods/pod{UID}/{id}"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container"),
            format!("/system.slice/runner.service/kubepods/pod{UID}/{id}"),
            format!(
                "/machine.slice/libpod-{}.scope/container/kubepods/pod{UID}/{id}",
                "cd".repeat(32)
            ),
            format!("/lxc.payload.web/kubepods/pod{UID}/{id}"),
            format!("/lxc/web/kubepods/pod{UID}/{id}"),
            format!("/machine.slice/machine-web.scope/payload/kubepods/pod{UID}/{id}"),
        ] {
            let wanted = ControlGroup {
                container_id: id.clone(),
                pod_uid: String::new(),
                is_users: true,
            };
            assert_eq!(of(&path), wanted, "{path}");
            let older = ControlGroup::parse(&format!("1:name=systemd:{path}\n0::/\n"));
            assert_eq!(older, wanted, "{path}");
        }
    }

    #[test]
    fn the_outermost_pod_counts_whatever_is_made_in_it() {
        let (id, inner, other) = (id("ab"), id("cd"), UID.replace('0', "9"));
        for path in [
            format!("/kubepods/pod{UID}/{id}/kubepods/pod{other}/{inner}"),
            format!("/kubepods/pod{UID}/{id}/pod{other}/{inner}"),
            format!("/kubepods/pod{UID}/{id}/user.slice/user-0.slice/{inner}"),
        ] {
            let found = of(&path);
            assert_eq!(
                (found.pod_uid.as_str(), &found.container_id, found.is_users),
                (UID, &id, false),
                "{path}"
            );
        }
    }

    #[test]
    fn a_session_is_not_a_container() {
        let none = ControlGroup::default();
        assert_eq!(of("/user.slice/user-0.slice/session-1.scope"), none);
        assert_eq!(ControlGroup::parse("garbage"), none);
        assert_eq!(of(&format!("/{}", "g".repeat(64))), none);
    }
}
