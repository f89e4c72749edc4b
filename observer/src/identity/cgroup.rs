//! Container id and pod from a process's cgroup path. Pure.

/// Container id in the text of `/proc/PID/cgroup`: the 64 hexadecimal digits that runc, containerd, CRI-O, Docker and
/// podman put into the last parts of the path (`.../<id>`, `docker-<id>.scope`, `libpod-<id>`, `cri-containerd-<id>.scope`).
/// The unified hierarchy (`0::`) is asked first; the others after it, for hosts that only use those.
pub fn container_id(text: &str) -> Option<String> {
    find(text, id_in)
}

/// Uid of the pod in the same text, as kubelets write it: `.../pod<uid>/...`, or with systemd `...-pod<uid>.slice` with `_` for `-`. For
/// a pod that a kubelet started from a file it is 32 digits that are no uid.
pub fn pod_uid(text: &str) -> Option<String> {
    find(text, uid_in)
}

fn find(text: &str, part: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (unified, others): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("0::"));
    unified.into_iter().chain(others).find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.rsplit('/').find_map(&part)
    })
}

fn uid_in(part: &str) -> Option<String> {
    // The name of a container's scope may hold its slice: `kubepods-pod1.slice:cri-containerd:<id>`.
    let part = part.split(':').next()?;
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match part.strip_prefix("pod") {
        Some(uid) => uid,
        None => part.strip_prefix("kubepods")?.rsplit_once("-pod")?.1,
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

    #[test]
    fn ids_of_the_usual_runtimes_are_found() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            format!("/kubepods/besteffort/pod1/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/../../kubepods.slice/cri-containerd-{id}.scope"),
            format!("/kubepods-pod1.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(container_id(&format!("0::{path}\n")), Some(id.clone()), "{path}");
            assert_eq!(
                container_id(&format!("4:memory:{path}\n0::/\n")),
                Some(id.clone()),
                "{path}"
            );
        }
    }

    #[test]
    fn pods_of_both_drivers_of_the_kubelet_are_found() {
        let (uid, id) = ("0a1b2c3d-1111-2222-3333-444455556666", "ab".repeat(32));
        let slice = uid.replace('-', "_");
        for path in [
            format!("/kubepods/besteffort/pod{uid}/{id}"),
            format!("/../../kubepods/pod{uid}/{id}"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{slice}.slice/cri-containerd-{id}.scope"
            ),
            format!("/kubepods-pod{slice}.slice:cri-containerd:{id}"),
        ] {
            assert_eq!(pod_uid(&format!("0::{path}\n")).as_deref(), Some(uid), "{path}");
            assert_eq!(
                pod_uid(&format!("4:memory:{path}\n0::/\n")).as_deref(),
                Some(uid),
                "{path}"
            );
        }
        let hash = "0123456789abcdef".repeat(2);
        assert_eq!(
            pod_uid(&format!("0::/kubepods/burstable/pod{hash}/{id}")),
            Some(hash)
        );
    }

    #[test]
    fn what_is_named_like_a_pod_is_none() {
        for path in [
            "/podman.slice/x",
            "/kubepods/pod1/x",
            "/user.slice/a-pod0a1b2c3d-1111-2222-3333-44445555666g",
            "/machine.slice/libpod-ab.scope",
        ] {
            assert_eq!(pod_uid(&format!("0::{path}")), None, "{path}");
        }
    }

    #[test]
    fn a_session_is_not_a_container() {
        assert_eq!(
            container_id("0::/user.slice/user-0.slice/session-1.scope\n"),
            None
        );
        assert_eq!(container_id("garbage"), None);
        assert_eq!(container_id(&format!("0::/{}", "g".repeat(64))), None);
    }
}
